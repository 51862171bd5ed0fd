"""What was logged of a model as columns: the inputs, and what one method answered.

The files are the platform's own; what stands in them came from callers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.prediction_log.parquet import INPUT, MICROSECONDS, OUTPUT

LIVE: Final = "live"
NEEDED: Final = ("time", "role", "method")


@dataclass(frozen=True, slots=True)
class Logged:
    """Rows that callers sent, by column; `answers` are those of one method."""

    rows: int
    columns: Mapping[str, NDArray[Any]]
    answers: NDArray[Any] | None


def read_logged(
    segments: Iterable[bytes], *, method: str, since: float | None, until: float | None
) -> Logged:
    """Put the live rows of a time together; a column has the rows of the files that hold it."""
    rows = 0
    parts: dict[str, list[NDArray[Any]]] = {}
    answers: list[NDArray[Any]] = []
    for content in segments:
        table = _live(_read(content), since, until)
        rows += table.num_rows
        for name in table.column_names:
            if name.startswith(INPUT):
                parts.setdefault(name.removeprefix(INPUT), []).append(_cells(table[name]))
        if OUTPUT in table.column_names and pc.all(pc.equal(table["method"], method)).as_py():
            answers.append(_cells(table[OUTPUT]))
    columns = {name: _joined(each) for name, each in parts.items()}
    return Logged(rows, columns, _joined(answers) if answers else None)


def _read(content: bytes) -> pa.Table:
    # Where this runs there are no threads to be had.
    return pq.ParquetFile(pa.BufferReader(content), pre_buffer=False).read(use_threads=False)


def _live(table: pa.Table, since: float | None, until: float | None) -> pa.Table:
    wanted = pc.equal(table["role"], LIVE)
    if since is not None:
        wanted = pc.and_(wanted, pc.greater_equal(table["time"], _time(since)))
    if until is not None:
        wanted = pc.and_(wanted, pc.less(table["time"], _time(until)))
    return table.filter(wanted)


def _cells(column: pa.ChunkedArray) -> NDArray[Any]:
    return np.asarray(column.combine_chunks().to_numpy(zero_copy_only=False))


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts)


def _time(at: float) -> pa.Scalar:
    return pa.scalar(round(at * MICROSECONDS), pa.int64()).cast(pa.timestamp("us", tz="UTC"))
