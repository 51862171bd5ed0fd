"""The frames in which a reader hands on the rows of a file: fixed headers, arrays behind them.

    begin    how many rows the file says that it has
    rows     a matrix or a table (models.hosting.payloads), and how far the file has been read
    end      all rows were handed on
    refused  why not: a text, and the row and column that it is about

The reader may be under the power of the file: whatever a header claims is compared with what was
asked for and with a bound before anything is allocated.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from models.errors import FrameMalformed
from models.hosting.payloads import (
    NUMBER_BYTES,
    Buffer,
    decode_matrix,
    decode_table,
    encode_features,
)
from models.tables import Features, Table, column_count, row_count

MAGIC: Final = 0x53_4C_59_52
# magic, kind, padding, columns, rows, the row or place in the file, length of the payload
HEADER: Final = struct.Struct("<IBxxxIIQQ")
BEGIN, MATRIX, TABLE, END, REFUSED, NO_MEMORY = range(6)
MOST_BYTES: Final = 64 * 1024**2  # of one batch
BATCH_BYTES: Final = 4 * 1024**2  # of one as it is made
MOST_PROBLEM: Final = 1000
MOST_ROWS: Final = 2**53 - 1
NOWHERE: Final = 2**64 - 1  # the row of a refusal that is of no row
NO_COLUMN: Final = 2**32 - 1


class RowsHeader(NamedTuple):
    """One header; `at` is a number of rows, a place in the file, or the row of a refusal."""

    kind: int
    columns: int = 0
    rows: int = 0
    at: int = 0
    length: int = 0


def rows_of_batch(most: int, columns: int) -> int:
    """How many rows of numbers a batch has: at most so many, and of a moderate size."""
    return max(1, min(most, BATCH_BYTES // (NUMBER_BYTES * columns)))


def begin(rows: int) -> list[Buffer]:
    """The frame that says how many rows there are to be."""
    return [_pack(RowsHeader(BEGIN, at=min(rows, MOST_ROWS)))]


def batch(features: Features, *, place: int) -> list[Buffer]:
    """The frame with some rows, after which the file has been read as far as `place`."""
    parts = encode_features(features)
    kind = TABLE if isinstance(features, Table) else MATRIX
    length = sum(len(part) for part in parts)
    columns, rows = column_count(features), row_count(features)
    return [_pack(RowsHeader(kind, columns, rows, place, length)), *parts]


def end() -> list[Buffer]:
    """The frame that ends a file which was read."""
    return [_pack(RowsHeader(END))]


def no_memory() -> list[Buffer]:
    """The frame that ends a file whose reading takes more memory than there is."""
    return [_pack(RowsHeader(NO_MEMORY))]


def refused(problem: str, *, row: int | None, column: int | None) -> list[Buffer]:
    """The frame that ends a file which is refused; the text is cut to its bound."""
    text = problem.encode("utf-8", "replace")[:MOST_PROBLEM]
    header = RowsHeader(
        REFUSED,
        columns=NO_COLUMN if column is None else column,
        at=NOWHERE if row is None else row,
        length=len(text),
    )
    return [_pack(header), text]


def read_header(data: Buffer) -> RowsHeader:
    """Read a header; raises FrameMalformed for anything that no reader sends."""
    magic, kind, columns, rows, at, length = HEADER.unpack(data)
    header = RowsHeader(kind, columns, rows, at, length)
    if magic != MAGIC or kind > NO_MEMORY:
        raise FrameMalformed("rows of a file have no such header")
    if kind in (MATRIX, TABLE):
        fits = rows > 0 and columns > 0 and length <= MOST_BYTES
        if kind == MATRIX:
            fits = fits and length == rows * columns * NUMBER_BYTES
    else:
        fits = rows == 0 and length <= (MOST_PROBLEM if kind == REFUSED else 0)
    if not fits or (kind == BEGIN and at > MOST_ROWS):
        raise FrameMalformed("a header of rows contradicts itself")
    return header


def read_rows(header: RowsHeader, payload: Buffer) -> Features:
    """Read the rows; raises FrameMalformed unless they are as the header says."""
    decode = decode_table if header.kind == TABLE else decode_matrix
    return decode(payload, header.rows, header.columns)


def _pack(header: RowsHeader) -> bytes:
    return HEADER.pack(MAGIC, *header)
