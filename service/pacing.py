"""How long whoever is at the other end may take: to send, to fetch, and to be refused.

A slow line is served. One that falls silent holds a place that others wait for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final

from service.problems import BY_STATUS
from service.wsgi import Body, Request, RequestRefused

FIRST_BODY_SECONDS: Final = 15.0
DISCARD_SECONDS: Final = 5.0
SWIFT_SECONDS: Final = FIRST_BODY_SECONDS / 4  # a line may be so much slower than it was
LINES: Final = 4096
PIECE_SECONDS: Final = 30.0  # for a piece of an answer: whoever stops fetching gives up the rest


class BodyPace:
    """Cuts off a body that trickles, or falls silent near the end of what came fast.

    A slow line is served; what came fast buys no time for what does not come.
    """

    def __init__(self, limit: asyncio.Timeout, least: int) -> None:
        self._limit = limit
        self._share = FIRST_BODY_SECONDS * least
        self._awaited = self._share

    def has_come(self, size: int) -> None:
        """Give more time once enough has come."""
        if size >= self._awaited:
            self._limit.reschedule(asyncio.get_running_loop().time() + FIRST_BODY_SECONDS)
            self._awaited = size + self._share

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Count nothing against the client while the block runs."""
        loop, until = asyncio.get_running_loop(), self._limit.when()
        assert until is not None, "it is paused once at a time"
        left = until - loop.time()
        self._limit.reschedule(None)
        yield
        self._limit.reschedule(loop.time() + left)


@asynccontextmanager
async def keeping_pace(least: int) -> AsyncIterator[BodyPace]:
    """Refuse a body that comes at less than so many bytes a second."""
    try:
        async with asyncio.timeout(FIRST_BODY_SECONDS) as limit:
            yield BodyPace(limit, least)
    except TimeoutError:
        raise too_late() from None


def too_late() -> RequestRefused:
    """The refusal of a body that does not come, or too slowly."""
    return RequestRefused(BY_STATUS[408], "the body did not arrive in time; send it again")


class Lines:
    """How fast the bodies of clients came, as far as that is known."""

    def __init__(self) -> None:
        self._rates: dict[str, float] = {}

    def came(self, client: str, size: int, seconds: float) -> None:
        """Note how long a body was on its way."""
        self.forget(client)
        self._rates[client] = size / max(seconds, 1e-6)
        if len(self._rates) > LINES:
            del self._rates[next(iter(self._rates))]

    def forget(self, client: str) -> None:
        """Take a client for one whose line is not known."""
        self._rates.pop(client, None)

    def are_swift(self, client: str, size: int) -> bool:
        """Whether a body of that size will be here so soon that nobody need watch it come."""
        return size <= self._rates.get(client, 0.0) * SWIFT_SECONDS


async def deliver(pieces: AsyncIterator[bytes], write: Callable[[bytes], Awaitable[None]]) -> None:
    """Write pieces, each when the one before it was taken; raises TimeoutError."""
    async for piece in pieces:
        async with asyncio.timeout(PIECE_SECONDS):
            await write(piece)


async def discard(request: Request, body: Body) -> None:
    """Read on for a moment, keeping nothing.

    A stream or connection whose body is left unread is reset, and the answer lost with it: many
    clients read only when they have sent everything. One that waits for leave to send (RFC 9110,
    section 10.1.1) is not given it.
    """
    if request.expects_leave and not body.begun:
        return
    with suppress(TimeoutError, ConnectionAbortedError):
        async with asyncio.timeout(DISCARD_SECONDS):
            async for _chunk in body:
                pass
