"""Files of rows in every form, and what is read of them without a sandbox."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from config.sealed_stream import Sealed, SealedWriter
from models.reading import RowsFile
from models.reading.arrow import ArrowRows, ParquetRows
from models.reading.csv_lines import CsvRows
from models.reading.npy import NpyRows
from models.signature import Kind
from models.tables import Features, stack
from models.wanted import Wanted

NAMED: Final = ("csv", "arrow", "arrow-file", "parquet")
FORMS: Final = (*NAMED, "npy")
READERS: Final = {
    "csv": CsvRows,
    "arrow": ArrowRows,
    "arrow-file": ArrowRows,
    "parquet": ParquetRows,
    "npy": NpyRows,
}


def wanted(
    *kinds: Kind, names: tuple[str, ...] | None = None, missing: bool = False, count: int = 2
) -> Wanted:
    """What a model takes: by default two numbers without names."""
    number: Kind = "number"
    taken = kinds or (number,) * count
    known = names or tuple(f"x{at}" for at in range(len(taken)))
    return Wanted(names=known, named=names is not None, kinds=taken, missing=missing)


def written(form: str, frame: Any) -> bytes:
    """A frame, matrix or Arrow table as a file."""
    if form == "npy":
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(frame))
        return buffer.getvalue()
    if form == "csv":
        named = isinstance(frame, pd.DataFrame)
        text: str = pd.DataFrame(frame).to_csv(index=False, header=named)
        return text.encode()
    return _columnar(form, frame if isinstance(frame, pa.Table) else _table(frame))


def _columnar(form: str, table: Any) -> bytes:
    buffer = io.BytesIO()
    if form == "parquet":
        pq.write_table(table, buffer, row_group_size=max(1, len(table) // 2))
        return buffer.getvalue()
    make: Any = pa.ipc.new_stream if form == "arrow" else pa.ipc.new_file
    with make(buffer, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=max(1, len(table) // 2)):
            writer.write_batch(batch)
    return buffer.getvalue()


def _table(frame: Any) -> Any:
    named = isinstance(frame, pd.DataFrame)
    table = frame if named else pd.DataFrame(frame, columns=[f"x{n}" for n in range(len(frame[0]))])
    return pa.Table.from_pandas(table, preserve_index=False)


def opened(form: str, data: bytes, taken: Wanted, **options: Any) -> RowsFile:
    """The file as a reader opens it; raises Unreadable."""
    reader: Any = READERS[form]
    return cast(RowsFile, reader(io.BytesIO(data), taken, **options))


def read(form: str, data: bytes, taken: Wanted, *, most: int = 1000, **options: Any) -> Features:
    """All rows of a file; raises Unreadable."""
    file = opened(form, data, taken, **options)
    features = stack(list(file.batches(most)))
    assert len(features) == file.rows
    return features


def matrix(features: Features) -> NDArray[np.float64]:
    """Features that are a matrix."""
    assert isinstance(features, np.ndarray)
    return features


@contextmanager
def sealed(data: bytes) -> Iterator[Sealed]:
    """A file as it lies on the disk."""
    with tempfile.TemporaryFile() as file:
        key = os.urandom(32)
        writer = SealedWriter(file, key, purpose="test")
        writer.write(data)
        writer.finish()
        file.flush()
        yield Sealed(file.fileno(), key, len(data), "test")
