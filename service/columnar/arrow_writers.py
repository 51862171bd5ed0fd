"""Answers as Arrow IPC and Parquet: only arrays of our own are written, nothing is read.

`pyarrow.array` imports pandas, to see whether it is given some: 55 MB more in every worker that
was asked for such an answer once. So arrays are made of their bytes.
"""

from __future__ import annotations

from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from service.columnar.columns import Answers, columns_of
from service.columnar.writers import Answering

TYPES: Final = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "text": pa.string(),
}
GROUP_ROWS: Final = 128 * 1024


class _Batches:
    """Answers as record batches of one schema."""

    def __init__(self, answering: Answering) -> None:
        self._columns = columns_of(answering.version.signature, answering.methods)
        fields = [(column.name, TYPES[column.kind]) for column in self._columns]
        metadata = {"model": answering.version.model, "version": str(answering.version.number)}
        self.schema = pa.schema(fields, metadata=metadata)

    def of(self, answers: Answers) -> pa.RecordBatch:
        """The answers to some rows."""
        arrays = [_array(column.of(answers), TYPES[column.kind]) for column in self._columns]
        return pa.record_batch(arrays, schema=self.schema)


def _array(values: NDArray[Any], kind: pa.DataType) -> pa.Array:
    """The values as an array of Arrow's, which keeps them where they are if it can."""
    if kind == pa.string():
        texts = pa.lib.StringBuilder()
        texts.append_values(values.tolist())
        return texts.finish()
    if kind == pa.bool_():
        data = np.packbits(values.astype(np.bool_), bitorder="little")
    else:
        data = np.ascontiguousarray(values, kind.to_pandas_dtype())
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(data)])


class ArrowWriter:
    """Arrow IPC, as a stream or as a file."""

    def __init__(self, answering: Answering, sink: BinaryIO, *, framed: bool) -> None:
        self._batches = _Batches(answering)
        make: Any = pa.ipc.new_file if framed else pa.ipc.new_stream
        options = pa.ipc.IpcWriteOptions(use_threads=False)
        self._writer = make(sink, self._batches.schema, options=options)

    def write(self, answers: Answers) -> None:
        """Append a record batch."""
        self._writer.write_batch(self._batches.of(answers))

    def finish(self) -> bytes:
        """Write the end of the stream, and of a file where its batches are."""
        self._writer.close()
        return b""


class ParquetWriter:
    """Parquet in row groups of moderate size."""

    def __init__(self, answering: Answering, sink: BinaryIO) -> None:
        import pyarrow.parquet as pq  # 5 MB that no other form needs

        self._batches = _Batches(answering)
        self._writer = pq.ParquetWriter(sink, self._batches.schema, compression="zstd")
        self._waiting: list[pa.RecordBatch] = []

    def write(self, answers: Answers) -> None:
        """Append rows to the group."""
        self._waiting.append(self._batches.of(answers))
        if sum(batch.num_rows for batch in self._waiting) >= GROUP_ROWS:
            self._write_group()

    def finish(self) -> bytes:
        """Write the last group, and where each of them is."""
        if self._waiting:
            self._write_group()
        self._writer.close()
        return b""

    def _write_group(self) -> None:
        self._writer.write_table(pa.Table.from_batches(self._waiting, self._batches.schema))
        self._waiting.clear()
