"""Bodies in memory: of requests until they are answered, of answers until they are fetched.

Each is held for as long as the client takes to send or to fetch it. So whoever has not proved who
they are shares a small part of the memory with all others of their kind: known callers keep the
rest, however many strangers there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from service.lanes import Caller
from service.memory import Memory, MemoryFull
from service.problems import BUSY, TOO_LARGE
from service.wsgi import Answer, Chunks, Gone, Request, RequestRefused

SMALL_BYTES: Final = 64 * 1024  # no call needs more that anybody may make: a login, a token
PIECE_BYTES: Final = 256 * 1024
LEAST_ROOM: Final = 8 * 1024 * 1024  # answers may be larger than any body is allowed to be
# Of the largest size: of known callers together and of one, of strangers and of one address.
HELD, HELD_EACH = 12, 8
STRANGE, STRANGE_EACH = 4, 2
SPARED: Final = 4  # of known callers' room, to bodies that are counted as they come
ONE_PIECE_BYTES: Final = 1024 * 1024
# Of the least room: of answers in one piece, together and of one caller.
WHOLE, WHOLE_EACH = 4, 2

Connection = tuple[str, str]  # the client's address and port


class Holdings:
    """How many bytes lie in memory for callers who are known, and apart from it for strangers."""

    def __init__(self, largest: int, *, what: str) -> None:
        self.largest = largest
        self._known = Memory(largest, what=what, held=HELD, held_each=HELD_EACH)
        self._strange = Memory(largest, what=what, held=STRANGE, held_each=STRANGE_EACH)

    @property
    def held(self) -> int:
        """How many there are, of everybody."""
        return self._known.held + self._strange.held

    def take(self, caller: Caller, size: int, *, added: int) -> None:
        """Hold room for more of a body that has such a size by now; raises RequestRefused."""
        # Room for one is left to strangers whose bodies are small: to log in, among others.
        leaving = 0 if caller.is_known or size <= SMALL_BYTES else self.largest
        try:
            self._memory(caller).take(caller.lane, added, leaving=leaving)
        except MemoryFull as full:
            raise RequestRefused(BUSY, str(full)) from None

    def reserves(self, caller: Caller, size: int) -> bool:
        """Whether room could be held for what is yet to come, and that for others be spared."""
        if not caller.is_known:
            return False
        try:
            self._known.take(caller.lane, size, leaving=SPARED * self.largest)
        except MemoryFull:
            return False
        return True

    def give_back(self, caller: Caller, size: int) -> None:
        """Leave the room of so many bytes."""
        self._memory(caller).give_back(caller.lane, size)

    def _memory(self, caller: Caller) -> Memory:
        return self._known if caller.is_known else self._strange


class Arriving:
    """A body that comes chunk by chunk, and whose it is as far as that is known."""

    def __init__(self, holdings: Holdings, caller: Caller) -> None:
        self.caller = caller
        self.size = 0
        self._holdings = holdings
        self._chunks: list[bytes] = []
        self._held = 0

    def take(self, chunk: bytes) -> None:
        """Keep a chunk; raises RequestRefused if the body is too large, or there is no room."""
        self.size += len(chunk)
        if self.size > self._holdings.largest:
            raise too_large(self._holdings.largest)
        more = max(0, self.size - self._held)
        self._holdings.take(self.caller, self.size, added=more)
        self._held += more
        self._chunks.append(chunk)

    def reserves(self, size: int) -> bool:
        """Whether room is held from now on for a whole body of that size."""
        more = size - self._held
        if more > 0 and not self._holdings.reserves(self.caller, more):
            return False
        self._held = max(self._held, size)
        return True

    def is_whole(self, body: bytes) -> None:
        """Keep the whole body, for which there is room."""
        self.size, self._chunks = len(body), [body]

    def belongs_to(self, caller: Caller) -> None:
        """Count what has come as this caller's from now on; raises RequestRefused."""
        size = self._held
        self.leave()
        self._holdings.take(caller, size, added=size)
        self.caller, self._held = caller, size

    def whole(self) -> bytes:
        """All of it; what came in one piece is not copied from here to the model."""
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    def leave(self) -> None:
        """Give its room back."""
        self._holdings.give_back(self.caller, self._held)
        self._held = 0


