"""Bodies that are files: uploads and files of rows, between the gateway and the application.

A file may be larger than memory should hold. The application sees its head first, and admits it or
refuses it; only what is admitted is read, onto the disk, and then handed over. So may its answer
be. A small file of rows of a known caller's is held in memory instead, and seen once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol
from wsgiref.types import WSGIEnvironment

from service.bodies import Arriving, Holdings, arriving, too_large
from service.errors import StorageFull, TooBusy
from service.lanes import Caller, Crowd, Lanes, LanesFull
from service.pacing import discard, keeping_pace
from service.problems import BUSY, STORAGE_FULL
from service.receiving import BodyReader
from service.spools import CONTINUE, UPLOAD, Admission, Spool, Spools, Upload
from service.wsgi import BODY, Answer, Body, Chunks, Gone, Kind, Request, RequestRefused, environ_of

LEAST_UPLOAD_BYTES_PER_SECOND: Final = 64 * 1024  # an upload may be long, so it is not also slow
UPLOADS: Final = 16
UPLOADS_EACH: Final = 4
BULKS: Final = 12
BULKS_EACH: Final = 4
UPLOAD_THREADS: Final = 8  # more than one caller's uploads can hold
BULK_THREADS: Final = 3  # they compute as well as wait, and others want to be answered meanwhile
SPOOLED_BYTES: Final = 256 * 1024  # written to the disk at once


@dataclass(frozen=True, slots=True)
class Uploads:
    """Which requests are uploads, of which kind, and where each kind arrives."""

    takes: Callable[[Request], Kind | None]
    spools: Mapping[Kind, Spools]


class Application(Protocol):
    """The application, as the gateway calls it."""

    async def call(self, environ: WSGIEnvironment, caller: Caller) -> Answer:
        """Call it when it is the caller's turn; raises RequestRefused."""
        ...

    def apply(self, environ: WSGIEnvironment) -> Answer:
        """Call it here and now."""
        ...


