"""Arrow streams of plain numbers that are whole in memory, read without Arrow's own parser.

A small file is not worth a process of the sandbox. This reads it in the worker, for it is Python:
lengths and places that a stranger wrote are compared with what is there, and numbers are taken
from their bytes. It may only say yes. What it does not recognise, be it unusual or broken, is left
to the reader in the sandbox, which reads all of Arrow and says what is wrong with it.

The form is that of Arrow's columnar format, 1.0 and later: "Encapsulated message format" there,
and Message.fbs and Schema.fbs for the numbers of members.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from flatbuffers import number_types as kinds
from flatbuffers.table import Table as Flat
from numpy.typing import NDArray

from models.tables import LARGEST_INTEGER, Matrix
from models.wanted import Wanted, without_index

PREFIX: Final = struct.Struct("<Ii")  # that a message follows, and how long its head is
CONTINUES: Final = 0xFFFFFFFF
ROOT: Final = struct.Struct("<I")
ALIGNMENT: Final = 8
# Of all heads together: each column of each batch takes some microseconds, and 48 bytes.
MOST_HEADS: Final = 64 * 1024
LEAST_FIELD: Final = 32  # bytes of a column in a schema, with its name and its type
VERSIONS: Final = frozenset({3, 4})  # of metadata: those of Arrow 0.8 and of 1.0
# Of the union of a message's heads.
SCHEMA: Final = 1
RECORD_BATCH: Final = 3
# Of the union of types; the widths of integers are in bits.
INTEGER: Final = 2
FLOATING_POINT: Final = 3
FLOATS: Final[dict[int, np.dtype[Any]]] = {1: np.dtype("<f4"), 2: np.dtype("<f8")}
WIDTHS: Final = frozenset({8, 16, 32, 64})
# What flatbuffers and struct say of places that are none.
BROKEN: Final = (struct.error, ValueError, TypeError, IndexError, OverflowError)


class _Unusual(Exception):
    """Raised where a stream is not of the plain form."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers, none of them missing."""

    name: str
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True, eq=False)
class ArrowStream:
    """The rows of a stream: of each record batch the model's columns, in the model's order.

    `size` is how many bytes the stream has.
    """

    rows: int
    size: int
    parts: tuple[tuple[NDArray[Any], ...], ...]

    def batches(self, most: int) -> Iterator[Matrix]:
        """The rows in their order, at most so many at once."""
        for columns in self.parts:
            for start in range(0, len(columns[0]), most):
                cut = [column[start : start + most] for column in columns]
                yield np.column_stack(cut).astype(np.float64, copy=False)


def read_arrow_stream(body: bytes, wanted: Wanted) -> ArrowStream | None:
    """Read a stream as a model takes its rows; None for one that is to be read elsewhere."""
    if not wanted.numbers_alone:
        return None
    try:
        return _read(body, wanted)
    except (_Unusual, *BROKEN):
        return None


def _read(body: bytes, wanted: Wanted) -> ArrowStream:
    messages = _messages(body)
    head, _, size = next(messages, (b"", 0, 0))
    columns = _schema(head)
    kept = without_index([column.name for column in columns])
    places = wanted.places([columns[at].name for at in kept])
    if size or places is None:
        raise _Unusual
    chosen = [kept[place] for place in places]
    parts = tuple(_batch(body, message, columns, chosen) for message in messages)
    return ArrowStream(sum(len(part[0]) for part in parts), len(body), parts)


