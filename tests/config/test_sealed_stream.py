"""Sealed streams that are read from anywhere."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.errors import SealBroken
from config.sealed_stream import PART_BYTES, TAG_BYTES, Sealed, SealedWriter, UnsealedAnywhere

SIZES = (0, 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES + 17)


def sealed(path: Path, data: bytes) -> Sealed:
    key = os.urandom(32)
    with path.open("wb") as file:
        writer = SealedWriter(file, key, purpose="test")
        writer.write(data)
        writer.finish()
    return Sealed(-1, key, len(data), "test")


@contextmanager
def reading(path: Path, stream: Sealed) -> Iterator[io.BufferedReader]:
    with io.FileIO(path) as file:
        yield io.BufferedReader(UnsealedAnywhere(file, stream), 100)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.sampled_from(SIZES), places=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1))))
def test_every_piece_is_what_was_written_there(
    tmp_path: Path, size: int, places: list[tuple[float, float]]
) -> None:
    data = os.urandom(size)
    with reading(tmp_path / "file", sealed(tmp_path / "file", data)) as opened:
        assert opened.read() == data
        for place, length in places:
            start, count = round(place * size), round(length * size)
            opened.seek(start)
            assert opened.read(count) == data[start : start + count]
        assert opened.seek(0, os.SEEK_END) == size


def test_what_was_altered_moved_cut_off_or_is_of_another_key_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    stream = sealed(path, bytes(3 * PART_BYTES))
    whole, part = path.read_bytes(), PART_BYTES + TAG_BYTES
    start = len(whole) - 3 * part
    swapped = whole[:start] + whole[start + part : start + 2 * part] + whole[start : start + part]
    for broken in (
        whole[:-1],
        whole[: start + 2 * part],
        whole[:500] + bytes([whole[500] ^ 1]) + whole[501:],
        swapped + whole[start + 2 * part :],
        b"x" + whole[1:],
    ):
        path.write_bytes(broken)
        with pytest.raises(SealBroken), reading(path, stream) as opened:
            opened.read()
    path.write_bytes(whole)
    for other in (replace(stream, size=2 * PART_BYTES), replace(stream, key=bytes(32))):
        with pytest.raises(SealBroken), reading(path, other) as opened:
            opened.read()
