"""How findings are worded: which rows, how many, and what some of their cells say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from config.prose import one_line
from models.training.study import ColumnPlan, Finding, Severity

MOST_ROWS_NAMED: Final = 10
MOST_EXAMPLES: Final = 3
LONGEST_EXAMPLE: Final = 40
TABLE: Final = "table"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Raw:
    """A column as the file has it; `rows` are the numbers of its cells' rows, from 1."""

    name: str
    cells: NDArray[Any]
    rows: NDArray[np.int64]

    def finding(
        self,
        what: str,
        places: NDArray[np.int64],
        remedy: str = "",
        *,
        severity: Severity = "warning",
        shown: bool = True,
    ) -> Finding:
        """What is so of some cells, which are named by their rows, and a few of them shown."""
        told = f"{what} ({named_rows(self.rows[places])}"
        told += f", such as {examples(self.cells[places])})" if shown else ")"
        return Finding(
            severity=severity, where=self.name, what=told, remedy=remedy, count=len(places)
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Looked:
    """A column that was looked at: its plan, and its raw values unless it is left out."""

    plan: ColumnPlan
    values: NDArray[Any] | None
    findings: tuple[Finding, ...] = ()


def note(where: str, what: str, remedy: str = "", *, count: int = 0) -> Finding:
    """Something that is good to know."""
    return Finding(severity="note", where=where, what=what, remedy=remedy, count=count)


def warning(where: str, what: str, remedy: str = "", *, count: int = 0) -> Finding:
    """Something that somebody ought to decide."""
    return Finding(severity="warning", where=where, what=what, remedy=remedy, count=count)


def lines_of(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Findings as the lines of a report."""
    return tuple(f"{one_line(each.where, 80)}: {each.what}" for each in findings)


def named_rows(rows: NDArray[np.int64]) -> str:
    """Rows by their numbers: the first of many."""
    first = ", ".join(str(row) for row in rows[:MOST_ROWS_NAMED].tolist())
    others = len(rows) - MOST_ROWS_NAMED
    return f"row{'s' if len(rows) > 1 else ''} {first}" + (f" and {others} more" * (others > 0))


def examples(cells: NDArray[Any]) -> str:
    """A few different cells, cut to a length."""
    different = list(dict.fromkeys(str(cell) for cell in cells[:1000].tolist()))
    return ", ".join(repr(one_line(cell, LONGEST_EXAMPLE)) for cell in different[:MOST_EXAMPLES])
