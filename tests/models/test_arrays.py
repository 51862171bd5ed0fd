from __future__ import annotations

import struct

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from models.arrays import MAGIC, pack_arrays, unpack_arrays
from models.errors import ArraysMalformed
from tests.models.files import npy_bytes

WHOLE = {
    "coef": np.array([[1.5, -2.0]]),
    "classes": np.array(["no", "yés"]),
    "flags": np.array([True, False, True]),
    "counts": np.array([3, -4]),
    "children": np.array([1, -1, -1], np.int32),
}


def _with_header(header: object, content: bytes = b"") -> bytes:
    text = orjson.dumps(header)
    return MAGIC + struct.pack("<I", len(text)) + text + content


def test_arrays_come_back_as_they_were() -> None:
    again = unpack_arrays(pack_arrays(WHOLE))

    assert list(again) == list(WHOLE)
    for name, array in WHOLE.items():
        assert again[name].dtype == array.dtype
        assert again[name].tolist() == array.tolist()


@given(arrays.arrays(np.float64, arrays.array_shapes(max_dims=4, max_side=4), elements=st.floats(
    allow_nan=False, allow_infinity=False)))  # fmt: skip
def test_every_finite_float_survives_to_the_bit(array: np.ndarray) -> None:
    again = unpack_arrays(pack_arrays({"x": array}))["x"]

    assert again.tobytes() == array.tobytes()
    assert again.shape == array.shape


@pytest.mark.parametrize("length", range(0, len(pack_arrays(WHOLE)), 3))
def test_truncated_arrays_are_refused(length: int) -> None:
    with pytest.raises(ArraysMalformed):
        unpack_arrays(pack_arrays(WHOLE)[:length])


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(junk: bytes) -> None:
    for data in (junk, MAGIC + junk, MAGIC + struct.pack("<I", len(junk)) + junk):
        with pytest.raises(ArraysMalformed):
            unpack_arrays(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(npy_bytes(np.ones(3)), id="npy"),
        pytest.param(npy_bytes(np.array([object()]), pickled=True), id="npy of objects"),
        pytest.param(b"PK\x03\x04" + bytes(100), id="npz"),
        pytest.param(b"\x80\x04N.", id="pickle"),
        pytest.param(pack_arrays(WHOLE) + b"\0", id="trailing byte"),
        pytest.param(_with_header([["x", "|O", [1]]], bytes(8)), id="objects"),
        pytest.param(_with_header([["x", "<f8", [2**62]]], bytes(8)), id="larger than memory"),
        pytest.param(_with_header([["x", "<f8", [2**39, 2**39]]], bytes(8)), id="overflowing"),
        pytest.param(_with_header([["x", "<f8", [-1]]], bytes(8)), id="negative"),
        pytest.param(_with_header([["x", "<f8", [0]]]), id="nothing"),
        pytest.param(_with_header([["x", "<f8", [True]]], bytes(8)), id="truth as length"),
        pytest.param(_with_header([["../x", "<f8", [1]]], bytes(8)), id="path as name"),
        pytest.param(_with_header([["x", "<f8", [1]]] * 2, bytes(16)), id="same name twice"),
        pytest.param(_with_header([["x", "<f8", [1] * 5]], bytes(8)), id="too many dimensions"),
        pytest.param(_with_header({"x": 1}), id="header that is no list"),
        pytest.param(_with_header([]), id="empty header"),
        pytest.param(_with_header([["x", "<f8", [1]]], struct.pack("<d", np.nan)), id="NaN"),
        pytest.param(_with_header([["x", "<f8", [1]]], struct.pack("<d", np.inf)), id="infinity"),
        pytest.param(_with_header([["x", "|b1", [1]]], b"\x02"), id="neither true nor false"),
        pytest.param(_with_header([["x", "<U1", [1]]], struct.pack("<I", 0x110000)), id="no text"),
        pytest.param(_with_header([["x", "<U1", [1]]], struct.pack("<I", 0xD800)), id="surrogate"),
    ],
)
def test_malformed_arrays_are_refused(data: bytes) -> None:
    with pytest.raises(ArraysMalformed):
        unpack_arrays(data)


def test_arrays_of_objects_cannot_be_written() -> None:
    with pytest.raises(ArraysMalformed, match="object"):
        pack_arrays({"x": np.array([None])})


@pytest.mark.parametrize(
    "arrays",
    [
        pytest.param({"x": np.ones((2, 0))}, id="nothing"),
        pytest.param({"x": np.array([np.nan])}, id="NaN"),
        pytest.param({"X": np.ones(1)}, id="name"),
        pytest.param({"x": np.array(["\ud800"])}, id="surrogate"),
        pytest.param({f"x{at}": np.ones(1) for at in range(80_000)}, id="too many"),
    ],
)
def test_what_could_not_be_read_cannot_be_written(arrays: dict[str, np.ndarray]) -> None:
    with pytest.raises(ArraysMalformed):
        pack_arrays(arrays)
