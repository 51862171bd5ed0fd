"""What a training works on, once a table was read: features, target, and what each column is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.training.spec import ColumnKind, Spec, Splitting, Task

Severity = Literal["note", "warning"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnPlan:
    """What a column is taken for, and why; `reason` is shown before it is used.

    `missing` and `unique` count its cells; `order` are an ordinal's values, low first.
    """

    name: str
    kind: ColumnKind
    reason: str
    missing: int
    unique: int
    order: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Something about the data that a person ought to see: what, where, and how often."""

    severity: Severity
    where: str
    what: str
    remedy: str = ""
    count: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """A table made ready: nothing in it was computed from the values of more than one row.

    `features` has the used columns, raw, as a caller of the served model gives them: float64 for
    numeric ones, object (str or None) for all others; NaN and None are missing. `target` is
    float64 of a regression, and of a classification the labels: str, int or bool. `groups` and
    `times` are there where the folds need them; `digest` is the SHA-256 of the file.
    """

    spec: Spec
    task: Task
    features: pd.DataFrame
    target: NDArray[Any]
    classes: tuple[Any, ...]
    plans: tuple[ColumnPlan, ...]
    findings: tuple[Finding, ...]
    splitting: Splitting
    groups: NDArray[Any] | None = None
    times: NDArray[np.datetime64] | None = None
    digest: str = ""

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.target)