class FileDesk:
    """Takes files in, and has the application answer them in threads of their own."""

    def __init__(
        self,
        uploads: Uploads | None,
        application: Application,
        bodies: Holdings,
        reader: BodyReader,
        disk: Executor,
    ) -> None:
        self._uploads = uploads or Uploads(lambda _asked: None, {})
        self._application = application
        self._bodies = bodies
        self._reader = reader
        self._disk = disk
        # What copies a file, or waits until somebody has made a version of it, holds up nobody.
        self._lanes: dict[Kind, Lanes] = {
            "upload": Lanes(
                "upload", threads=UPLOAD_THREADS, waiting=UPLOADS, waiting_each=UPLOADS
            ),
            "bulk": Lanes("bulk", threads=BULK_THREADS, waiting=BULKS, waiting_each=BULKS),
        }

    @property
    def crowds(self) -> dict[str, Crowd]:
        """How full its lanes are."""
        return {kind: lanes.crowd for kind, lanes in self._lanes.items()}

    @property
    def spools(self) -> int:
        """How many files are on their way."""
        return sum(each.count for each in self._uploads.spools.values())

    def kind(self, request: Request) -> Kind | None:
        """Whether a request brings a file, and of which kind."""
        return self._uploads.takes(request)

    async def answer(
        self, kind: Kind, request: Request, body: Body, caller: Caller, gone: Gone | None
    ) -> Answer:
        """Have a file judged by its head, read and answered; raises RequestRefused."""
        if kind == "bulk" and _may_be_held(request, caller, self._bodies.largest):
            with arriving(self._bodies, caller) as held:
                if held.reserves(request.declared or 0):
                    return await self._answer_held(request, body, held, gone)
        upload = Upload(request.declared)
        head: WSGIEnvironment = environ_of(request, b"") | {UPLOAD: upload}
        answer = await self._application.call(head, caller)
        if answer.status != CONTINUE or upload.admission is None:
            await discard(request, body)
            return answer
        with _refusing():
            return await self._answer_admitted(kind, request, body, upload, head, gone)

    async def _answer_held(
        self, request: Request, body: Body, held: Arriving, gone: Gone | None
    ) -> Answer:
        """Answer a small file out of memory, which is known to have room for it."""
        tenant, upload = held.caller.lane, Upload(request.declared, complete=True)
        with _refusing(), ExitStack() as stack:
            upload.spool = stack.enter_context(await self._uploads.spools["bulk"].place(tenant))
            await self._reader.read(request, body, held)
            upload.body = held.whole()
            environ = environ_of(request, upload.body) | {UPLOAD: upload}
            async with _noticing(gone, upload):
                work = partial(self._application.apply, environ)
                answer = await self._lanes["bulk"].run(tenant, work)
            _keep_until_sent(answer, stack)
            return answer

    async def _answer_admitted(
        self,
        kind: Kind,
        request: Request,
        body: Body,
        upload: Upload,
        head: WSGIEnvironment,
        gone: Gone | None,
    ) -> Answer:
        assert upload.admission is not None, "it was admitted"
        tenant = upload.admission.scope.tenant_id
        with ExitStack() as stack:
            spool = stack.enter_context(await self._uploads.spools[kind].place(tenant))
            await self._spool(request, body, spool, upload.admission)
            upload.complete, upload.spool = True, spool
            environ = head | {"CONTENT_LENGTH": str(spool.size)}
            async with _noticing(gone, upload):
                work = partial(self._apply_spooled, environ, spool)
                answer = await self._lanes[kind].run(tenant, work)
            _keep_until_sent(answer, stack)
            return answer

    async def _spool(
        self, request: Request, body: Body, spool: Spool, admission: Admission
    ) -> None:
        loop = asyncio.get_running_loop()
        received, pending = 0, bytearray()
        async with keeping_pace(LEAST_UPLOAD_BYTES_PER_SECOND) as limit:
            async for chunk in body:
                received += len(chunk)
                if received > admission.most_bytes:
                    raise too_large(admission.most_bytes)
                pending += chunk
                if len(pending) >= SPOOLED_BYTES:
                    with limit.paused():  # our disk may be slow, that is not the client's fault
                        await loop.run_in_executor(self._disk, spool.write, bytes(pending))
                    pending.clear()
                limit.has_come(received)
        await loop.run_in_executor(self._disk, spool.write, bytes(pending))
        request.refuse_cut_off(received)

    def _apply_spooled(self, environ: WSGIEnvironment, spool: Spool) -> Answer:
        named = {name: value for name, value in environ.items() if name != BODY}
        try:
            return self._application.apply(named | {"wsgi.input": spool.read()})
        finally:
            spool.close()


def _may_be_held(request: Request, caller: Caller, most: int) -> bool:
    """Whether a file may be held in memory: a known caller's, who says how small it is.

    Who waits for leave to send it waits for the application, which decides by the head.
    """
    declared = request.declared
    return caller.is_known and not request.expects_leave and 0 < (declared or 0) <= most


def _keep_until_sent(answer: Answer, stack: ExitStack) -> None:
    """Keep what is held for a call while its answer lies on the disk."""
    if isinstance(answer.body, Chunks):
        answer.body.then(stack.pop_all().close)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn what there is no room for into RequestRefused."""
    try:
        yield
    except (TooBusy, LanesFull) as error:
        raise RequestRefused(BUSY, str(error)) from None
    except StorageFull as error:
        raise RequestRefused(STORAGE_FULL, str(error)) from None


@asynccontextmanager
async def _noticing(gone: Gone | None, upload: Upload) -> AsyncIterator[None]:
    """Tell whoever works for a client when it has gone, also by the end of the block's own task."""
    if gone is None:
        yield
        return

    async def notice() -> None:
        with suppress(ConnectionAbortedError):
            await gone()
        upload.gone.set()

    watch = asyncio.ensure_future(notice())
    try:
        yield
    except asyncio.CancelledError:
        upload.gone.set()
        raise
    finally:
        watch.cancel()
