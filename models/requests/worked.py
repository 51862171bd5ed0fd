"""A row that a version was asked about, to show how it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Worked:
    """A row and what a tenant's version answered; neither if it answered none that was tried."""

    tenant_id: str
    row: list[Any] | None = None
    answer: Any = None
