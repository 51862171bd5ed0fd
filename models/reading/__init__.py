"""Rows out of files of columns, a batch at a time; one module for each format.

Native parsers read bytes that a tenant chose: only a process of the sandbox may import this.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from models.tables import Features


class Unreadable(Exception):
    """Raised where a file does not hold rows as the model takes them.

    `row` counts from the first row, `column` is the model's; None is the file as a whole.
    """

    def __init__(self, problem: str, *, row: int | None = None, column: int | None = None) -> None:
        self.problem = problem
        self.row = row
        self.column = column
        super().__init__(problem)


class RowsFile(Protocol):
    """A file whose head was read and fits the model."""

    @property
    def rows(self) -> int:
        """How many rows it says or seems to have: what is charged before any is answered."""
        ...

    def batches(self, most: int) -> Iterator[Features]:
        """The rows in their order, at most so many at once; raises Unreadable."""
        ...
