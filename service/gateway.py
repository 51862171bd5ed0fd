"""Between the server and the WSGI application: reads whole bodies, then calls in bounded threads.

A thread that waits for a client's bytes is lost to everyone else, so a body is read on the event
loop, within bounds of size, time and memory, and the application sees only complete requests.

Files are for `service.uploading`. An answer may be as large: it is sent piece by piece, as fast as
the client fetches it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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
)
from service.errors import RateLimited
from service.express.errands import Done, Errand, Lesson
from service.lanes import Caller, Lanes, LanesFull, Pace
from service.monitoring import Load, Monitor
from service.pacing import BodyPace, deliver, discard
from service.problems import BAD_REQUEST, BUSY, INTERNAL, problem_of
from service.receiving import BodyReader
from service.uploading import FileDesk, Uploads
from service.visits import SETBACK, Setback
from service.wording import Wordings
from service.wsgi import (
    Answer,
    Body,
    Chunks,
    Feed,
    Gone,
    Request,
    RequestRefused,
    Whole,
    environ_of,
    run_wsgi,
)

log = logging.getLogger(__name__)

WAITING_CALLS: Final = 512
WAITING_CALLS_EACH: Final = 128
WAITING_ERRANDS: Final = 64  # what was read of them takes more memory than their bodies
WAITING_SLOW: Final = 128  # some seconds' worth of password hashes
WAITING_SLOW_EACH: Final = 32
WAITING_THREADS: Final = 32  # they cost memory alone

# From the head of a request to what the call will do, and whose it is.
Sort = Callable[[Request], Caller]
# Verifies whose a request is, in a thread, so that it is sorted anew; raises RateLimited.
Introduce = Callable[[Request], None]


def by_address(request: Request) -> Caller:
    """Sort calls by their client's address alone."""
    return Caller("quick", request.client[0])


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
        self._lanes: dict[Pace, Lanes] = {
            "quick": self._lane("quick", threads, WAITING_CALLS, WAITING_CALLS_EACH),
            # What hashes passwords waits in threads of its own, or it would hold up predictions.
            "hashing": self._lane("hashing", slow_threads, WAITING_SLOW, WAITING_SLOW_EACH),
            # So does what waits for a model's process: it may take as long as its author likes.
            "waiting": self._lane("waiting", WAITING_THREADS, WAITING_CALLS, WAITING_CALLS_EACH),
        }
        self._disk = ThreadPoolExecutor(2, thread_name_prefix="disk")
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="feeds")
        self._retires = asyncio.Event()
        self._bodies = Holdings(max_body_bytes, what="bodies")
        self._answers = Holdings(max(max_body_bytes, LEAST_ROOM), what="answers")
        self._in_one_piece = in_one_piece
        self._reader = BodyReader(max_body_bytes, self._recognise)
        self._desk = FileDesk(uploads, self, self._bodies, self._reader, self._disk)
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
            kind = self._desk.kind(request)
            if kind is None:
                return await self._answer_call(request, body, gone, setback)
            caller = self._sort(request)
            answer = await self._desk.answer(kind, request, body, caller, gone)
            return self._sent(request, answer, caller, gone)
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
            answer = await self.call(environ, held.caller)
        return self._sent(request, answer, held.caller, gone)

    def _sent(self, request: Request, answer: Answer, caller: Caller, gone: Gone | None) -> Answer:
        """The answer as the server is given it."""
        whole = self._in_one_piece
        if whole is not None and gone is not None and whole.takes(request, caller, answer, gone):
            return answer
        return fetched(answer, self._answers, caller)

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

    async def call(self, environ: WSGIEnvironment, caller: Caller) -> Answer:
        """Call the application when it is the caller's turn; raises RequestRefused."""
        work = partial(self.apply, environ)
        try:
            return await self._lanes[caller.pace].run(caller.lane, work)
        except LanesFull as error:
            raise RequestRefused(BUSY, str(error)) from None

    def apply(self, environ: WSGIEnvironment) -> Answer:
        """Call the application here and now; what it raises is an answer too."""
        try:
            return run_wsgi(self._application, environ)
        except Exception as error:  # noqa: BLE001 - it is answered, and told in the log
            log.error("the application raised\n%s", frames_of(error))  # noqa: TRY400
            failed = RequestRefused(INTERNAL, "the application raised")
            return failed.answer(self._wordings, environ["PATH_INFO"])

    def _load(self) -> Load:
        crowds = {str(pace): lanes.crowd for pace, lanes in self._lanes.items()}
        crowds |= self._desk.crowds
        whole = self._in_one_piece.held if self._in_one_piece is not None else 0
        return Load(crowds, self._bodies.held + self._answers.held + whole, self._desk.spools)

    def _lane(self, pace: Pace, threads: int, waiting: int, waiting_each: int) -> Lanes:
        told = self._monitor.waited(pace) if self._monitor else lambda _seconds: None
        return Lanes(pace, threads=threads, waiting=waiting, waiting_each=waiting_each, waited=told)

    def _refuse(self, refusal: RequestRefused, request: Request) -> Answer:
        if self._monitor is not None:
            self._monitor.refused(refusal.problem)
        return refusal.answer(self._wordings, request.path)
