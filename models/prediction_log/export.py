"""Segments put together again: one file, or a file for each version and method in a folder.

What is read here was written by this platform and has opened under the key of its log: it is no
file of a stranger's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from models.errors import ExportRefused
from models.prediction_log.parquet import COMPRESSION, MICROSECONDS
from models.prediction_log.segments import Segment

CSV: Final = ".csv"
PARQUET: Final = ".parquet"
ONE_FILE: Final = frozenset({CSV, PARQUET})


class Export:
    """Writes the rows of segments, in their order, readable by the owner alone.

    Files appear whole, at the end of the block; one that is there already is left as it is.
    """

    def __init__(self, output: Path, *, since: float | None, until: float | None) -> None:
        self._output = output
        self._alone = output.suffix.lower() in ONE_FILE
        self._since, self._until = since, until
        self._sheets: dict[Path, _Sheet] = {}
        self.rows = 0

    def __enter__(self) -> Self:
        if self._output.exists() and (self._alone or not self._output.is_dir()):
            raise ExportRefused(f"{self._output} exists", "choose another name")
        folder = self._output.parent if self._alone else self._output
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for sheet in self._sheets.values():
            sheet.close(whole=error is None)

    @property
    def files(self) -> tuple[Path, ...]:
        """What is written, or will be at the end."""
        return tuple(self._sheets)

    def add(self, segment: Segment, content: bytes) -> None:
        """Append the rows of a segment that are of the time wanted; raises ExportRefused."""
        table = self._cut(pq.read_table(pa.BufferReader(content)))
        if table.num_rows:
            self._sheet(segment, table.schema).write(table)
            self.rows += table.num_rows

    def _sheet(self, segment: Segment, schema: pa.Schema) -> _Sheet:
        name = f"version-{segment.version}-{segment.method}{PARQUET}"
        path = self._output if self._alone else self._output / name
        if path not in self._sheets:
            if path.exists():
                raise ExportRefused(f"{path} exists", "choose another folder")
            self._sheets[path] = _Sheet(path, schema)
        if not self._sheets[path].schema.equals(schema):
            raise ExportRefused(
                f"{segment.method} of version {segment.version} has other columns than what "
                "came before",
                "give a folder, which gets a file for each, or --version and --method",
            )
        return self._sheets[path]

    def _cut(self, table: pa.Table) -> pa.Table:
        if self._since is not None:
            table = table.filter(pc.greater_equal(table["time"], _time(self._since)))
        if self._until is not None:
            table = table.filter(pc.less(table["time"], _time(self._until)))
        return table


class _Sheet:
    """One file while it is written, beside its name."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.schema = schema
        self._path = path
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.fdopen(os.open(self._partial, flags, 0o600), "wb")
        self._writer = _WRITERS[path.suffix.lower()](self._file, schema)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table)

    def close(self, *, whole: bool) -> None:
        self._writer.close()
        self._file.close()
        if whole:
            self._partial.rename(self._path)
        else:
            self._partial.unlink(missing_ok=True)


def _parquet(file: Any, schema: pa.Schema) -> Any:
    return pq.ParquetWriter(file, schema, compression=COMPRESSION)


def _csv(file: Any, schema: pa.Schema) -> Any:
    return pyarrow.csv.CSVWriter(file, schema)


_WRITERS: Final[dict[str, Callable[[Any, pa.Schema], Any]]] = {PARQUET: _parquet, CSV: _csv}


def _time(at: float) -> pa.Scalar:
    return pa.scalar(round(at * MICROSECONDS), pa.int64()).cast(pa.timestamp("us", tz="UTC"))
