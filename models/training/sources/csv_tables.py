"""CSV in UTF-8 with names in its first line; a row that is broken is reported by its number."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from config.prose import listed, one_line
from models.errors import DataRefused
from models.reading.csv_cells import ABSENT, is_number
from models.training.sources import MOST_SHOWN, Columns, check_names, check_size
from models.training.study import Finding

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
OTHER_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
OTHER_DELIMITERS: Final = (";", "\t", "|")
LONGEST_CELL: Final = 4 * 1024**2
ROWS_AT_ONCE: Final = 20_000
CODE: Final = r"^\s*[+-]?0\d"  # zeros before a number are part of a code
# Numbers as much of Europe writes them, and a cell that shows that the comma is no thousands'.
COMMA_NUMBER: Final = r"^\s*[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?\s*$"
DECIMAL_COMMA: Final = r",(\d{1,2}|\d{4,})\s*$"


def read_csv(data: bytes) -> Columns:
    """The columns of a CSV file; raises DataRefused with a report of its broken rows."""
    text = _decoded(data.removeprefix(BYTE_ORDER_MARK))
    delimiter = _delimiter(text)
    lines = _Lines(text, delimiter)
    names, findings = _named(lines.header())
    check_names(names)
    chunks = list(lines.chunks(len(names)))
    lines.refuse_broken(len(names))
    check_size(lines.rows, len(names))
    values = {}
    for at, name in enumerate(names):
        texts = pa.chunked_array([chunk[at] for chunk in chunks])
        pointed = None if delimiter == "," else _with_points(texts)
        values[name], told = _column(name, texts if pointed is None else pointed)
        if pointed is not None:
            told += (_note(name, "its numbers have a decimal comma; callers send 1.5 for 1,5"),)
        findings += told
    if delimiter != ",":
        findings += (_note("table", f"its cells are parted by {delimiter!r}, not by commas"),)
    return Columns(values=values, set_aside={}, findings=findings)


def _decoded(data: bytes) -> str:
    if data.startswith(OTHER_MARKS) or b"\0" in data:
        raise DataRefused("it is neither text in UTF-8 nor another format that is taken")
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass
    bad = [at for at, line in enumerate(data.split(b"\n"), 1) if not _is_text(line)]
    raise DataRefused(
        f"{len(bad)} of its lines hold bytes that are not UTF-8",
        "write the file in UTF-8",
        report=tuple(f"line {at}: bytes that are not UTF-8" for at in bad[:MOST_SHOWN]),
    )


def _is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _delimiter(text: str) -> str:
    first = text[: text.find("\n")] if "\n" in text else text
    if "," in first:
        return ","
    return next((one for one in OTHER_DELIMITERS if one in first), ",")


@dataclass
class _Lines:
    """The rows of a text, and what is wrong with those that are broken."""

    text: str
    delimiter: str
    rows: int = 0
    broken: int = 0
    report: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        csv.field_size_limit(LONGEST_CELL)
        lines = io.StringIO(self.text, newline="")
        self._reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        self._cells = (cells for cells in self._reader if cells)

    def header(self) -> list[str]:
        """The cells of the first line."""
        first = list(self._next(1))
        if not first:
            raise DataRefused("it is empty")
        return first[0]

    def chunks(self, width: int) -> Iterator[list[pa.Array]]:
        """Columns of some rows at a time, of all rows that have as many cells as there are names.

        Broken rows are taken note of, not left out in silence: `refuse_broken` is to be called.
        """
        while rows := self._next(ROWS_AT_ONCE):
            even = []
            for cells in rows:
                self.rows += 1
                if len(cells) == width:
                    even.append(cells)
                else:
                    self._note(len(cells), width)
            if even:
                yield [pa.array(column, pa.large_string()) for column in zip(*even, strict=True)]
            check_size(self.rows, width)

    def refuse_broken(self, width: int) -> None:
        """Raise DataRefused with a report if any row was broken."""
        if self.broken:
            raise DataRefused(
                f"{self.broken} of its {self.rows} rows have not {width} cells, as the first line",
                "put cells that hold commas in quotes, and an empty cell where there is none",
                report=tuple(self.report),
            )

    def _next(self, most: int) -> Sequence[list[str]]:
        try:
            return list(islice(self._cells, most))
        except csv.Error as error:
            problem = f"line {self._reader.line_num}: {error}"[:200]
            raise DataRefused(f"it is no CSV: {problem}", report=(problem,)) from error

    def _note(self, found: int, width: int) -> None:
        self.broken += 1
        if len(self.report) < MOST_SHOWN:
            self.report.append(f"row {self.rows}: {found} cells where there are {width} names")


def _named(header: list[str]) -> tuple[list[str], tuple[Finding, ...]]:
    """Names for all columns; one without is named by its place, as pandas does with an index."""
    names = [name.strip() for name in header]
    if all(is_number(name) for name in names):
        shown = listed([one_line(name, 20) for name in names], 3)
        raise DataRefused(f"its first line holds no names: {shown}", "write names above the rows")
    blank = [at for at, name in enumerate(names) if not name]
    for at in blank:
        names[at] = f"column_{at + 1}"
    told = [
        _note(names[at], "it has no name in the file, so it is called by its place") for at in blank
    ]
    return names, tuple(told)


def _with_points(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """A column of numbers with a decimal comma as the others write them; None if it is none."""
    known = pc.filter(texts, pc.invert(_absent(texts)))
    if not pc.any(pc.match_substring_regex(known, DECIMAL_COMMA)).as_py():
        return None
    if not pc.all(pc.match_substring_regex(known, COMMA_NUMBER)).as_py():
        return None
    return pc.replace_substring(pc.replace_substring(texts, ".", ""), ",", ".")


def _absent(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.is_in(texts, pa.array(ABSENT, pa.large_string()))


def _column(name: str, texts: pa.ChunkedArray) -> tuple[NDArray[Any], tuple[Finding, ...]]:
    """Numbers, if every cell is one or says that there is none; else texts as they are."""
    absent = _absent(texts)
    stated = pc.if_else(absent, pa.scalar(None, pa.large_string()), texts)
    numbers = _numbers(stated)
    if numbers is None:
        return _objects(texts), ()
    words = pc.value_counts(pc.filter(texts, absent)).to_pylist()
    told = [
        _note(
            name,
            f"{word['counts']} cells say {word['values']}, which is taken as missing",
            word["counts"],
        )
        for word in words
        if word["values"]
    ]
    return numbers, tuple(told)


def _numbers(stated: pa.ChunkedArray) -> NDArray[Any] | None:
    """Whole numbers where all are, else floats with NaN; None if a cell is no number."""
    if stated.null_count == len(stated):
        return np.full(len(stated), np.nan)
    if pc.any(pc.match_substring_regex(stated, CODE)).as_py():
        return None
    floats = _cast(stated, pa.float64())
    if floats is None or stated.null_count:
        return floats
    whole = _cast(stated, pa.int64())
    return floats if whole is None else whole


def _cast(stated: pa.ChunkedArray, kind: pa.DataType) -> NDArray[Any] | None:
    try:
        return np.asarray(pc.cast(stated, kind).to_numpy())
    except pa.ArrowInvalid:
        return None


def _objects(texts: pa.ChunkedArray) -> NDArray[Any]:
    """Texts, each of which is kept once however often it is there; empty ones are None."""
    encoded = texts.combine_chunks().dictionary_encode()
    known = np.array([text or None for text in encoded.dictionary.to_pylist()], dtype=object)
    return np.asarray(known[encoded.indices.to_numpy()])


def _note(where: str, what: str, count: int = 0) -> Finding:
    return Finding(severity="note", where=where, what=what, count=count)
