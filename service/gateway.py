"""Between the server and the WSGI application: reads whole bodies, then calls in bounded threads.

A thread that waits for a client's bytes is lost to everyone else, so a body is read on the event
loop, within bounds of size, time and memory, and the application sees only complete requests.

An upload is larger than memory should hold. The application sees its head first, and admits it or
refuses it; only what is admitted is read, onto the disk, and then handed over. So may its answer
be: that is sent piece by piece, as fast as the client fetches it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final
from wsgiref.types import WSGIApplication, WSGIEnvironment

from config.logging import frames_of
from service.bodies import (
    LEAST_ROOM,
    Arriving,
    Holdings,
    InOnePiece,
    arriving,
    fetched,
    too_large,
)
from service.errors import RateLimited, StorageFull, TooBusy
from service.express.errands import Done, Errand, Lesson
from service.lanes import Caller, Lanes, LanesFull, Pace
from service.monitoring import Load, Monitor
from service.pacing import BodyPace, deliver, discard, keeping_pace
from service.problems import BAD_REQUEST, BUSY, INTERNAL, STORAGE_FULL, problem_of
from service.receiving import BodyReader
from service.spools import CONTINUE, UPLOAD, Admission, Spool, Spools, Upload
from service.visits import SETBACK, Setback
from service.wording import Wordings
from service.wsgi import (
    BODY,
    Answer,
    Body,
    Chunks,
    Feed,
    Gone,
    Kind,
    Request,
    RequestRefused,
    Whole,
    environ_of,
    run_wsgi,
)

log = logging.getLogger(__name__)

LEAST_UPLOAD_BYTES_PER_SECOND: Final = 64 * 1024  # an upload may be long, so it is not also slow
WAITING_CALLS: Final = 512
WAITING_CALLS_EACH: Final = 128
WAITING_ERRANDS: Final = 64  # what was read of them takes more memory than their bodies
WAITING_SLOW: Final = 128  # some seconds' worth of password hashes
WAITING_SLOW_EACH: Final = 32
UPLOADS: Final = 16
UPLOADS_EACH: Final = 4
BULKS: Final = 12
BULKS_EACH: Final = 4
WAITING_THREADS: Final = 32  # they cost memory alone
UPLOAD_THREADS: Final = 8  # more than one caller's uploads can hold
BULK_THREADS: Final = 3  # they compute as well as wait, and others want to be answered meanwhile
SPOOLED_BYTES: Final = 256 * 1024  # written to the disk at once

# From the head of a request to what the call will do, and whose it is.
Sort = Callable[[Request], Caller]
# Verifies whose a request is, in a thread, so that it is sorted anew; raises RateLimited.
Introduce = Callable[[Request], None]


def by_address(request: Request) -> Caller:
    """Sort calls by their client's address alone."""
    return Caller("quick", request.client[0])


@dataclass(frozen=True, slots=True)
class Uploads:
    """Which requests are uploads, of which kind, and where each kind arrives."""

    takes: Callable[[Request], Kind | None]
    spools: Mapping[Kind, Spools]


