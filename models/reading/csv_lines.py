"""CSV as RFC 4180 has it: commas, quotes that are doubled, UTF-8, with or without names.

What has no quotes is parsed in large pieces by pandas; what it does not take, and all that comes
after the first quote, is read cell by cell, so that what is refused is known by row and column.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.reading import Unreadable
from models.reading.choosing import INDEX, choose, choose_by_place
from models.reading.csv_cells import ABSENT, is_number, numbers, texts
from models.tables import LARGEST_INTEGER, Features, Table, take
from models.wanted import Wanted, are_numbers

BLOCK_BYTES: Final = 2 * 1024**2
MOST_LINE: Final = 4 * 1024**2
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
COMMA, NEWLINE, QUOTE = b',\n"'
NEWLINES: Final = re.compile(rb"\n{2,}")
CELLS_AT_ONCE: Final = 2**16
MOST_EMPTY: Final = 2**20
LONGEST_PROBLEM: Final = 100
TOO_LONG: Final = f"a line of more than {MOST_LINE} bytes"
MISSING: Final = list(ABSENT)


class CsvRows:
    """The rows of a CSV file; `header` says whether its first line is names, None if unsaid."""

    def __init__(self, file: BinaryIO, wanted: Wanted, *, header: bool | None = None) -> None:
        csv.field_size_limit(MOST_LINE)
        self._file = file
        self._wanted = wanted
        first = self._first_line()
        self._index = int(header is not False and _has_index(first, wanted))
        names = header if header is not None else bool(self._index) or _are_names(first, wanted)
        self._skipped = int(names)
        if names:
            places = choose(first[self._index :], wanted)
        else:
            choose_by_place(len(first), wanted, remedy=INDEX)
            places = list(range(wanted.count))
        self._places = [place + self._index for place in places]
        self._width = wanted.count + self._index
        self.rows = self._count() - self._skipped

    def batches(self, most: int) -> Iterator[Features]:
        """The rows in their order."""
        row, blocks = 0, self._full_blocks()
        skipped = self._skipped
        for block in blocks:
            if QUOTE in block:
                rest = _lines(itertools.chain([block], blocks))
                yield from self._read_cells(rest, row, most, skipped=skipped)
                return
            if skipped:
                block, skipped = block[block.index(b"\n") + 1 :], 0
            for features in self._read_block(block, row, most):
                for start in range(0, len(features), most):
                    yield take(features, start, min(start + most, len(features)))
                row += len(features)

    def _first_line(self) -> list[str]:
        with _Refusals():
            found = next(_rows(_lines(self._full_blocks())), None)
        if found is None:
            raise Unreadable("there are no rows")
        return found

    def _blocks(self) -> Iterator[bytes]:
        """The file in pieces of whole lines, which end with a newline."""
        self._file.seek(0)
        left = self._file.read(len(BYTE_ORDER_MARK)).removeprefix(BYTE_ORDER_MARK)
        while data := self._file.read(BLOCK_BYTES):
            if b"\0" in data:
                raise Unreadable("it holds a zero byte, so that it is no CSV in UTF-8")
            left += data
            cut = left.rfind(b"\n") + 1
            if cut:
                yield left[:cut]
                left = left[cut:]
            if len(left) > MOST_LINE:
                raise Unreadable(TOO_LONG)
        if left:
            yield left + b"\n"

    def _full_blocks(self) -> Iterator[bytes]:
        """The same pieces, up to the first quote with one kind of line end and no empty line."""
        blocks = self._blocks()
        for block in blocks:
            if QUOTE in block:
                yield block
                break
            if b"\r" in block:
                block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            if b"\n\n" in block:
                block = NEWLINES.sub(b"\n", block)
            if block := block.lstrip(b"\n"):
                yield block
        yield from blocks

    def _count(self) -> int:
        """How many lines there are that are not empty, of those outside quotes."""
        count, inside = 0, 0
        for block in self._full_blocks():
            lines = block.replace(b"\r\n", b"\n") if b"\r" in block else block
            if not inside and QUOTE not in lines and b"\n\n" not in lines:
                count += lines.count(b"\n") - lines.startswith(b"\n")
                continue
            data = np.frombuffer(lines, np.uint8)
            quoted = (np.cumsum(data == QUOTE) + inside) & 1
            inside = int(quoted[-1])
            ends = (data == NEWLINE) & (quoted == 0)
            empty = ends & (np.concatenate(([NEWLINE], data[:-1])) == NEWLINE)
            count += int(ends.sum()) - int(empty.sum())
        return count

    def _read_block(self, block: bytes, row: int, most: int) -> Iterator[Features]:
        features = self._parse(block) if self._is_even(block) else None
        if features is not None:
            yield features
        else:
            yield from self._read_cells(_lines([block]), row, most, skipped=0)

    def _is_even(self, block: bytes) -> bool:
        """Whether every line has as many cells as there are columns."""
        data = np.frombuffer(block, np.uint8)
        ends, commas = np.flatnonzero(data == NEWLINE), np.flatnonzero(data == COMMA)
        counts = np.diff(np.searchsorted(commas, ends), prepend=0)
        return bool((counts == self._width - 1).all())

    def _parse(self, block: bytes) -> Features | None:
        """The rows of a block without quotes, or None if a cell has to be looked at."""
        kinds = {at: self._wanted.kinds[position] for position, at in enumerate(self._places)}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                frame = pd.read_csv(
                    io.BytesIO(block),
                    header=None,
                    index_col=False,
                    names=range(self._width),
                    usecols=sorted(self._places),
                    dtype={at: float if kind == "number" else object for at, kind in kinds.items()},
                    keep_default_na=False,
                    na_values={at: MISSING for at, kind in kinds.items() if kind == "number"},
                    quoting=csv.QUOTE_NONE,
                    low_memory=False,
                )
        except (ValueError, OverflowError):  # of texts that are no numbers, or no UTF-8
            return None
        kept = [frame[at] for at in self._places]
        return self._checked([column.to_numpy(copy=column.dtype == object) for column in kept])

    def _checked(self, columns: list[NDArray[Any]]) -> Features | None:
        """The columns as rows, or None if one may hold what has to be refused."""
        for column in columns:
            if column.dtype == object:
                missing = column == ""
                column[missing] = None
            else:
                missing = np.isnan(column)
                if (np.abs(column) >= LARGEST_INTEGER).any():
                    return None
            if missing.any() and not self._wanted.missing:
                return None
        return np.column_stack(columns) if self._wanted.numbers_alone else Table(tuple(columns))

    def _read_cells(
        self, lines: Iterable[str], row: int, most: int, *, skipped: int
    ) -> Iterator[Features]:
        """Rows cell by cell, at most so many at once, from lines that begin with a whole one."""
        at_once = max(1, min(most, CELLS_AT_ONCE // self._wanted.count))
        with _Refusals():
            reader = itertools.islice(_rows(lines), skipped, None)
            while rows := list(itertools.islice(reader, at_once)):
                yield self._bound(rows, row)
                row += len(rows)

    def _bound(self, rows: Sequence[Sequence[str]], first: int) -> Features:
        for at, cells in enumerate(rows):
            if len(cells) != self._width:
                beside = " and an index is beside them" if self._index else ""
                problem = f"{len(cells)} cells, where the model takes {self._wanted.count}{beside}"
                raise Unreadable(problem, row=first + at)
        columns = list(zip(*rows, strict=True))
        read = [
            (texts if kind == "text" else numbers)(
                columns[place], self._wanted, first=first, column=position
            )
            for position, (kind, place) in enumerate(
                zip(self._wanted.kinds, self._places, strict=True)
            )
        ]
        return np.column_stack(read) if self._wanted.numbers_alone else Table(tuple(read))


def _are_names(line: Sequence[str], wanted: Wanted) -> bool:
    """Whether the first line is names: it has no number, or of texts alone a name of the model."""
    if set(line) == set(wanted.names):
        return True
    if "number" in wanted.kinds:
        return not any(is_number(cell) for cell in line)
    return bool(set(line) & set(wanted.names))


def _has_index(line: Sequence[str], wanted: Wanted) -> bool:
    """Whether the first line is names, and those of all columns but the first, as pandas writes."""
    if line[0] or "" in wanted.names:
        return False
    names = line[1:]
    if wanted.named and set(wanted.names) & set(names):
        return True
    fits = len(names) == wanted.count
    return fits and (are_numbers(names) or _are_names(names, wanted))


def _rows(lines: Iterable[str]) -> Iterator[list[str]]:
    """The cells of each line that is not empty; raises Unreadable for many more that are.

    Rows are charged to whoever sent them, and empty lines to nobody.
    """
    rows = empty = 0
    for cells in csv.reader(lines, strict=True):
        if cells:
            rows += 1
            yield cells
        else:
            empty += 1
            if empty > MOST_EMPTY + rows:
                raise Unreadable(f"more than {MOST_EMPTY} empty lines besides one for each row")


def _lines(blocks: Iterable[bytes]) -> Iterator[str]:
    for block in blocks:
        yield from io.StringIO(block.decode(), newline="")


class _Refusals:
    """Turns what Python says of broken CSV into Unreadable."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, UnicodeDecodeError):
            raise Unreadable("it is not UTF-8") from error
        if isinstance(error, csv.Error):
            raise Unreadable(f"it is no CSV: {str(error)[:LONGEST_PROBLEM]}") from error
