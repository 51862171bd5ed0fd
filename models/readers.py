"""Rows of a file as a caller takes them, read by a process of the sandbox that ends with the file.

The file is sealed on disk. Its key goes to the reader alone, and what comes back is arrays: no
native parser reads a byte of it in a process that knows more than one tenant. A plain stream of
Arrow's that is in memory already is read here, without one.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from config.prose import one_line
from config.sealed_stream import Sealed
from models.errors import FrameMalformed, InputRefused
from models.hosting import row_frames
from models.hosting.messages import Message, MessagesEnded, send
from models.hosting.payloads import Buffer
from models.hosting.row_frames import RowsHeader
from models.hosting.streams import Inbox, StreamEnded
from models.requests.arrow_streams import ArrowStream, read_arrow_stream
from models.requests.places import step
from models.tables import Features, row_count
from models.wanted import Wanted

READ: Final = "read"
ARROW: Final = "arrow"
SLICE_MILLISECONDS: Final = 100
ENDED: Final = (
    "the process that read it ended: it takes more memory than it may, or does what none may"
)
NO_MEMORY: Final = (
    "reading it takes more memory than it may; "
    "write smaller record batches or row groups, or send less at once"
)

Patience = Callable[[], None]


class Workshop(Protocol):
    """A process of the sandbox that waits for an order; it ends when the connection is closed."""

    @property
    def connection(self) -> socket.socket:
        """The way to it."""
        ...


class Parent(Protocol):
    """Starts readers."""

    def reader(self, *, memory_bytes: int, seconds: float) -> Workshop:
        """Open a reader; raises HostsUnavailable."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RowsFile:
    """A file of rows: its form, and what its sender said of it besides.

    `sealed` seals it for another process to read. `body` is the whole of it, if it is in memory.
    """

    sealed: Callable[[], Sealed]
    form: str
    options: Mapping[str, Any]
    body: bytes | None = None

    def plainly(self, wanted: Wanted) -> ArrowStream | None:
        """Its rows, if they can be read here."""
        if self.body is None or self.form != ARROW:
            return None
        return read_arrow_stream(self.body, wanted)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some rows; `first` is the number of the first, `place` how far the file has been read."""

    first: int
    features: Features
    place: int


class Readers:
    """Opens files of rows, each in a process of its own."""

    def __init__(self, parent: Parent, *, memory_bytes: int) -> None:
        self._parent = parent
        self._memory = memory_bytes

    @contextmanager
    def open(
        self,
        file: RowsFile,
        wanted: Wanted,
        *,
        rows_at_once: int,
        seconds: float,
        goes_on: Patience,
    ) -> Iterator[Reading]:
        """Have a file read until the end of the block, at most for so long.

        `goes_on` is called several times a second while there is nothing to take, and may raise.
        Raises InputRefused or HostsUnavailable.
        """
        plain = file.plainly(wanted)
        if plain is not None:
            yield ReadHere(plain, wanted, rows_at_once)
            return
        reader = self._parent.reader(memory_bytes=self._memory, seconds=seconds)
        with closing(reader.connection) as connection:
            _order(connection, file, wanted, rows_at_once)
            yield ReadThere(connection, wanted, rows_at_once, goes_on)


class Reading(Protocol):
    """A file that is being read: how many rows it says it has, and then these."""

    @property
    def rows(self) -> int:
        """How many it says to have."""
        ...

    def __iter__(self) -> Iterator[Batch]:
        """The rows in their order; raises InputRefused where the file does not fit the model."""
        ...


class ReadHere:
    """A file that could be read in this process."""

    def __init__(self, stream: ArrowStream, wanted: Wanted, rows_at_once: int) -> None:
        self.rows = stream.rows
        self._stream = stream
        self._most = row_frames.rows_of_batch(rows_at_once, wanted.count)

    def __iter__(self) -> Iterator[Batch]:
        first = 0
        for features in self._stream.batches(self._most):
            yield Batch(first, features, self._stream.size)
            first += len(features)


class ReadThere:
    """A file that a process of the sandbox reads."""

    def __init__(
        self, connection: socket.socket, wanted: Wanted, rows_at_once: int, goes_on: Patience
    ) -> None:
        self._wanted = wanted
        self._most = rows_at_once
        self._goes_on = goes_on
        self._readable = select.poll()
        self._readable.register(connection, select.POLLIN)
        connection.setblocking(False)
        self._inbox = Inbox(connection, row_frames.HEADER.size, self._read_header)
        self._frames: Iterator[tuple[RowsHeader, Buffer]] = iter(())
        begin, _ = self._next()
        if begin.kind != row_frames.BEGIN:
            raise _malformed()
        self.rows = begin.at

    def __iter__(self) -> Iterator[Batch]:
        """The rows in their order; raises InputRefused where the file does not fit the model."""
        first = 0
        while True:
            header, payload = self._next()
            if header.kind == row_frames.END:
                return
            if header.kind not in (row_frames.MATRIX, row_frames.TABLE):
                raise _malformed()
            features = self._features(header, payload)
            yield Batch(first, features, header.at)
            first += row_count(features)

    def _features(self, header: RowsHeader, payload: Buffer) -> Features:
        try:
            return row_frames.read_rows(header, payload)
        except FrameMalformed as error:
            raise _malformed() from error

    def _next(self) -> tuple[RowsHeader, Buffer]:
        while (frame := next(self._frames, None)) is None:
            self._receive()
        header, payload = frame
        if header.kind == row_frames.NO_MEMORY:
            raise InputRefused("", NO_MEMORY)
        if header.kind == row_frames.REFUSED:
            raise self._refusal(header, payload)
        return frame

    def _receive(self) -> None:
        self._goes_on()
        while not self._readable.poll(SLICE_MILLISECONDS):
            self._goes_on()
        try:
            self._frames = _taken(self._inbox.receive())
        except BlockingIOError:
            return
        except StreamEnded as error:
            self._goes_on()
            raise InputRefused("", ENDED) from error
        except FrameMalformed as error:
            raise _malformed() from error

    def _read_header(self, data: Buffer) -> RowsHeader:
        header = row_frames.read_header(data)
        if header.kind in (row_frames.MATRIX, row_frames.TABLE) and (
            header.columns != self._wanted.count
            or header.rows > self._most
            or (header.kind == row_frames.MATRIX) != self._wanted.numbers_alone
        ):
            raise FrameMalformed("rows that were not asked for")
        return header

    def _refusal(self, header: RowsHeader, payload: Buffer) -> InputRefused:
        problem = bytes(payload).decode("utf-8", "replace")
        row = None if header.at == row_frames.NOWHERE else header.at
        column = None if header.columns == row_frames.NO_COLUMN else header.columns
        return InputRefused(
            path_of(self._wanted, row, column), one_line(problem, row_frames.MOST_PROBLEM)
        )


def path_of(wanted: Wanted, row: int | None, column: int | None) -> str:
    """The path of a cell, a row, a column or the whole file."""
    name = None
    if column is not None and column < wanted.count:
        name = step(wanted.names[column])
    steps = ["columns" if row is None else f"rows/{row}", name]
    if row is None and name is None:
        return ""
    return "".join(f"/{part}" for part in steps if part is not None)


def _order(connection: socket.socket, file: RowsFile, wanted: Wanted, rows_at_once: int) -> None:
    sealed = file.sealed()
    body = {
        "form": file.form,
        "options": dict(file.options),
        "wanted": wanted.as_json(),
        "rows_at_once": rows_at_once,
        "key": sealed.key.hex(),
        "size": sealed.size,
        "purpose": sealed.purpose,
    }
    # Opened anew, to read only, and with an offset of its own.
    reader = os.open(f"/proc/self/fd/{sealed.descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        send(connection, Message(READ, body, (), (reader,)))
    except MessagesEnded as error:
        raise InputRefused("", ENDED) from error
    finally:
        os.close(reader)


def _taken(
    frames: Iterator[tuple[RowsHeader, Buffer]],
) -> Iterator[tuple[RowsHeader, Buffer]]:
    """The frames of one receipt; raises InputRefused for a header that no reader sends."""
    try:
        yield from frames
    except FrameMalformed as error:
        raise _malformed() from error


def _malformed() -> InputRefused:
    return InputRefused("", "what the process that read it says is malformed")
