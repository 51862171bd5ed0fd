"""Arrow streams that are read in the worker: as by Arrow itself, or not at all."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.reading import Unreadable
from models.requests.arrow_streams import (
    SCHEMA,
    _header,
    _messages,
    _schema,
    _Unusual,
    _vector,
    read_arrow_stream,
)
from models.wanted import Wanted
from tests.models.row_files import matrix, opened, wanted, written

KINDS: Final = ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
NAMES: Final = ("age", "income", "height")
ROWS: Final = np.arange(12.0).reshape(4, 3) + 0.5
PLAIN: Final = written("arrow", pd.DataFrame(ROWS, columns=list(NAMES)))
THREE: Final = wanted(count=3, names=NAMES)
ONE: Final = wanted("number", names=("age",))


def plainly(data: bytes, taken: Wanted = THREE, *, most: int = 1000) -> NDArray[Any] | None:
    stream = read_arrow_stream(data, taken)
    if stream is None:
        return None
    batches = list(stream.batches(most))
    assert all(batch.flags.c_contiguous and batch.dtype == np.float64 for batch in batches)
    assert sum(len(batch) for batch in batches) == stream.rows
    return np.concatenate(batches) if batches else np.empty((0, taken.count))


def by_arrow(data: bytes) -> NDArray[Any]:
    """What the reader in the sandbox reads; raises Unreadable."""
    file = opened("arrow", data, wanted(count=3, names=NAMES, missing=True))
    return np.concatenate([np.empty((0, 3)), *(matrix(part) for part in file.batches(1000))])


def stream_of(
    *columns: Any, options: Any = None, names: tuple[str, ...] = NAMES, batches: int = 1
) -> bytes:
    """A stream of columns, as a program without pandas writes it."""
    batch = pa.record_batch(list(columns), names=list(names[: len(columns)]))
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        for _ in range(batches):
            writer.write_batch(batch)
    return sink.getvalue()


@st.composite
def tables(draw: Callable[..., Any]) -> Any:
    """Numbers of any type, whose columns are in any order, perhaps beside an index."""
    count = draw(st.integers(1, 20))
    columns = {}
    for name in draw(st.permutations(NAMES)):
        dtype = np.dtype(draw(st.sampled_from(KINDS)))
        width = 8 * dtype.itemsize
        values = (
            st.floats(width=width, allow_nan=True)
            if dtype.kind == "f"
            else st.integers(-(2 ** min(width - 1, 53)), 2 ** min(width - 1, 53) - 1)
            if dtype.kind == "i"
            else st.integers(0, 2 ** min(width, 53) - 1)
        )
        columns[name] = np.array(draw(st.lists(values, min_size=count, max_size=count)), dtype)
    if draw(st.booleans()):
        columns["__index_level_0__"] = np.arange(count)
    return pa.table(columns)


@settings(max_examples=60, deadline=None)
@given(table=tables(), most=st.integers(1, 30))
def test_numbers_are_read_as_arrow_reads_them(table: Any, most: int) -> None:
    data = written("arrow", table)

    found = plainly(data, wanted(count=3, names=NAMES, missing=True), most=most)

    assert found is not None
    assert np.array_equal(found, by_arrow(data), equal_nan=True)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_stream_that_was_damaged_is_read_as_by_arrow_or_left_to_it(data: st.DataObject) -> None:
    damaged = bytearray(PLAIN)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(PLAIN) - 1))] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(len(PLAIN) // 2, len(PLAIN))) :]

    found = plainly(bytes(damaged))

    if found is None:
        return
    try:
        expected = by_arrow(bytes(damaged))
    except Unreadable:
        return  # it is stricter about what no number depends on
    assert np.array_equal(found, expected, equal_nan=True)


@pytest.mark.parametrize("size", range(0, len(PLAIN), 8))
def test_a_stream_that_is_cut_off_is_left_to_arrow_unless_a_batch_ends_there(size: int) -> None:
    found = plainly(PLAIN[:size])
    if found is not None:
        assert np.array_equal(found, by_arrow(PLAIN[:size]))


UNUSUAL: Final = {
    "a number is missing": stream_of(pa.array([1.0, None])),
    "texts": stream_of(pa.array(["1", "2"])),
    "truth values": stream_of(pa.array([True, False])),
    "moments": stream_of(pa.array([1, 2], pa.timestamp("s"))),
    "decimals": stream_of(pa.array([1, 2], pa.decimal128(5, 2))),
    "half floats": stream_of(pa.array(np.array([1, 2], np.float16))),
    "a dictionary": stream_of(pa.array([1.0, 2.0]).dictionary_encode()),
    "a list": stream_of(pa.array([[1.0], [2.0]])),
    "an integer that float64 does not hold": stream_of(pa.array([2**53 + 1, 0])),
    "a negative one": stream_of(pa.array([-(2**53) - 1, 0])),
    "the least of all": stream_of(pa.array([-(2**63), 0])),
    "compressed": stream_of(
        pa.array(np.zeros(1000)), options=pa.ipc.IpcWriteOptions(compression="zstd")
    ),
    "of an old form": stream_of(
        pa.array([1.0, 2.0]), options=pa.ipc.IpcWriteOptions(use_legacy_format=True)
    ),
    "more behind its end": stream_of(pa.array([1.0, 2.0])) + bytes(8),
    "a file and no stream": written("arrow-file", pd.DataFrame({"age": [1.0, 2.0]})),
    "another name": stream_of(pa.array([1.0, 2.0]), names=("size",)),
    "a column too many": stream_of(pa.array([1.0]), pa.array([2.0])),
    "no column": stream_of(),
    "nothing": b"",
    "JSON": b'{"features": [[1.0, 2.0]]}',
}


@pytest.mark.parametrize("data", UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_not_plain_is_left_to_arrow(data: bytes) -> None:
    assert plainly(data, ONE) is None


def test_a_stream_of_several_batches_is_read_in_their_order() -> None:
    found = plainly(stream_of(pa.array([1.0, 2.0]), batches=3), ONE)
    assert found is not None
    assert found.tolist() == [[1.0], [2.0]] * 3


def test_columns_that_share_their_bytes_are_left_to_arrow() -> None:
    """A few bytes would be as many numbers as there are columns times that."""
    data = stream_of(*(pa.array(np.full(8, 1.0 + at)) for at in range(3)))
    apart = struct.pack("<12q", *(0, 0, 0, 64), *(64, 0, 64, 64), *(128, 0, 128, 64))
    size, values, end = struct.pack("<q", 192), np.full(8, 1.0).tobytes(), data[-8:]
    assert data.count(apart) == data.count(size) == data.count(values) == 1

    shared = data.replace(apart, struct.pack("<4q", 0, 0, 0, 64) * 3)
    short = shared.replace(size, struct.pack("<q", 64)).partition(values)[0] + values + end

    assert np.array_equal(by_arrow(short), np.ones((8, 3)))
    assert plainly(short) is None


def test_fields_that_share_a_long_name_are_left_to_arrow() -> None:
    """A schema of 64 KB would else be a hundred megabytes of names."""
    names = ("a" * 3000, "b", "c")
    data = stream_of(*(pa.array([1.0]) for _ in names), names=names)
    head, _, _ = next(_messages(data))
    assert [len(column.name) for column in _schema(head)] == [3000, 1, 1]
    schema = _header(head, SCHEMA)
    start, count = _vector(schema, 1)

    shared = bytearray(head)
    for place in range(start, start + 4 * count, 4):
        struct.pack_into("<I", shared, place, schema.Indirect(start) - place)

    with pytest.raises(_Unusual):
        _schema(bytes(shared))


def test_a_stream_of_very_many_batches_is_left_to_arrow() -> None:
    assert plainly(stream_of(pa.array([1.0]), batches=100), ONE) is not None
    assert plainly(stream_of(pa.array([1.0]), batches=1000), ONE) is None


def test_a_stream_without_rows_has_none() -> None:
    found = plainly(stream_of(pa.array([], pa.float64())), ONE)
    assert found is not None
    assert not len(found)


def test_a_model_that_takes_texts_is_left_to_arrow() -> None:
    assert plainly(PLAIN, wanted("number", "number", "text", names=NAMES)) is None


def test_columns_without_names_are_taken_by_their_places() -> None:
    found = plainly(PLAIN, wanted(count=3))
    assert found is not None
    assert np.array_equal(found, ROWS)
