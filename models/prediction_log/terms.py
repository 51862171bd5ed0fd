"""What of a model's predictions is logged, how much of it, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from models.errors import LogRefused
from models.signature import Signature

MOST_COLUMNS: Final = 10_000
MOST_COLUMN: Final = 200
BOUNDS: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "retention_days": (1, 3_660),
        "rows_per_day": (1, 1_000_000_000),
        "bytes_per_day": (1024**2, 1024**4),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LogTerms:
    """What a tenant wants of the log of a model.

    `sample` is the share of rows that are logged. Without `inputs` only what was answered is;
    `columns` are those inputs that may be kept, so that one that a later version adds is not until
    it is named. The bounds of a day (UTC) hold over all workers.
    """

    sample: float
    enabled: bool = True
    inputs: bool = True
    columns: tuple[str, ...] | None = None
    retention_days: int = 30
    rows_per_day: int = 1_000_000
    bytes_per_day: int = 1024**3

    def __post_init__(self) -> None:
        if not 0 < self.sample <= 1:
            raise LogRefused("/sample", f"{self.sample} is no share above 0, at most 1")
        for name, (least, most) in BOUNDS.items():
            if not least <= getattr(self, name) <= most:
                raise LogRefused(f"/{name}", f"outside {least} to {most}")
        if self.columns is not None and len(self.columns) > MOST_COLUMNS:
            raise LogRefused("/columns", f"more than {MOST_COLUMNS}")

    def kept_columns(self, signature: Signature) -> tuple[int, ...]:
        """The positions of the inputs that may be kept."""
        if not self.inputs:
            return ()
        if self.columns is None:
            return tuple(range(signature.columns))
        names = frozenset(self.columns)
        return tuple(at for at in range(signature.columns) if signature.column(at) in names)


@dataclass(frozen=True, kw_only=True, slots=True)
class LogRule:
    """The terms of one log of one model; a log that is made anew has another `id`, and key."""

    id: str
    tenant_id: str
    model_id: str
    terms: LogTerms
