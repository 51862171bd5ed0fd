"""Files of rows that lie, explode or crash their parser: a clear refusal, and nobody is hit."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from config.settings import load_settings
from tests.house import UNHURRIED, House, opened
from tests.models.row_files import written
from tests.service.scored_models import add_models

MEDIA_TYPES: Final = {
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "arrow-file": "application/vnd.apache.arrow.file",
    "parquet": "application/vnd.apache.parquet",
    "npy": "application/x-npy",
}
MEMORY: Final = 192 * 1024**2
GIBIBYTE: Final = 1024**3


@pytest.fixture(scope="module")
def house(demo_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """An installation whose readers have little memory and little time."""
    import shutil

    folder = tmp_path_factory.mktemp("attacked") / "instance"
    shutil.copytree(demo_template, folder, symlinks=True)
    bounds: dict[str, Any] = {"bulk_memory_bytes": MEMORY, "bulk_seconds": 10}
    with opened(load_settings(folder, **UNHURRIED, **bounds)) as house:
        add_models(house)
        yield house


def send(house: House, form: str, data: bytes, *, model: str = "linear") -> TestResponse:
    path, headers = f"/models/{model}/predict", {"Content-Type": MEDIA_TYPES[form]}
    return house.ada.post(path, data=data, headers=headers, buffered=True)


def stream(table: Any, **options: Any) -> bytes:
    """An Arrow IPC stream."""
    buffer = io.BytesIO()
    written_with = pa.ipc.IpcWriteOptions(**options)
    with pa.ipc.new_stream(buffer, table.schema, options=written_with) as writer:
        writer.write_table(table)
    return buffer.getvalue()


def parquet(table: Any, **options: Any) -> bytes:
    """A Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def two(values: Any) -> Any:
    """A table of two such columns."""
    return pa.table({"x0": values, "x1": values})


def people(cities: Any) -> Any:
    """A table of texts and numbers, as the model of people takes them."""
    return pa.table({"city": cities, "age": pa.array(np.ones(len(cities)))})


def lying_buffer() -> bytes:
    """A record batch whose buffer claims to be far longer than the message."""
    return replaced(stream(two(pa.array([1.5] * 8))), struct.pack("<q", 64), 2**60)


def lying_offsets() -> bytes:
    """Texts whose offsets lead out of their buffer."""
    texts = stream(people(pa.array(["ab", "cde", "f", "ghij"])))
    return texts.replace(struct.pack("<5i", 0, 2, 5, 6, 10), struct.pack("<5i", 0, 2, 5, 6, 2**30))


def replaced(data: bytes, old: bytes, value: int) -> bytes:
    """The first of some eight bytes made another number."""
    assert old in data
    return data.replace(old, struct.pack("<q", value), 1)


def lying_dictionary() -> bytes:
    """Indices beyond their dictionary."""
    indices = pa.array([0, 10**6], pa.int32())
    values = pa.DictionaryArray.from_arrays(indices, pa.array([1.0]), safe=False)
    return stream(two(values))


def lying_length() -> bytes:
    """A message that claims two gibibytes of metadata."""
    return b"\xff\xff\xff\xff" + struct.pack("<i", 2**31 - 8) + b"x" * 64


def nested() -> bytes:
    """A schema that nests fifty deep."""
    kind = pa.float64()
    for _ in range(50):
        kind = pa.list_(kind)
    return stream(two(pa.array([None], kind)))


def bomb_of_zeros() -> bytes:
    """A gibibyte in one compressed record batch."""
    return stream(two(pa.array(np.zeros(GIBIBYTE // 16))), compression="zstd")


def bomb_of_nothing() -> bytes:
    """A thousand million rows that take no byte."""
    return stream(two(pa.nulls(10**9)))


def bomb_of_texts() -> bytes:
    """Half a terabyte of texts, by a dictionary of one."""
    indices = pa.array(np.zeros(500_000, np.int32))
    values = pa.DictionaryArray.from_arrays(indices, pa.array(["x" * 10**6]))
    return parquet(people(values), compression="zstd")


def bomb_of_cells() -> bytes:
    """Cells of several megabytes, so that no batch of them is small."""
    return parquet(people(pa.array(["x" * (50 * 1024**2)] * 8)), compression="zstd")


def bomb_of_runs() -> bytes:
    """Twenty million equal numbers in a few kilobytes."""
    return parquet(two(pa.array(np.ones(20_000_000))), row_group_size=20_000_000)


def altered_footer() -> bytes:
    """A Parquet file whose footer claims to be longer than the file."""
    data = bytearray(parquet(two(pa.array([1.5]))))
    data[-8:-4] = struct.pack("<I", 2**31)
    return bytes(data)


def gigabyte_line() -> bytes:
    """A line that does not end, for as long as a body may be."""
    return b"1," + b"9" * (40 * 1024**2)


def endless_quote() -> bytes:
    """A quote that nobody closes, over many lines."""
    return b'1,"' + b"9,9\n" * 10_000_000


ATTACKS: Final[dict[str, tuple[str, Callable[[], bytes]]]] = {
    "a buffer longer than its message": ("arrow", lying_buffer),
    "offsets out of the buffer": ("arrow", lying_offsets),
    "indices beyond the dictionary": ("arrow", lying_dictionary),
    "metadata without end": ("arrow", lying_length),
    "nested types": ("arrow", nested),
    "a gibibyte of zeros": ("arrow", bomb_of_zeros),
    "rows that take no byte": ("arrow", bomb_of_nothing),
    "an IPC file that is cut off": ("arrow-file", lambda: b"ARROW1\0\0" + b"\xff" * 200),
    "texts by a dictionary": ("parquet", bomb_of_texts),
    "cells of megabytes": ("parquet", bomb_of_cells),
    "runs of equal numbers": ("parquet", bomb_of_runs),
    "a footer that lies": ("parquet", altered_footer),
    "a line without end": ("csv", gigabyte_line),
    "a quote without end": ("csv", endless_quote),
    "zero bytes": ("csv", lambda: b"1,2\n" + b"\0" * 10_000),
    "many columns": ("csv", lambda: b"1," * 2_000_000 + b"1\n"),
    "compressed": ("csv", lambda: zlib.compress(b"1,2\n" * 10_000)),
    "objects": ("npy", lambda: written("npy", np.array([[object, 1]], dtype=object))),
    "another's content": ("npy", lambda: parquet(two(pa.array([1.5])))),
}
OF_TEXTS: Final = {"offsets out of the buffer", "texts by a dictionary", "cells of megabytes"}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_file_is_refused_clearly(house: House, name: str) -> None:
    form, make = ATTACKS[name]

    response = send(house, form, make(), model="people" if name in OF_TEXTS else "linear")

    assert 400 <= response.status_code < 500, response.text
    body = response.get_json()
    assert body["detail"], body
    assert all(str(error["detail"]).isprintable() for error in body.get("errors", ()))
    assert house.ada.predict([5, 10]).status_code == 200
    assert not list((house.folder / "uploads").iterdir())


WHOLE: Final = {form: written(form, np.arange(64.0).reshape(32, 2)) for form in MEDIA_TYPES}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    form=st.sampled_from(sorted(WHOLE)),
    edits=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=4),
    end=st.floats(0.1, 1),
)
def test_any_altered_file_is_answered_or_refused(
    house: House, form: str, edits: list[tuple[float, bytes]], end: float
) -> None:
    data = bytearray(WHOLE[form])
    for place, patch in edits:
        at = round(place * len(data))
        data[at : at + len(patch)] = patch
    status = send(house, form, bytes(data[: round(end * len(data))])).status_code
    assert status in (200, 400, 413, 422)