class Gateway:
    """Answers requests with a WSGI application."""

    def __init__(
        self,
        application: WSGIApplication,
        *,
        threads: int,
        max_body_bytes: int,
        slow_threads: int = 1,
        sort: Sort = by_address,
        introduce: Introduce | None = None,
        uploads: Uploads | None = None,
        wordings: Wordings | None = None,
        monitor: Monitor | None = None,
        in_one_piece: InOnePiece | None = None,
    ) -> None:
        self._application = application
        self._monitor = monitor
        self._wordings = wordings or Wordings()
        self._sort = sort
        self._introduce = introduce
        self._uploads = uploads
        self._lanes: dict[Pace, Lanes] = {
            "quick": self._lane("quick", threads, WAITING_CALLS, WAITING_CALLS_EACH),
            # What hashes passwords waits in threads of its own, or it would hold up predictions.
            "hashing": self._lane("hashing", slow_threads, WAITING_SLOW, WAITING_SLOW_EACH),
            # So does what waits for a model's process: it may take as long as its author likes.
            "waiting": self._lane("waiting", WAITING_THREADS, WAITING_CALLS, WAITING_CALLS_EACH),
        }
        self._long: dict[Kind, Lanes] = {
            # So does what copies a file, or waits until somebody has made a version of it.
            "upload": Lanes(
                "upload", threads=UPLOAD_THREADS, waiting=UPLOADS, waiting_each=UPLOADS
            ),
            "bulk": Lanes("bulk", threads=BULK_THREADS, waiting=BULKS, waiting_each=BULKS),
        }
        self._disk = ThreadPoolExecutor(2, thread_name_prefix="disk")
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="feeds")
        self._retires = asyncio.Event()
        self._bodies = Holdings(max_body_bytes, what="bodies")
        self._answers = Holdings(max(max_body_bytes, LEAST_ROOM), what="answers")
        self._in_one_piece = in_one_piece
        self._reader = BodyReader(max_body_bytes, self._recognise)
        if monitor is not None:
            monitor.watch(self._load)

    async def answer(
        self,
        request: Request,
        chunks: AsyncIterator[bytes],
        gone: Gone | None = None,
        whole: Whole | None = None,
        *,
        setback: Setback | None = None,
    ) -> Answer:
        """Read the body, call the application, and return its answer.

        `chunks` or `whole`, of which one is asked for, raises ConnectionAbortedError where a body
        is cut off. An answer in pieces is to be sent by `send`, or closed. A `setback` is what the
        call has come to before, and not to be tried again.
        """
        body = Body(chunks, whole)
        gone = self._next(request, gone)
        try:
            request.refuse_method()
            kind = self._uploads.takes(request) if self._uploads is not None else None
            if kind is not None:
                return await self._answer_upload(kind, request, body, gone)
            return await self._answer_call(request, body, gone, setback)
        except RequestRefused as refusal:
            await discard(request, body)
            return self._refuse(refusal, request)
        except ConnectionAbortedError:
            cut_off = RequestRefused(BAD_REQUEST, "the body was cut off; send it again")
            return self._refuse(cut_off, request)

    async def run(
        self, request: Request, errand: Errand, gone: Gone
    ) -> Answer | Setback | Lesson | None:
        """Answer a call outside of the application, when it is its lane's turn.

        What is no answer is for `answer`: it is to be asked, with the setback if it is one.
        """
        caller = Caller(errand.pace, errand.lane, is_known=True)
        done: Done = errand
        while isinstance(done, Errand):
            lanes = self._lanes[done.pace]
            if lanes.crowd.waiting >= WAITING_ERRANDS:
                return None
            try:
                done = await lanes.run(done.lane, done.run)
            except LanesFull:
                return None
        if not isinstance(done, Answer):
            return done
        try:
            return self._sent(request, done, caller, self._next(request, gone))
        except RequestRefused as refusal:
            return self._refuse(refusal, request)

    async def send(self, chunks: Chunks, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Send an answer in pieces, each when the client has taken the one before it.

        Raises TimeoutError if it takes none for long, or what `write` raises.
        """
        try:
            await deliver(self._pieces(chunks), write)
        finally:
            chunks.close()

    async def follow(self, feed: Feed, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Send what is new of a feed until it ends, or this process is to end.

        Raises TimeoutError if the client takes nothing for long, or what `write` raises.
        """
        try:
            await deliver(self._news(feed), write)
        finally:
            feed.close()

    def retire(self) -> None:
        """Let feeds end: who follows them comes again, to another process."""
        self._retires.set()

    async def _news(self, feed: Feed) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        while not self._retires.is_set():
            # All feeds are asked by one thread: they take turns, and no call waits for them.
            piece = await loop.run_in_executor(self._asking, feed.ask)
            if piece is None:
                return
            if piece:
                yield piece
            with suppress(TimeoutError):
                await asyncio.wait_for(self._retires.wait(), feed.every)

    async def _pieces(self, chunks: Chunks) -> AsyncIterator[bytes]:
        if chunks.at_hand:
            for piece in chunks:
                yield piece
            return
        loop = asyncio.get_running_loop()
        while piece := await loop.run_in_executor(self._disk, next, chunks, b""):
            yield piece

    def _next(self, request: Request, gone: Gone | None) -> Gone | None:
        """Note the next request of a connection; how to learn that the connection is gone."""
        if self._in_one_piece is None or gone is None:
            return gone
        self._in_one_piece.asks_again(request.client)
        return self._in_one_piece.gone(request.client, gone)

    async def _answer_call(
        self, request: Request, body: Body, gone: Gone | None, setback: Setback | None
    ) -> Answer:
        with arriving(self._bodies, self._sort(request)) as held:
            if request.may_have_body:
                await self._reader.read(request, body, held)
            environ = environ_of(request, held.whole())
            if setback is not None:
                environ[SETBACK] = setback
            answer = await self._call(environ, held.caller)
        return self._sent(request, answer, held.caller, gone)

    def _sent(self, request: Request, answer: Answer, caller: Caller, gone: Gone | None) -> Answer:
        """The answer as the server is given it."""
        whole = self._in_one_piece
        if whole is not None and gone is not None and whole.takes(request, caller, answer, gone):
            return answer
        return fetched(answer, self._answers, caller)

    async def _answer_upload(
        self, kind: Kind, request: Request, body: Body, gone: Gone | None
    ) -> Answer:
        caller = self._sort(request)
        if kind == "bulk" and _may_be_held(request, caller, self._bodies.largest):
            with arriving(self._bodies, caller) as held:
                if held.reserves(request.declared or 0):
                    return await self._answer_held(request, body, held, gone)
        upload = Upload(request.declared)
        head: WSGIEnvironment = environ_of(request, b"") | {UPLOAD: upload}
        answer = await self._call(head, caller)
        if answer.status != CONTINUE or upload.admission is None:
            await discard(request, body)
            return answer
        with _refusing():
            return await self._answer_admitted(kind, request, body, upload, head, gone)

    async def _answer_held(
        self, request: Request, body: Body, held: Arriving, gone: Gone | None
    ) -> Answer:
        """Answer a small file out of memory, which is known to have room for it."""
        assert self._uploads is not None, "this is one"
        tenant, upload = held.caller.lane, Upload(request.declared, complete=True)
        with _refusing(), ExitStack() as stack:
            upload.spool = stack.enter_context(await self._uploads.spools["bulk"].place(tenant))
            await self._reader.read(request, body, held)
            upload.body = held.whole()
            environ = environ_of(request, upload.body) | {UPLOAD: upload}
            async with _noticing(gone, upload):
                answer = await self._long["bulk"].run(tenant, partial(self._run, environ))
            if isinstance(answer.body, Chunks):
                answer.body.then(stack.pop_all().close)  # its place is taken until it is sent
        return self._sent(request, answer, held.caller, gone)

    async def _answer_admitted(
        self,
        kind: Kind,
        request: Request,
        body: Body,
        upload: Upload,
        head: WSGIEnvironment,
        gone: Gone | None,
    ) -> Answer:
        assert self._uploads is not None, "this is one"
        assert upload.admission is not None, "it was admitted"
        tenant = upload.admission.scope.tenant_id
        with ExitStack() as stack:
            spool = stack.enter_context(await self._uploads.spools[kind].place(tenant))
            await self._spool(request, body, spool, upload.admission)
            upload.complete, upload.spool = True, spool
            environ = head | {"CONTENT_LENGTH": str(spool.size)}
            async with _noticing(gone, upload):
                work = partial(self._run_spooled, environ, spool)
                answer = await self._long[kind].run(tenant, work)
            if isinstance(answer.body, Chunks):
                answer.body.then(stack.pop_all().close)  # its place is taken until it is sent
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

    async def _recognise(self, request: Request, held: Arriving, limit: BodyPace) -> None:
        """Find out whose a larger body is before it is read: it may be a first call."""
        if held.caller.is_known or self._introduce is None:
            return
        try:
            with limit.paused():
                await self._lanes["quick"].run(held.caller.lane, partial(self._introduce, request))
        except LanesFull as error:
            raise RequestRefused(BUSY, str(error)) from None
        except RateLimited as error:
            refused = problem_of(error)
            raise RequestRefused(refused, error, retry_after=error.retry_after) from None
        except Exception as error:  # noqa: BLE001 - the application meets it again, and answers
            log.error("a caller was not recognised\n%s", frames_of(error))  # noqa: TRY400
        held.belongs_to(self._sort(request))

    async def _call(self, environ: WSGIEnvironment, caller: Caller) -> Answer:
        work = partial(self._run, environ)
        try:
            return await self._lanes[caller.pace].run(caller.lane, work)
        except LanesFull as error:
            raise RequestRefused(BUSY, str(error)) from None

    def _run_spooled(self, environ: WSGIEnvironment, spool: Spool) -> Answer:
        named = {name: value for name, value in environ.items() if name != BODY}
        try:
            return self._run(named | {"wsgi.input": spool.read()})
        finally:
            spool.close()

    def _run(self, environ: WSGIEnvironment) -> Answer:
        try:
            return run_wsgi(self._application, environ)
        except Exception as error:  # noqa: BLE001 - it is answered, and told in the log
            log.error("the application raised\n%s", frames_of(error))  # noqa: TRY400
            failed = RequestRefused(INTERNAL, "the application raised")
            return failed.answer(self._wordings, environ["PATH_INFO"])

    def _load(self) -> Load:
        crowds = {str(pace): lanes.crowd for pace, lanes in self._lanes.items()}
        crowds |= {kind: lanes.crowd for kind, lanes in self._long.items()}
        spools = sum(each.count for each in self._uploads.spools.values()) if self._uploads else 0
        whole = self._in_one_piece.held if self._in_one_piece is not None else 0
        return Load(crowds, self._bodies.held + self._answers.held + whole, spools)

    def _lane(self, pace: Pace, threads: int, waiting: int, waiting_each: int) -> Lanes:
        told = self._monitor.waited(pace) if self._monitor else lambda _seconds: None
        return Lanes(pace, threads=threads, waiting=waiting, waiting_each=waiting_each, waited=told)

    def _refuse(self, refusal: RequestRefused, request: Request) -> Answer:
        if self._monitor is not None:
            self._monitor.refused(refusal.problem)
        return refusal.answer(self._wordings, request.path)


def _may_be_held(request: Request, caller: Caller, most: int) -> bool:
    """Whether a file may be held in memory: a known caller's, who says how small it is.

    Who waits for leave to send it waits for the application, which decides by the head.
    """
    declared = request.declared
    return caller.is_known and not request.expects_leave and 0 < (declared or 0) <= most


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
