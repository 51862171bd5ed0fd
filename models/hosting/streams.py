"""Frames off a stream socket, however they arrive: in pieces, or many at once."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Final, Generic, Protocol, TypeVar

import numpy as np

from models.errors import FrameMalformed
from models.hosting.descriptors import DESCRIPTOR_BYTES, descriptors_in, descriptors_out
from models.hosting.payloads import Buffer

ROOM: Final = 64 * 1024
# As numbers: combining the enumeration's members takes longer than the call they are for.
AT_ONCE: Final = int(socket.MSG_DONTWAIT)
AT_ONCE_QUIETLY: Final = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
CUT_OFF: Final = int(socket.MSG_CTRUNC)
MOST_DESCRIPTORS: Final = 8
DESCRIPTOR_ROOM: Final = socket.CMSG_SPACE(MOST_DESCRIPTORS * DESCRIPTOR_BYTES)
MOST_PARTS: Final = 256  # of what one call of the kernel sends


class Header(Protocol):
    """A header that was read and checked; it says how long its payload is."""

    @property
    def length(self) -> int:
        """The bytes of the payload."""
        ...


H = TypeVar("H", bound=Header)


class StreamEnded(Exception):
    """Raised when the other side has closed the stream, or its process has ended."""


class Inbox(Generic[H]):
    """Collects the frames of one direction.

    `read_header` checks a header before anything is allocated for its payload. Descriptors that
    arrive are kept in `descriptors`, oldest first, where any are expected.
    """

    def __init__(
        self,
        sock: socket.socket,
        size: int,
        read_header: Callable[[Buffer], H],
        *,
        takes_descriptors: bool = False,
    ) -> None:
        self._socket = sock
        self._size = size
        self._read_header = read_header
        self._takes = takes_descriptors
        self._room = memoryview(bytearray(ROOM))
        self._start = self._end = 0  # of what is in the room and not read yet
        self._header: H | None = None
        self._payload: memoryview | None = None
        self._filled = 0
        self.descriptors: list[int] = []
        self.may_have_more = False

    def receive(self) -> Iterator[tuple[H, Buffer]]:
        """Take what has arrived, once, and yield the frames that it completes.

        Raises BlockingIOError if nothing has arrived, StreamEnded or FrameMalformed.
        """
        if self._payload is not None:
            self._filled += self._receive_into(self._payload[self._filled :])
        else:
            self._make_room()
            self._end += self._receive_into(self._room[self._end :])
        return self._frames()

    def _frames(self) -> Iterator[tuple[H, Buffer]]:
        while True:
            if self._header is None:
                if self._end - self._start < self._size:
                    return
                self._header = self._read_header(self._taken(self._size))
            payload = self._complete(self._header.length)
            if payload is None:
                return
            header, self._header, self._payload = self._header, None, None
            yield header, payload

    def _complete(self, length: int) -> Buffer | None:
        """The payload, if all of it is there."""
        if self._payload is not None:
            return self._payload if self._filled == length else None
        if self._end - self._start >= length:
            return bytearray(self._taken(length))
        if length > ROOM - self._size:
            self._begin_large(length)
        return None

    def _begin_large(self, length: int) -> None:
        # numpy's memory is not touched before it is written to: who only claims a length gets none.
        self._payload = np.empty(length, np.uint8).data
        self._filled = self._end - self._start
        self._payload[: self._filled] = self._taken(self._filled)

    def _taken(self, length: int) -> memoryview:
        part = self._room[self._start : self._start + length]
        self._start += length
        return part

    def _make_room(self) -> None:
        """Move what is left to the front, so that any small frame fits behind it."""
        left = self._end - self._start
        if self._start:
            self._room[:left] = bytes(self._room[self._start : self._end])
        self._start, self._end = 0, left

    def _receive_into(self, view: memoryview) -> int:
        try:
            count = self._receive_some(view)
        except BlockingIOError:
            raise
        except OSError as error:
            raise StreamEnded(str(error)) from error
        if count == 0:
            raise StreamEnded("closed")
        self.may_have_more = count == len(view)
        return count

    def _receive_some(self, view: memoryview) -> int:
        if not self._takes:
            return self._socket.recv_into(view, 0, AT_ONCE)
        count, ancillary, flags, _ = self._socket.recvmsg_into([view], DESCRIPTOR_ROOM, AT_ONCE)
        if ancillary:
            self.descriptors += descriptors_in(ancillary)
        if int(flags) & CUT_OFF or len(self.descriptors) > MOST_DESCRIPTORS:
            raise FrameMalformed("more descriptors than requests")
        return count


class Outbox:
    """Sends frames without waiting; what the socket does not take is kept for later."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._waiting: list[memoryview] = []
        self._descriptors: tuple[int, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether everything was sent."""
        return not self._waiting

    @property
    def size(self) -> int:
        """The bytes that wait."""
        return sum(len(part) for part in self._waiting)

    def send(self, parts: list[Buffer], descriptors: tuple[int, ...] = ()) -> None:
        """Send a frame as far as the socket takes it; raises StreamEnded.

        Descriptors go with the next byte that is sent, and must stay open until then.
        """
        self._waiting += [memoryview(part) for part in parts if len(part)]
        self._descriptors += descriptors
        self.flush()

    def flush(self) -> None:
        """Send more of what waits."""
        try:
            while self._waiting:
                given = descriptors_out(self._descriptors) if self._descriptors else ()
                sent = self._socket.sendmsg(
                    self._waiting[:MOST_PARTS],
                    given,
                    AT_ONCE_QUIETLY,
                )
                self._descriptors = ()
                self._forget(sent)
        except BlockingIOError:
            return
        except OSError as error:
            raise StreamEnded(str(error)) from error

    def _forget(self, sent: int) -> None:
        while sent:
            first = self._waiting[0]
            if sent < len(first):
                self._waiting[0] = first[sent:]
                return
            sent -= len(first)
            del self._waiting[0]
