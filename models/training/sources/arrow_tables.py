"""Arrow IPC and Parquet: columns with types, which are kept as far as a model can take them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.errors import DataRefused
from models.training.sources import Columns, check_names, check_size
from models.training.study import Finding

FILE: Final = b"ARROW1"
FRAME_BYTES: Final = 8
INDEX: Final = re.compile(r"__index_level_\d+__")
MOST_THRIFT_TEXT: Final = 16 * 1024**2
MOST_THRIFT_ITEMS: Final = 1_000_000
LONGEST_PROBLEM: Final = 200
LONGEST_TYPE: Final = 60


def read_arrow(data: bytes) -> Columns:
    """The columns of an Arrow IPC stream, or of a file, which is one between two frames."""
    stream = data[FRAME_BYTES:] if data.startswith(FILE) else data
    try:
        # A file's list of batches would be read in threads.
        options = pa.ipc.IpcReadOptions(use_threads=False)
        with pa.ipc.open_stream(pa.py_buffer(stream), options=options) as reader:
            return _columns(pa.Table.from_batches(list(reader), reader.schema))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _broken("Arrow IPC", error) from error


def read_parquet(data: bytes) -> Columns:
    """The columns of a Parquet file."""
    try:
        file = pq.ParquetFile(
            pa.BufferReader(data),
            pre_buffer=False,  # it would start threads
            thrift_string_size_limit=MOST_THRIFT_TEXT,
            thrift_container_size_limit=MOST_THRIFT_ITEMS,
        )
        check_names(file.schema_arrow.names)
        check_size(file.metadata.num_rows, len(file.schema_arrow.names))
        return _columns(file.read(use_threads=False))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _broken("Parquet", error) from error


def _broken(kind: str, error: Exception) -> DataRefused:
    return DataRefused(f"it cannot be read as {kind}: {str(error)[:LONGEST_PROBLEM]}")


def _columns(table: pa.Table) -> Columns:
    table.validate(full=True)  # lengths, offsets and texts are what a stranger wrote
    check_names(table.column_names)
    check_size(table.num_rows, table.num_columns)
    values: dict[str, NDArray[Any]] = {}
    aside: dict[str, str] = {}
    for name in table.column_names:
        column = table.column(name)
        taken = None if INDEX.fullmatch(name) else _values(column)
        if taken is not None:
            values[name] = taken
        elif INDEX.fullmatch(name):
            aside[name] = "it is the index of a data frame"
        else:
            aside[name] = f"a model cannot take {str(column.type)[:LONGEST_TYPE]}"
    findings = [
        Finding(
            severity="warning",
            where=name,
            what=f"the column is left out: {reason}",
            remedy="give each of its members as a column of numbers or texts",
        )
        for name, reason in aside.items()
        if not INDEX.fullmatch(name)
    ]
    return Columns(values=values, set_aside=aside, findings=tuple(findings))


def _values(column: pa.ChunkedArray) -> NDArray[Any] | None:
    """A column as numbers, truth values or texts; None of a type that is none of these."""
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    reader = next((read for fits, read in READERS if fits(column.type)), None)
    return reader(column) if reader else None


def _numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    if column.null_count:
        return _floats(column)
    values = np.asarray(column.to_numpy())
    if values.dtype.kind == "u":
        return values.astype(np.int64) if values.max(initial=0) < 2**63 else values.astype(float)
    return values.astype({"f": np.float64, "i": np.int64, "b": np.bool_}[values.dtype.kind])


def _floats(column: pa.ChunkedArray) -> NDArray[Any]:
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.int8())
    return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(), np.float64)


def _seconds(column: pa.ChunkedArray) -> NDArray[Any]:
    lengths = pc.cast(column, pa.duration(column.type.unit))
    return _floats(pc.cast(pc.cast(lengths, pa.duration("ns")), pa.int64())) / 1e9


def _dates(column: pa.ChunkedArray) -> NDArray[Any]:
    """Dates as texts of ISO 8601, in UTC: without a time where no row has any."""
    plain = pc.cast(column, pa.timestamp("us"), safe=False)
    moments = np.asarray(plain.to_numpy(), "datetime64[us]")
    absent = np.isnat(moments)
    days = moments.astype("datetime64[D]")
    unit = "D" if (absent | (days == moments)).all() else "s"
    kept = moments.astype(f"datetime64[{unit}]")
    texts: NDArray[Any] = np.datetime_as_string(kept).astype(object)
    texts[absent] = None
    return texts


def _texts(column: pa.ChunkedArray) -> NDArray[Any]:
    encoded = pc.cast(column, pa.large_string()).combine_chunks().dictionary_encode()
    known = np.array([*encoded.dictionary.to_pylist(), None], dtype=object)
    codes = pc.fill_null(encoded.indices, len(known) - 1).to_numpy(zero_copy_only=False)
    return np.asarray(known[codes])


def _nothing(column: pa.ChunkedArray) -> NDArray[Any]:
    return np.full(len(column), np.nan)


Reader = Callable[[pa.ChunkedArray], NDArray[Any]]
READERS: Final[tuple[tuple[Callable[[pa.DataType], bool], Reader], ...]] = (
    (pa.types.is_boolean, _numbers),
    (pa.types.is_integer, _numbers),
    (pa.types.is_floating, _numbers),
    (pa.types.is_decimal, _floats),
    (pa.types.is_string, _texts),
    (pa.types.is_large_string, _texts),
    (pa.types.is_string_view, _texts),
    (pa.types.is_date, _dates),
    (pa.types.is_timestamp, _dates),
    (pa.types.is_duration, _seconds),
    (pa.types.is_null, _nothing),
)
