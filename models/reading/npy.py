"""npy: one array, a row for each of the model's, read in pieces wherever they lie."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from tokenize import TokenError
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from models.reading import Unreadable
from models.reading.choosing import choose_by_place
from models.reading.numbers import exact
from models.tables import Features, Table
from models.wanted import Wanted

MAGIC: Final = b"\x93NUMPY"
PREFIX_BYTES: Final = 12
MOST_HEADER: Final = 8 * 1024  # a plain array's has about a hundred bytes
BYTES_AT_ONCE: Final = 8 * 1024**2
NUMBERS: Final = "biuf"
NUMBER_BYTES: Final = 8
# What numpy, Python's parser and its tokenizer say of a header that is none.
HEADER_BROKEN: Final = (
    ValueError,
    TypeError,
    SyntaxError,
    KeyError,
    OverflowError,
    RecursionError,
    TokenError,
)
REMEDY: Final = "an npy file is read if it holds one array of numbers, or of texts of fixed length"


class NpyRows:
    """The rows of an array of one dimension or two."""

    def __init__(self, file: BinaryIO, wanted: Wanted) -> None:
        self._file = file
        self._shape, self._by_column, self._dtype = _read_header(file)
        self._start = file.tell()
        self._check_dtype(wanted)
        self.rows, columns = self._rows_and_columns(wanted)
        choose_by_place(columns, wanted)
        self._columns = columns
        size = file.seek(0, io.SEEK_END) - self._start
        if size != math.prod(self._shape) * self._dtype.itemsize:
            raise Unreadable("the array is not as long as its header says")

    def batches(self, most: int) -> Iterator[Features]:
        """The rows in their order."""
        width = self._columns * self._dtype.itemsize
        most = max(1, min(most, BYTES_AT_ONCE // max(1, width)))
        for first in range(0, self.rows, most):
            count = min(most, self.rows - first)
            read = self._read_columns if self._by_column else self._read_rows
            yield self._features(read(first, count), first)

    def _rows_and_columns(self, wanted: Wanted) -> tuple[int, int]:
        match self._shape:
            case (int(rows), int(columns)):
                return rows, columns
            case (int(rows),) if wanted.count == 1:
                return rows, 1
            case (int(columns),):
                return 1, columns
        raise Unreadable(f"an array of {len(self._shape)} dimensions; give one row for each")

    def _check_dtype(self, wanted: Wanted) -> None:
        kind, size = self._dtype.kind, self._dtype.itemsize
        is_text = kind == "U" and size > 0
        if self._dtype.hasobject or not (is_text or (kind in NUMBERS and size <= NUMBER_BYTES)):
            raise Unreadable(f"an array of the dtype {str(self._dtype)[:100]}; {REMEDY}")
        taken = "text" if is_text else "number"
        for position, column in enumerate(wanted.kinds):
            if column != taken:
                problem = f"a {taken}, where the model takes a {column}"
                raise Unreadable(problem, row=0, column=position)

    def _read_rows(self, first: int, count: int) -> NDArray[Any]:
        at = first * self._columns * self._dtype.itemsize
        return self._read(at, count * self._columns).reshape(count, self._columns)

    def _read_columns(self, first: int, count: int) -> NDArray[Any]:
        size = self._dtype.itemsize
        starts = ((column * self.rows + first) * size for column in range(self._columns))
        return np.column_stack([self._read(at, count) for at in starts])

    def _read(self, at: int, items: int) -> NDArray[Any]:
        self._file.seek(self._start + at)
        return np.frombuffer(self._file.read(items * self._dtype.itemsize), self._dtype)

    def _features(self, values: NDArray[Any], first: int) -> Features:
        if values.dtype.kind != "U":
            return exact(values, first=first)
        return Table(tuple(values[:, at].astype(object) for at in range(self._columns)))


def _read_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    prefix = file.read(PREFIX_BYTES)
    if not prefix.startswith(MAGIC) or len(prefix) < PREFIX_BYTES:
        raise Unreadable("it is no npy file")
    version = prefix[len(MAGIC)], prefix[len(MAGIC) + 1]
    readers = {(1, 0): (npy.read_array_header_1_0, 2), (2, 0): (npy.read_array_header_2_0, 4)}
    if version not in readers:
        raise Unreadable(f"an npy file of the version {version[0]}.{version[1]}; {REMEDY}")
    reader, width = readers[version]
    if int.from_bytes(prefix[8 : 8 + width], "little") > MOST_HEADER:
        raise Unreadable(f"the header of the npy file has more than {MOST_HEADER} bytes")
    file.seek(len(MAGIC) + 2)
    try:
        shape, by_column, dtype = reader(file)
    except HEADER_BROKEN as error:
        raise Unreadable("the header of the npy file cannot be read") from error
    if not all(type(length) is int and length >= 0 for length in shape):
        raise Unreadable("the array has a dimension that is no length")
    return shape, by_column, dtype
