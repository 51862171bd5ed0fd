"""Bodies as they are read into memory: watched chunk by chunk, or collected by the server.

Each chunk costs a change of threads and a turn of the event loop, a third of what a large call
costs in all. Watching pays where a body may be slow, or its sender means to hold memory. A known
caller's body on a line that was fast before is reserved room for, and awaited as a whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from service.bodies import SMALL_BYTES, Arriving, too_large
from service.pacing import BodyPace, Lines, keeping_pace
from service.wsgi import Body, Request

LEAST_BODY_BYTES_PER_SECOND: Final = 16 * 1024

# Finds out whose a body is before more of it is read; raises RequestRefused.
Recognise = Callable[[Request, Arriving, BodyPace], Awaitable[None]]


class BodyReader:
    """Reads bodies within bounds of size, time and memory."""

    def __init__(self, most: int, recognise: Recognise) -> None:
        self._most = most
        self._recognise = recognise
        self._lines = Lines()

    async def read(self, request: Request, body: Body, held: Arriving) -> None:
        """Read a body to its end; raises RequestRefused, or ConnectionAbortedError."""
        declared = request.declared or 0
        if declared > self._most:
            raise too_large(self._most)
        began = asyncio.get_running_loop().time()
        async with keeping_pace(LEAST_BODY_BYTES_PER_SECOND) as limit:
            if declared > SMALL_BYTES:
                await self._recognise(request, held, limit)
            if body.may_come_whole and self._is_awaited(request, held, declared):
                await self._collect(request, body, held)
            else:
                await self._follow(request, body, held, limit)
        if held.size > SMALL_BYTES:
            seconds = asyncio.get_running_loop().time() - began
            self._lines.came(request.client[0], held.size, seconds)
        request.refuse_cut_off(held.size)

    def _is_awaited(self, request: Request, held: Arriving, declared: int) -> bool:
        """Whether nobody need watch a body come: its line is swift, and room for it is held."""
        swift = declared > SMALL_BYTES and self._lines.are_swift(request.client[0], declared)
        return swift and held.reserves(declared)

    async def _collect(self, request: Request, body: Body, held: Arriving) -> None:
        try:
            held.is_whole(await body.whole())
        except BaseException:  # it is not here in time, or not at all
            self._lines.forget(request.client[0])
            raise

    async def _follow(self, request: Request, body: Body, held: Arriving, limit: BodyPace) -> None:
        async for chunk in body:
            outgrows = held.size <= SMALL_BYTES < held.size + len(chunk)
            if outgrows and request.declared is None:
                await self._recognise(request, held, limit)
            held.take(chunk)
            if held.caller.is_known:  # a stranger's is there in time, or it is given up
                limit.has_come(held.size)
