"""A worker's side of a reader: what it takes from a process that may be under a file's power."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest

from models.errors import InputRefused
from models.hosting import row_frames
from models.hosting.messages import Bounds, Message, receive
from models.hosting.payloads import Buffer
from models.hosting.reader import serve_reader
from models.hosting.workshop import serve_workshop
from models.readers import Readers, RowsFile
from models.tables import Features, Table, stack
from models.wanted import Wanted
from tests.models.row_files import FORMS, matrix, sealed, wanted, written
from tests.models.workshops import Bench, Parent

GOOD = row_frames.batch(np.ones((2, 2)), place=7)


class Readings(Parent):
    """Opens readers where workshops are opened."""

    def reader(self, *, memory_bytes: int, seconds: float) -> Bench:
        """Start one."""
        return self.workshop(memory_bytes=memory_bytes, seconds=seconds)


def read(
    data: bytes,
    taken: Wanted,
    *,
    form: str = "csv",
    serve: Callable[[socket.socket], None] = serve_workshop,
    goes_on: Callable[[], None] = lambda: None,
    rows_at_once: int = 3,
) -> tuple[int, list[tuple[int, Features, int]]]:
    """What a file says that it has, and its batches."""
    readers = Readers(Readings(serve), memory_bytes=2**30)
    with sealed(data) as source:
        file = RowsFile(sealed=lambda: source, form=form, options={})
        with readers.open(
            file, taken, rows_at_once=rows_at_once, seconds=20, goes_on=goes_on
        ) as reading:
            return reading.rows, [(b.first, b.features, b.place) for b in reading]


@pytest.mark.parametrize("form", FORMS)
def test_rows_come_in_batches_with_their_numbers(form: str) -> None:
    rows = np.arange(20.0).reshape(10, 2) + 0.5
    read_as = "arrow" if form == "arrow-file" else form

    count, batches = read(written(form, rows), wanted(), form=read_as)

    assert count == 10
    assert np.array_equal(matrix(stack([features for _, features, _ in batches])), rows)
    firsts = [first for first, _, _ in batches]
    assert firsts == list(np.cumsum([0, *(len(features) for _, features, _ in batches)])[:-1])
    assert all(0 < place <= len(written(form, rows)) for *_, place in batches)


def test_large_texts_come_in_smaller_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.hosting.row_frames.BATCH_BYTES", 64 * 1024)
    texts = ["x" * 5000] * 50
    lines = "".join(f"{text}\n" for text in texts).encode()

    _, batches = read(lines, wanted("text"), rows_at_once=50)

    assert len(batches) > 10
    tables = [features for _, features, _ in batches]
    assert [t for table in tables if isinstance(table, Table) for t in table.columns[0]] == texts


def test_what_does_not_fit_is_refused_by_row_and_name() -> None:
    taken = wanted(names=("age", "a/b"))
    for data, path in (
        (b"age,a/b\n1,2\n3,x\n", "/rows/1/a~1b"),
        (b"age\n1\n", "/columns/a~1b"),
        (b"age,a/b\n1,2\n3\n", "/rows/1"),
        (b"\xff\n", ""),
    ):
        with pytest.raises(InputRefused) as caught:
            read(data, taken)
        assert caught.value.path == path


def test_a_file_that_was_altered_on_the_disk_is_not_read() -> None:
    with sealed(b"1,2\n" * 100) as source:
        os.pwrite(source.descriptor, b"\0", 200)
        file = RowsFile(sealed=lambda: source, form="csv", options={})
        readers = Readers(Readings(), memory_bytes=2**30)
        opening = readers.open(file, wanted(), rows_at_once=3, seconds=20, goes_on=lambda: None)
        with pytest.raises(InputRefused, match="SealBroken"), opening:
            pass


def saying(*frames: list[Buffer]) -> Callable[[socket.socket], None]:
    """A reader that hears its order and says this."""

    def serve(connection: socket.socket) -> None:
        order = receive(connection, Bounds(head=65536), patience=lambda: None)
        for descriptor in order.descriptors:
            os.close(descriptor)
        with suppress(OSError):  # who has heard enough leaves
            for frame in frames:
                for part in frame:
                    connection.sendall(part)

    return serve


def head(*values: int) -> list[Buffer]:
    """A header of a test's own."""
    return [row_frames.HEADER.pack(row_frames.MAGIC, *values)]


BEGIN = row_frames.begin(2)


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [BEGIN],
        [BEGIN, GOOD],
        [GOOD],
        [BEGIN, BEGIN],
        [row_frames.end()],
        [[b"x" * row_frames.HEADER.size]],
        [head(9, 0, 0, 0, 0)],
        [BEGIN, head(row_frames.MATRIX, 2, 2, 0, 2**60)],
        [BEGIN, head(row_frames.MATRIX, 2**31, 2**31, 0, 2**62)],
        [BEGIN, head(row_frames.MATRIX, 2, 0, 0, 0)],
        [BEGIN, head(row_frames.MATRIX, 3, 1, 0, 24)],
        [BEGIN, head(row_frames.MATRIX, 2, 9, 0, 144)],
        [BEGIN, head(row_frames.TABLE, 2, 1, 0, 8), [struct.pack("<d", 1.0)]],
        [BEGIN, row_frames.batch(Table((np.array(["a"], object),) * 2), place=1)],
        [BEGIN, head(row_frames.END, 0, 0, 0, 8)],
        [BEGIN, head(row_frames.REFUSED, 0, 0, 0, 2**40)],
        [head(row_frames.BEGIN, 0, 0, 2**60, 0)],
        [row_frames.no_memory()],
    ],
)
def test_a_reader_that_lies_or_ends_is_a_refusal(frames: list[list[Buffer]]) -> None:
    with pytest.raises(InputRefused):
        read(b"", wanted(), serve=saying(*frames))


def test_what_a_reader_says_of_a_refusal_is_one_line_of_a_length() -> None:
    told = row_frames.refused("no\x1b[2J\nrow" * 1000, row=3, column=10**6)
    with pytest.raises(InputRefused) as caught:
        read(b"", wanted(), serve=saying(told))
    assert caught.value.path == "/rows/3"
    assert caught.value.problem.isprintable()
    assert len(caught.value.problem) <= row_frames.MOST_PROBLEM


def test_a_call_that_does_not_go_on_ends_while_its_reader_is_silent() -> None:
    class Enough(Exception):
        pass

    until = time.monotonic() + 0.2

    def goes_on() -> None:
        if time.monotonic() > until:
            raise Enough

    def silent(connection: socket.socket) -> None:
        connection.sendall(b"".join(BEGIN))
        while connection.recv(65536):
            pass

    with pytest.raises(Enough):
        read(b"", wanted(), serve=silent, goes_on=goes_on)


def test_a_parser_that_raises_anything_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a parser's own words, with 1,2 of the file")

    monkeypatch.setattr("models.hosting.reader.CsvRows", fail)
    with pytest.raises(InputRefused) as caught:
        read(b"1,2\n", wanted())
    assert caught.value.problem == "the file fails while it is read: RuntimeError"


def test_a_reader_whose_customer_has_left_ends() -> None:
    ours, theirs = socket.socketpair()
    with sealed(b"1,2\n" * 100_000) as source, theirs:
        body = {
            "form": "csv",
            "options": {},
            "wanted": wanted().as_json(),
            "rows_at_once": 10,
            "key": source.key.hex(),
            "size": source.size,
            "purpose": source.purpose,
        }
        ours.close()
        serve_reader(theirs, Message("read", body, (), (os.dup(source.descriptor),)))
