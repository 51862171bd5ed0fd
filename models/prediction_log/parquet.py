"""Segments as Parquet: one row per predicted row, the columns of which the schema below names.

time          timestamp[us, UTC]  when the call was answered
request_id    string              as the answer's X-Request-Id, and the platform's own log
principal_id  string              who called, as an opaque identifier
dialect       string              the protocol that the call came in
role          string              live, or shadow: answered, and nobody told
version       int64               the version that answered
method        string              by which of its methods
row           int64               the position of the row in its call
compute_ms    double              the model's time for the whole call
input.<name>  double or string    each input that is kept; NaN is a missing number, null a text
output        double, int64, bool or string; where a method gives several, output.0, output.1, ...
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from models.prediction_log.excerpts import Excerpt
from models.tables import Table, stack

if TYPE_CHECKING:
    import pyarrow as pa

COMPRESSION: Final = "zstd"
INPUT: Final = "input."
OUTPUT: Final = "output"
MICROSECONDS: Final = 1_000_000


def write_segment(excerpts: Sequence[Excerpt]) -> bytes:
    """The rows of excerpts of one version and method as a Parquet file."""
    # Imported by the thread that writes: no worker needs it that logs nothing.
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(_calls(excerpts) | _inputs(excerpts) | _outputs(excerpts))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression=COMPRESSION)
    return bytes(sink.getvalue())


def _calls(excerpts: Sequence[Excerpt]) -> dict[str, pa.Array]:
    import pyarrow as pa

    counts = [excerpt.rows for excerpt in excerpts]
    first = excerpts[0]

    def texts(of: Callable[[Excerpt], str]) -> pa.Array:
        values = [of(excerpt) for excerpt in excerpts]
        return pa.array(np.repeat(np.array(values, object), counts), pa.string())

    def numbers(of: Callable[[Excerpt], float], kind: Any) -> NDArray[Any]:
        return np.repeat(np.array([of(excerpt) for excerpt in excerpts], kind), counts)

    times = numbers(lambda e: round(e.call.at * MICROSECONDS), np.int64)
    return {
        "time": pa.array(times).cast(pa.timestamp("us", tz="UTC")),
        "request_id": texts(lambda e: e.call.request_id),
        "principal_id": texts(lambda e: e.call.principal_id),
        "dialect": texts(lambda e: e.call.dialect),
        "role": texts(lambda e: e.call.role),
        "version": pa.array(numbers(lambda e: e.version.number, np.int64)),
        "method": pa.array([first.method] * sum(counts), pa.string()),
        "row": pa.array(np.concatenate([e.positions for e in excerpts]).astype(np.int64)),
        "compute_ms": pa.array(numbers(lambda e: e.call.seconds * 1000, np.float64)),
    }


def _inputs(excerpts: Sequence[Excerpt]) -> dict[str, pa.Array]:
    parts = [excerpt.inputs for excerpt in excerpts if excerpt.inputs is not None]
    if not parts:
        return {}
    first, rows = excerpts[0], stack(parts)
    columns = rows.columns if isinstance(rows, Table) else np.ascontiguousarray(rows.T)
    names = [INPUT + first.version.signature.column(at) for at in first.kept]
    return {name: _cells(column) for name, column in zip(names, columns, strict=True)}


def _outputs(excerpts: Sequence[Excerpt]) -> dict[str, pa.Array]:
    answers = np.concatenate([excerpt.answers for excerpt in excerpts])
    if answers.ndim == 1:
        return {OUTPUT: _cells(answers)}
    columns = np.ascontiguousarray(answers.reshape(len(answers), -1).T)
    return {f"{OUTPUT}.{at}": _cells(column) for at, column in enumerate(columns)}


def _cells(column: NDArray[Any]) -> pa.Array:
    """One column in the widest type of its kind, so that the files of a version are alike."""
    import pyarrow as pa

    match column.dtype.kind:
        case "f":
            return pa.array(column.astype(np.float64, copy=False))  # NaN stays what it is
        case "i" | "u":
            return pa.array(column.astype(np.int64, copy=False))
        case "b":
            return pa.array(column.astype(np.bool_, copy=False))
    texts = [None if cell is None else str(cell) for cell in column.tolist()]
    return pa.array(texts, pa.string())
