"""From what a caller wrote to the columns of a model: by position or name, numbers or texts.

Only when the model is known can it be said what a value must be. Until then rows that are not
plainly numbers wait here as they were parsed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from config.prose import listed
from models.errors import InputRefused
from models.requests.faults import kind_of
from models.requests.places import step
from models.signature import Signature
from models.tables import Features, Table

NUMBERS: Final = frozenset({int, float})
LISTED: Final = 3
INPUT: Final = "input"  # how other servers' clients call the rows of a model of numbers alone


class Absent:
    """What a record does not have."""


ABSENT: Final = Absent()
MOST_ABSENT: Final = 2**22
Cells = Sequence[Any]


class Rows(Protocol):
    """Parsed rows whose values have not been looked at."""

    def __len__(self) -> int: ...

    def columns(self, signature: Signature) -> Iterable[Cells]:
        """The cells of each column of the model; raises InputRefused for other columns."""
        ...

    def where(self, row: int, position: int, signature: Signature) -> str:
        """The path of a cell."""
        ...


@dataclass(frozen=True, slots=True)
class Positional:
    """Rows of equal length, by position; `flat` when one row was written without brackets."""

    rows: list[list[Any]]
    flat: bool

    def __len__(self) -> int:
        return len(self.rows)

    def columns(self, signature: Signature) -> Iterable[Cells]:
        """The rows turned over."""
        if len(self.rows[0]) != signature.columns:
            signature.check_columns(np.empty((1, len(self.rows[0]))))
        return list(zip(*self.rows, strict=True))

    def where(self, row: int, position: int, signature: Signature) -> str:
        """`/features/<row>/<column>`."""
        return f"/features/{position}" if self.flat else f"/features/{row}/{position}"


@dataclass(frozen=True, slots=True)
class Records:
    """Rows as objects, by the names of the columns."""

    rows: list[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.rows)

    def columns(self, signature: Signature) -> Iterable[Cells]:
        """The values of each name; a record without one has ABSENT."""
        names = signature.names
        known = frozenset(names)
        for index, row in enumerate(self.rows):
            if not row.keys() <= known:
                _refuse_unknown(f"/records/{index}", row, names)
        _refuse_gaps("/records", len(self) * len(names) - sum(map(len, self.rows)))
        return ([row.get(name, ABSENT) for row in self.rows] for name in names)

    def where(self, row: int, position: int, signature: Signature) -> str:
        """`/records/<row>/<name>`."""
        return f"/records/{row}/{step(signature.column(position))}"


@dataclass(frozen=True, slots=True)
class Shared:
    """Records, and cells that every one of them has: `/context/<name>`, written once."""

    records: Records
    context: dict[str, Any]

    def __len__(self) -> int:
        return len(self.records)

    def columns(self, signature: Signature) -> Iterable[Cells]:
        """The columns of the records, and those that are one cell in every row."""
        names = signature.names
        if not self.context.keys() <= frozenset(names):
            _refuse_unknown("/context", self.context, names)
        return (
            [self.context[name]] * len(self) if name in self.context else cells
            for name, cells in zip(names, self.records.columns(signature), strict=True)
        )

    def where(self, row: int, position: int, signature: Signature) -> str:
        """`/context/<name>`, or the path of a record's cell."""
        name = signature.column(position)
        if name in self.context:
            return f"/context/{step(name)}"
        return self.records.where(row, position, signature)


@dataclass(frozen=True, slots=True)
class Named:
    """Columns of equal length, by name."""

    lists: dict[str, list[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.lists.values())))

    def columns(self, signature: Signature) -> Iterable[Cells]:
        """The lists in the order of the model; one that is left out is all ABSENT."""
        names = signature.names
        if not self.lists.keys() <= frozenset(names):
            _refuse_unknown("/columns", self.lists, names)
        _refuse_gaps("/columns", len(self) * (len(names) - len(self.lists)))
        absent = [ABSENT] * len(self)
        return [self.lists.get(name, absent) for name in names]

    def where(self, row: int, position: int, signature: Signature) -> str:
        """`/columns/<name>/<row>`."""
        return f"/columns/{step(signature.column(position))}/{row}"


def bind(rows: Rows, signature: Signature) -> Features:
    """The rows as the model takes them; raises InputRefused at the first value that does not fit.

    A matrix for a model of numbers alone, else a table.
    """
    kinds = signature.column_kinds
    columns = [
        _text(rows, signature, position, cells)
        if kind == "text"
        else _number(rows, signature, position, cells)
        for position, (kind, cells) in enumerate(zip(kinds, rows.columns(signature), strict=True))
    ]
    if signature.numbers_alone:
        return np.ascontiguousarray(np.column_stack(columns))
    return Table(tuple(columns))


def _refuse_gaps(path: str, absent: int) -> None:
    """What is left out takes as much memory as what is sent, but costs its sender nothing."""
    if absent > MOST_ABSENT:
        raise InputRefused(
            path, f"more than {MOST_ABSENT} values left out; send fewer rows at once"
        )


def _number(rows: Rows, signature: Signature, position: int, cells: Cells) -> NDArray[np.float64]:
    if not set(map(type, cells)) <= NUMBERS:
        cells = _without_missing(rows, signature, position, cells, NUMBERS, "a number")
    return np.array(cells, dtype=np.float64)


def _text(rows: Rows, signature: Signature, position: int, cells: Cells) -> NDArray[Any]:
    if set(map(type, cells)) != {str}:
        cells = _without_missing(rows, signature, position, cells, frozenset({str}), "a text")
        cells = [None if cell is np.nan else cell for cell in cells]
    column = np.empty(len(cells), dtype=object)
    column[:] = cells
    return column


def _without_missing(
    rows: Rows,
    signature: Signature,
    position: int,
    cells: Cells,
    kinds: frozenset[type],
    wanted: str,
) -> list[Any]:
    """Put NaN for what is missing, if the model takes that; refuse everything else."""
    for index, cell in enumerate(cells):
        if type(cell) in kinds:
            continue
        where = rows.where(index, position, signature)
        if cell is ABSENT and not signature.may_lack(position):
            raise InputRefused(where, f"missing; the model takes {wanted} here")
        if not signature.missing or (cell is not None and cell is not ABSENT):
            raise InputRefused(where, f"not {wanted} but {kind_of(cell)}")
    return [np.nan if cell is None or cell is ABSENT else cell for cell in cells]


def _refuse_unknown(path: str, given: Mapping[str, Any], names: tuple[str, ...]) -> None:
    known = frozenset(names)
    name = next(name for name in given if name not in known)
    problem = f"no column of the model, which has {listed(names, LISTED)}"
    raise InputRefused(f"{path}/{step(name)}", problem)