def _messages(body: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The head of each message, and where what belongs to it begins and how long that is."""
    at, left = 0, MOST_HEADS
    while at < len(body):
        continues, size = PREFIX.unpack_from(body, at)
        at += PREFIX.size
        left -= size
        if continues != CONTINUES or size % ALIGNMENT or size < 0 or left < 0:
            raise _Unusual
        if not size:
            break
        head, at = body[at : at + size], at + size
        message = _root(head)
        length = _number(message, 3, kinds.Int64Flags)
        known = _number(message, 0, kinds.Int16Flags) in VERSIONS
        if not known or not 0 <= length <= len(body) - at:
            raise _Unusual
        yield head, at, length
        at += length
    if at != len(body):
        raise _Unusual


def _schema(head: bytes) -> tuple[Column, ...]:
    schema = _header(head, SCHEMA)
    if _number(schema, 0, kinds.Int16Flags):  # of the other byte order
        raise _Unusual
    start, count = _vector(schema, 1)
    if not 0 < count <= len(head) // LEAST_FIELD:
        raise _Unusual
    columns, left = [], len(head)
    for at in range(count):
        column = _column(Flat(head, schema.Indirect(start + 4 * at)))
        left -= len(column.name)
        if left < 0:  # fields share their bytes: a long name would be there many times
            raise _Unusual
        columns.append(column)
    return tuple(columns)


def _column(field: Flat) -> Column:
    if field.Offset(_slot(4)):  # it has a dictionary
        raise _Unusual
    name = field.String(field.Pos + _there(field, 0)).decode()
    kind, described = _number(field, 2, kinds.Uint8Flags), _table(field, 3)
    if kind == FLOATING_POINT:
        dtype = FLOATS.get(_number(described, 0, kinds.Int16Flags))
        if dtype is not None:
            return Column(name, dtype)
    width = _number(described, 0, kinds.Int32Flags)
    if kind != INTEGER or width not in WIDTHS:
        raise _Unusual
    signed = _number(described, 1, kinds.BoolFlags)
    integer: np.dtype[Any] = np.dtype(f"<{'i' if signed else 'u'}{width // 8}")
    return Column(name, integer)


def _batch(
    body: bytes, message: tuple[bytes, int, int], columns: tuple[Column, ...], chosen: list[int]
) -> tuple[NDArray[Any], ...]:
    """The chosen columns of a record batch, where they lie."""
    head, begin, size = message
    batch = _header(head, RECORD_BATCH)
    if batch.Offset(_slot(3)) or batch.Offset(_slot(4)):  # compressed, or of views
        raise _Unusual
    rows = _number(batch, 0, kinds.Int64Flags)
    nodes, buffers = _pairs(batch, 1, len(columns)), _pairs(batch, 2, 2 * len(columns))
    if rows < 0 or any(length != rows or missing for length, missing in nodes):
        raise _Unusual
    if rows * sum(columns[at].dtype.itemsize for at in chosen) > size:  # columns share their bytes
        raise _Unusual
    made = []
    for at in chosen:
        dtype, (place, length) = columns[at].dtype, buffers[2 * at + 1]
        needed = rows * dtype.itemsize
        within = 0 <= place <= size and needed <= length <= size - place
        if not within or place % ALIGNMENT:
            raise _Unusual
        made.append(_exact(np.frombuffer(body, dtype, rows, begin + place)))
    return tuple(made)


def _exact(values: NDArray[Any]) -> NDArray[Any]:
    """The values, if float64 can tell each of them from its neighbours."""
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8 and len(values):
        least, most = int(values.min()), int(values.max())
        if least < -LARGEST_INTEGER or most > LARGEST_INTEGER:
            raise _Unusual
    return values


def _root(head: bytes) -> Flat:
    return Flat(head, *ROOT.unpack_from(head))


def _header(head: bytes, kind: int) -> Flat:
    """What a message is about, if it is of that kind."""
    message = _root(head)
    if _number(message, 1, kinds.Uint8Flags) != kind:
        raise _Unusual
    return _table(message, 2)


def _slot(member: int) -> int:
    return 4 + 2 * member


def _there(table: Flat, member: int) -> int:
    """Where a member stands in its table, if it is there."""
    place: int = table.Offset(_slot(member))
    if not place:
        raise _Unusual
    return place


def _number(table: Flat, member: int, kind: Any) -> int:
    number: int = table.GetSlot(_slot(member), 0, kind)
    return number


def _table(table: Flat, member: int) -> Flat:
    return Flat(table.Bytes, table.Indirect(table.Pos + _there(table, member)))


def _vector(table: Flat, member: int) -> tuple[int, int]:
    """Where a vector begins, and how many members it says to have."""
    place = _there(table, member)
    return table.Vector(place), table.VectorLen(place)


def _pairs(table: Flat, member: int, count: int) -> list[tuple[int, int]]:
    """A vector of so many pairs of integers."""
    start, stated = _vector(table, member)
    if stated != count:
        raise _Unusual
    return [struct.unpack_from("<qq", table.Bytes, start + 16 * at) for at in range(count)]
