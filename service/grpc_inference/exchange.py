"""Messages into and out of a call, each within its time: gRPC bounds neither.

A read or a write is never cancelled, only left behind: gRPC still works on what was begun. It ends
with its call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import grpc
from grpc import aio

from service.grpc_inference.listener import hang_up
from service.grpc_inference.refusals import Refusal
from service.problems import BY_STATUS, UNAVAILABLE

WRITE_SECONDS: Final = 30.0

NO_MESSAGE: Final = Refusal(
    BY_STATUS[400], grpc.StatusCode.INVALID_ARGUMENT, "the call ended without a message"
)
LATE: Final = Refusal(
    BY_STATUS[408], grpc.StatusCode.DEADLINE_EXCEEDED, "the message did not arrive in time"
)
IDLE: Final = Refusal(
    BY_STATUS[408], grpc.StatusCode.DEADLINE_EXCEEDED, "the stream was idle for too long"
)
TOO_LARGE: Final = Refusal(
    BY_STATUS[413],
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    "the message is larger than those of this method are",
)
LEAVING: Final = Refusal(
    UNAVAILABLE, grpc.StatusCode.UNAVAILABLE, "this process is stopping; open another stream"
)


class CallRefused(Exception):
    """Raised when a call is refused before a thread has taken it."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.words)


async def read_only_message(context: Any, *, seconds: float, most_bytes: int) -> bytes:
    """The message of a call that has one; raises CallRefused."""
    data = await _read(context, seconds=seconds, late=LATE)
    if data is None:
        raise CallRefused(NO_MESSAGE)
    if len(data) > most_bytes:
        raise CallRefused(TOO_LARGE)
    return data


async def read_next(context: Any, *, seconds: float, leaving: asyncio.Event) -> bytes | None:
    """The next message of a stream, None at its end; raises CallRefused, also when we leave."""
    told = asyncio.ensure_future(leaving.wait())
    try:
        return await _read(context, seconds=seconds, late=IDLE, leaving=told)
    finally:
        told.cancel()


async def write(context: Any, data: bytes, *, left: Callable[[], None] = lambda: None) -> None:
    """Send a message; `left` is called once, when it lies in no memory of ours any more.

    gRPC's Python package can end no call whose answer its client does not take up, so its
    connection is ended.
    """
    writing = asyncio.ensure_future(context.write(data))
    writing.add_done_callback(lambda _: left())
    writing.add_done_callback(_retrieve)
    await asyncio.wait({writing}, timeout=WRITE_SECONDS)
    if not writing.done():
        await asyncio.to_thread(hang_up, context.peer())
        await asyncio.wait({writing})
    writing.result()


async def _read(
    context: Any, *, seconds: float, late: Refusal, leaving: asyncio.Future[Any] | None = None
) -> bytes | None:
    reading = asyncio.ensure_future(context.read())
    reading.add_done_callback(_retrieve)
    awaited = {reading} if leaving is None else {reading, leaving}
    await asyncio.wait(awaited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    if not reading.done():
        raise CallRefused(LEAVING if leaving is not None and leaving.done() else late)
    data = reading.result()
    return None if data is aio.EOF else data


def _retrieve(ended: asyncio.Future[Any]) -> None:
    """Look at how a read or write ended that nobody waits for any more."""
    if not ended.cancelled():
        ended.exception()