@contextmanager
def arriving(holdings: Holdings, caller: Caller) -> Iterator[Arriving]:
    """A body that lies in memory for the length of the block."""
    body = Arriving(holdings, caller)
    try:
        yield body
    finally:
        body.leave()


def fetched(answer: Answer, holdings: Holdings, caller: Caller) -> Answer:
    """The answer as it is sent: one of some size in pieces; raises RequestRefused.

    A server keeps what it is given in one piece until the client has fetched it, and no bound of
    ours sees that. What it is given in pieces is bounded in time, and counted until it is sent.
    """
    body = answer.body
    if not isinstance(body, bytes) or len(body) <= SMALL_BYTES:
        return answer
    size = len(body)
    holdings.take(caller, size, added=size)
    pieces = Chunks(_pieces(body), size, at_hand=True)
    pieces.then(partial(holdings.give_back, caller, size))
    return Answer(answer.status, answer.headers, pieces)


@dataclass(slots=True)
class _Fetching:
    """What a connection may not have fetched yet: the answer before the last, and the last."""

    watch: asyncio.Task[None]
    before: tuple[Hashable, int] | None = None
    last: tuple[Hashable, int] | None = None


class InOnePiece:
    """Answers of known callers that a server has been given in one piece, until they are fetched.

    It does not say when that is. But over HTTP/1.1 it answers in turn, and takes up the request
    after the next only when an answer has left it; and who is gone fetches nothing. What finds no
    room here, by either measure, goes in pieces.
    """

    def __init__(self) -> None:
        self._memory = Memory(LEAST_ROOM, what="answers", held=WHOLE, held_each=WHOLE_EACH)
        self._connections: dict[Connection, _Fetching] = {}

    @property
    def held(self) -> int:
        """How many bytes there are, of everybody."""
        return self._memory.held

    def asks_again(self, connection: Connection) -> None:
        """Note the next request of a connection."""
        fetching = self._connections.get(connection)
        if fetching is None:
            return
        self._leave(fetching.before)
        fetching.before, fetching.last = fetching.last, None
        if fetching.before is None:
            del self._connections[connection]
            fetching.watch.cancel()

    def takes(self, request: Request, caller: Caller, answer: Answer, gone: Gone) -> bool:
        """Whether there is room for an answer of some size; then it is held."""
        size = len(answer.body) if isinstance(answer.body, bytes) else 0
        if not SMALL_BYTES < size <= ONE_PIECE_BYTES:
            return False
        if not caller.is_known or not request.version.startswith("1"):
            return False
        try:
            self._memory.take(caller.lane, size)
        except MemoryFull:
            return False
        if request.client not in self._connections:
            self._watch(request.client, gone)
        self._connections[request.client].last = (caller.lane, size)
        return True

    def gone(self, connection: Connection, gone: Gone) -> Gone:
        """How to learn that a connection is gone: a server tells it to one that waits alone."""
        fetching = self._connections.get(connection)
        return gone if fetching is None else partial(asyncio.shield, fetching.watch)

    def _watch(self, connection: Connection, gone: Gone) -> None:
        fetching = _Fetching(asyncio.ensure_future(_until(gone)))
        self._connections[connection] = fetching

        def forget(_watch: object) -> None:
            if self._connections.get(connection) is fetching:
                del self._connections[connection]
                self._leave(fetching.before)
                self._leave(fetching.last)

        fetching.watch.add_done_callback(forget)

    def _leave(self, answer: tuple[Hashable, int] | None) -> None:
        if answer is not None:
            self._memory.give_back(*answer)


async def _until(gone: Gone) -> None:
    with suppress(ConnectionAbortedError):
        await gone()


def too_large(most: int) -> RequestRefused:
    """The refusal of a body of more than so many bytes."""
    return RequestRefused(TOO_LARGE, f"a body has at most {most} bytes here")


def _pieces(body: bytes) -> Iterator[bytes]:
    for begin in range(0, len(body), PIECE_BYTES):
        yield body[begin : begin + PIECE_BYTES]
