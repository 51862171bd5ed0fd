"""Tables as files hold them: one module for each format, and none drops a cell in silence.

Columns come as bool, int64 or float64 (NaN is missing), or as objects that are each str or None.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray

from config.prose import one_line
from models.errors import DataRefused
from models.training.spec import MOST_ROWS
from models.training.study import Finding

MOST_COLUMNS: Final = 10_000
MOST_CELLS: Final = 500_000_000
MOST_NAME: Final = 200
MOST_SHOWN: Final = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Columns by name; `set_aside` are those that no model can take, and why."""

    values: Mapping[str, NDArray[Any]]
    set_aside: Mapping[str, str]
    findings: tuple[Finding, ...] = ()


def check_names(names: Sequence[str]) -> None:
    """Raise DataRefused unless each column has a name of its own that people can read."""
    if not 0 < len(names) <= MOST_COLUMNS:
        raise DataRefused(f"it has {len(names)} columns, 1 to {MOST_COLUMNS} are taken")
    twice = [name for name, count in Counter(names).items() if count > 1]
    unfit = [n for n in names if not 0 < len(n) <= MOST_NAME or not n.isprintable()]
    if twice or unfit:
        places = {name: [at + 1 for at, n in enumerate(names) if n == name] for name in twice}
        raise DataRefused(
            "its columns have not one name each",
            "give each column a name of its own, of at most 200 printable characters",
            report=tuple(
                [f"{one_line(n, 80)!r} is the name of columns {at}" for n, at in places.items()]
                + [f"{one_line(name, 80)!r} is no name for a column" for name in unfit]
            )[:MOST_SHOWN],
        )


def check_size(rows: int, columns: int) -> None:
    """Raise DataRefused for a table that is empty or too large."""
    if not rows:
        raise DataRefused("it has no rows")
    if rows > MOST_ROWS or rows * columns > MOST_CELLS:
        raise DataRefused(
            f"it has {rows} rows of {columns} columns",
            f"at most {MOST_ROWS} rows and {MOST_CELLS} cells are taken: train on a sample",
        )
