"""Arrow's columns as the arrays that a model takes; what is neither number nor text is refused."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.reading import Unreadable
from models.reading.choosing import choose, named
from models.reading.numbers import exact
from models.tables import Features, Table
from models.wanted import Wanted, without_index

LONGEST_TYPE: Final = 100
REMEDIES: Final = (
    (pa.types.is_decimal, "cast it to float64 if a rounded number will do"),
    (pa.types.is_temporal, "give a number, as the model was fitted on: of seconds, or of days"),
    (pa.types.is_nested, "give each of its members as a column"),
)


class ArrowColumns:
    """Which columns of an Arrow schema a model takes, and how they are read."""

    def __init__(self, schema: pa.Schema, wanted: Wanted) -> None:
        self._wanted = wanted
        kept = without_index(schema.names)
        chosen = choose([schema.names[at] for at in kept], wanted)
        self._places = [kept[at] for at in chosen]
        for position, place in enumerate(self._places):
            self._check_type(position, schema.field(place).type)

    def features(self, batch: pa.RecordBatch, *, first: int) -> Features:
        """The rows of a valid batch, whose first is the file's row of that number."""
        columns = [
            (self._text if self._wanted.kinds[position] == "text" else self._number)(
                batch.column(place), first, position
            )
            for position, place in enumerate(self._places)
        ]
        return np.column_stack(columns) if self._wanted.numbers_alone else Table(tuple(columns))

    def _check_type(self, position: int, kind: pa.DataType) -> None:
        held = kind.value_type if pa.types.is_dictionary(kind) else kind
        takes = self._wanted.kinds[position]
        fits = _is_text(held) if takes == "text" else _is_number(held)
        if fits or pa.types.is_null(held):
            return
        name = named(self._wanted.names[position])
        remedy = next((text for holds, text in REMEDIES if holds(held)), "")
        raise Unreadable(
            f"the column {name} holds {str(kind)[:LONGEST_TYPE]}, where the model takes a {takes}"
            + (f"; {remedy}" if remedy else ""),
            column=position,
        )

    def _number(self, column: pa.Array, first: int, position: int) -> NDArray[np.float64]:
        self._refuse_missing(column, first, position, "a number")
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if column.null_count == len(column):
            return np.full(len(column), np.nan)
        missing = column.is_null().to_numpy(zero_copy_only=False) if column.null_count else None
        if missing is not None:
            column = column.fill_null(pa.scalar(0, pa.int8()).cast(column.type))
        values = exact(column.to_numpy(zero_copy_only=False), first=first, column=position)
        if missing is not None:
            values[missing] = np.nan
        return values

    def _text(self, column: pa.Array, first: int, position: int) -> NDArray[Any]:
        self._refuse_missing(column, first, position, "a text")
        if not pa.types.is_dictionary(column.type):
            return _objects(column.to_pylist())
        # A text that many rows share is one object here: a large one is not copied for each.
        used, places = np.unique(
            column.indices.cast(pa.int64()).fill_null(-1).to_numpy(), return_inverse=True
        )
        known = column.dictionary.take(pa.array(used, mask=used < 0)).to_pylist()
        texts: NDArray[Any] = _objects(known)[places]
        return texts

    def _refuse_missing(self, column: pa.Array, first: int, position: int, takes: str) -> None:
        if self._wanted.missing or not column.null_count:
            return
        absent = column.is_null().to_numpy(zero_copy_only=False)
        row = first + int(np.argmax(absent))
        raise Unreadable(f"missing; the model takes {takes} here", row=row, column=position)


def _objects(values: list[Any]) -> NDArray[Any]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))
