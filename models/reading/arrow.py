"""Arrow IPC, as a stream or a file, and Parquet: record batches of columns with names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from models.reading import Unreadable
from models.reading.arrow_columns import ArrowColumns
from models.tables import Features
from models.wanted import Wanted

FILE: Final = b"ARROW1"
FRAME_BYTES: Final = 8
MOST_THRIFT_TEXT: Final = 16 * 1024**2
MOST_THRIFT_ITEMS: Final = 1_000_000
BUFFER_BYTES: Final = 1024**2
LONGEST_PROBLEM: Final = 200


class ArrowRows:
    """The rows of an Arrow IPC stream, or of an IPC file, which is one between two frames.

    The stream in a file is read and not its list of batches, which Arrow reads in threads.
    """

    def __init__(self, file: BinaryIO, wanted: Wanted) -> None:
        self._file = file
        with _refusals("Arrow IPC"):
            opened = self._open()
            self._columns = ArrowColumns(opened.schema, wanted)
            self.rows = sum(batch.num_rows for batch in opened)

    def batches(self, most: int) -> Iterator[Features]:
        """The rows in their order."""
        with _refusals("Arrow IPC"):
            yield from _cut(self._open(), self._columns, most)

    def _open(self) -> Any:
        self._file.seek(0)
        self._file.seek(FRAME_BYTES if self._file.read(len(FILE)) == FILE else 0)
        return pa.ipc.open_stream(self._file, options=pa.ipc.IpcReadOptions(use_threads=False))


class ParquetRows:
    """The rows of a Parquet file."""

    def __init__(self, file: BinaryIO, wanted: Wanted) -> None:
        with _refusals("Parquet"):
            self._opened = pq.ParquetFile(
                file,
                pre_buffer=False,  # it would start threads, and keep whole row groups
                buffer_size=BUFFER_BYTES,
                thrift_string_size_limit=MOST_THRIFT_TEXT,
                thrift_container_size_limit=MOST_THRIFT_ITEMS,
            )
            self._columns = ArrowColumns(self._opened.schema_arrow, wanted)
            self.rows = max(0, self._opened.metadata.num_rows)

    def batches(self, most: int) -> Iterator[Features]:
        """The rows in their order."""
        with _refusals("Parquet"):
            read = self._opened.iter_batches(batch_size=most, use_threads=False)
            yield from _cut(read, self._columns, most)


def _cut(batches: Iterator[pa.RecordBatch], columns: ArrowColumns, most: int) -> Iterator[Features]:
    first = 0
    for batch in batches:
        batch.validate(full=True)  # lengths, offsets and texts are what a stranger wrote
        for start in range(0, batch.num_rows, most):
            yield columns.features(batch.slice(start, most), first=first + start)
        first += batch.num_rows


@contextmanager
def _refusals(kind: str) -> Iterator[None]:
    """Turn what Arrow says of a broken file into Unreadable; too little memory is for others."""
    try:
        yield
    except pa.ArrowMemoryError as error:
        raise MemoryError from error
    except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError, KeyError) as error:
        problem = str(error)[:LONGEST_PROBLEM]
        raise Unreadable(f"it cannot be read as {kind}: {problem}") from error
