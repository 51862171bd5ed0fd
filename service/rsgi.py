"""How granian hands requests over (RSGI), and which way each of them goes.

granian runs one thread that hands over every request, and every body that was asked for. Plain
predictions are answered right there: the change to the event loop's thread and back costs more
than most of them. Everything else goes to the gateway, on the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from granian import _granian

from config.logging import frames_of
from service.express.errands import Errand, Lesson
from service.express.heads import Address, Head
from service.gateway import Gateway
from service.pacing import FIRST_BODY_SECONDS, too_late
from service.pipes import Pipe
from service.visits import Setback
from service.wsgi import Answer, Feed, Headers, Request

UNREADABLE: Final = "\xff"  # no header that is heeded here may hold it
# What may be on its way to the express at once: of all callers, and of one tenant's. A call is
# counted as more than its body, for each keeps the others waiting.
MOST_COMING: Final = 32 * 1024 * 1024
MOST_COMING_EACH: Final = 8 * 1024 * 1024
CALL_BYTES: Final = 16 * 1024
SWEEP_SECONDS: Final = 1.0
ANSWERED: Final = 200

log = logging.getLogger(__name__)

# granian's type stub lags behind.
Watcher = Any
engine: Any = _granian


class Express(Protocol):
    """Answers plain requests, in microseconds, or leaves them alone."""

    def address(self, path: str) -> Address | None:
        """The address of a path, if plain calls may come there."""

    def recognise(self, address: Address, headers: Mapping[str, str]) -> Head | None:
        """A call of that address that may be plain, judged by its head."""

    def answer(self, head: Head, body: bytes) -> Answer | Errand | Lesson | None:
        """The answer to a call, which is charged and recorded by then; else it is left alone."""


class Loop(asyncio.SelectorEventLoop):
    """An event loop that does not take over what granian's thread brings for the express."""

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Any = None
    ) -> Any:
        """Run a callback in the loop's thread, but the arrival of an express body here and now."""
        if type(callback) is Arrival:
            return callback(*args)
        return super().call_soon_threadsafe(callback, *args, context=context)


class Arrival:
    """A call whose body is on its way, to be called when it has come, or will not come."""

    __slots__ = ("front", "future", "head", "since", "watcher")

    def __init__(self, front: Front, watcher: Watcher, head: Head) -> None:
        self.front, self.watcher, self.head = front, watcher, head
        self.since = time.monotonic()
        self.future: Any = None

    def __call__(self, future: Any) -> None:
        """Answer it, or pass it on."""
        self.front.arrived(self, future)


class Coming:
    """The calls for the express whose bodies are on their way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arrivals: set[Arrival] = set()
        self._weights: dict[str, int] = {}
        self._weight = 0

    def add(self, arrival: Arrival) -> bool:
        """Expect one more, unless that are too many, or too many of its tenant's."""
        tenant, weight = arrival.head.tenant, arrival.head.size + CALL_BYTES
        with self._lock:
            each = self._weights.get(tenant, 0) + weight
            if each > MOST_COMING_EACH or self._weight + weight > MOST_COMING:
                return False
            self._weights[tenant] = each
            self._weight += weight
            self._arrivals.add(arrival)
        return True

    def remove(self, arrival: Arrival) -> None:
        """Expect one no longer."""
        tenant, weight = arrival.head.tenant, arrival.head.size + CALL_BYTES
        with self._lock:
            self._arrivals.remove(arrival)
            self._weight -= weight
            left = self._weights[tenant] - weight
            if left:
                self._weights[tenant] = left
            else:
                del self._weights[tenant]

    def late(self) -> list[Arrival]:
        """Those that were given time enough: a whole one is small."""
        latest = time.monotonic() - FIRST_BODY_SECONDS
        with self._lock:
            return [arrival for arrival in self._arrivals if arrival.since < latest]


class Front:
    """Divides requests between the express and the gateway, which answers most kinds."""

    def __init__(
        self, loop: Loop, gateway: Gateway, folder: Path, express: Express | None = None
    ) -> None:
        self._loop = loop
        self._gateway = gateway
        self._folder = folder
        self._express = express
        self._coming = Coming()

    def scheduler(self) -> Any:
        """What granian's server is to be given, which calls `schedule` in a thread of its own."""
        made = engine.CallbackScheduler(self._loop, None, None, None, None)
        made._schedule_fn = self.schedule
        self._loop.call_later(SWEEP_SECONDS, self._sweep)
        return made

    def schedule(self, watcher: Watcher) -> None:
        """Take a request over."""
        try:
            arrival = self._recognise(watcher)
        except Exception as error:  # noqa: BLE001 - the gateway can do without the express
            log.error("a request was not recognised\n%s", frames_of(error))  # noqa: TRY400
            arrival = None
        if arrival is None:
            self._pass_on(watcher)
        else:
            arrival.future = watcher.proto()
            arrival.future.add_done_callback(arrival)

    def arrived(self, arrival: Arrival, future: Any) -> None:
        """Answer a call whose body has come, or pass it on."""
        self._coming.remove(arrival)
        # The three hold each other, partly where no collector sees: 9 KB that would stay for ever.
        watcher, arrival.watcher, arrival.future = arrival.watcher, None, None
        assert self._express is not None, "it has recognised the call"
        try:
            body = future.result()
        except asyncio.CancelledError:
            self._pass_on(watcher, _late())
            return
        except Exception:  # noqa: BLE001 - whatever it is, the rest does not come
            self._pass_on(watcher, _cut_off())
            return
        said = self._express.answer(arrival.head, body)
        if isinstance(said, Answer):
            watcher.proto.response_bytes(said.status, said.headers, said.body)
            watcher.done()
        elif isinstance(said, Errand):
            self._loop.call_soon_threadsafe(self._begin, watcher, self._run(watcher, said, body))
        else:
            self._pass_on(watcher, _whole(body), said)

    def _recognise(self, watcher: Watcher) -> Arrival | None:
        """The call as one that the express may answer, if it is."""
        scope, express = watcher.scope, self._express
        if express is None or scope.method != "POST":
            return None
        address = express.address(scope.path)
        if address is None:
            return None
        given = scope.headers
        headers = dict(given.items())
        # One that is repeated, or unreadable and so left out, is for the application to judge.
        if len(headers) != len(given) or scope.query_string:
            return None
        head = express.recognise(address, headers)
        if head is None:
            return None
        arrival = Arrival(self, watcher, head)
        return arrival if self._coming.add(arrival) else None

    def _pass_on(
        self,
        watcher: Watcher,
        chunks: AsyncIterator[bytes] | None = None,
        lesson: Lesson | None = None,
    ) -> None:
        serving = self._serve(watcher, chunks, lesson=lesson)
        self._loop.call_soon_threadsafe(self._begin, watcher, serving)

    def _begin(self, watcher: Watcher, work: Coroutine[Any, Any, None]) -> None:
        watcher.taskref(self._loop.create_task(self._finish(watcher, work)))

    async def _finish(self, watcher: Watcher, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except BaseException as error:  # noqa: BLE001 - as granian's own watchers do
            watcher.err(error)
            return
        watcher.done()

    async def _serve(
        self,
        watcher: Watcher,
        chunks: AsyncIterator[bytes] | None,
        *,
        lesson: Lesson | None = None,
        setback: Setback | None = None,
    ) -> None:
        protocol = watcher.proto
        version = watcher.scope.http_version
        body = read_body(protocol, version=version) if chunks is None else chunks
        whole = partial(read_whole, protocol) if chunks is None else None
        request = request_of(watcher.scope)
        gone = protocol.client_disconnect
        answer = await self._gateway.answer(request, body, gone, whole, setback=setback)
        await self._send(protocol, answer)
        if lesson is not None and answer.status == ANSWERED:
            self._loop.run_in_executor(None, lesson)

    async def _run(self, watcher: Watcher, errand: Errand, body: bytes) -> None:
        """Answer a call that is waited for; the application is handed what is left of it."""
        request, gone = request_of(watcher.scope), watcher.proto.client_disconnect
        done = await self._gateway.run(request, errand, gone)
        if isinstance(done, Answer):
            await self._send(watcher.proto, done)
        elif isinstance(done, Setback):
            await self._serve(watcher, _whole(body), setback=done)
        else:
            await self._serve(watcher, _whole(body), lesson=done)

    async def _send(self, protocol: Any, answer: Answer) -> None:
        if isinstance(answer.body, bytes):
            protocol.response_bytes(answer.status, answer.headers, answer.body)
            return
        if isinstance(answer.body, Feed):
            await self._feed(protocol, answer.status, answer.headers, answer.body)
            return
        # Who has gone, or fetches nothing: what is missing of the declared length tells of it.
        gone = suppress(TimeoutError, BrokenPipeError)
        with closing(answer.body), gone, Pipe(self._folder) as pipe:
            protocol.response_file(answer.status, answer.headers, str(pipe.path))
            await self._gateway.send(answer.body, pipe.write)

    async def _feed(self, protocol: Any, status: int, headers: Headers, feed: Feed) -> None:
        """Send a feed until it ends, or whoever follows it has gone.

        What is sent is little, so that the server may keep it for who takes it slowly; who takes
        nothing at all is cut off by the system.
        """
        stream = protocol.response_stream(status, headers)
        sending = asyncio.ensure_future(self._gateway.follow(feed, stream.send_bytes))
        leaving = asyncio.ensure_future(_gone(protocol))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            gone = (asyncio.CancelledError, TimeoutError, engine.RSGIProtocolClosed)
            for task in (sending, leaving):
                with suppress(*gone):
                    await task

    def _sweep(self) -> None:
        """Give up on bodies that do not come."""
        self._loop.call_later(SWEEP_SECONDS, self._sweep)
        for arrival in self._coming.late():
            future = arrival.future  # it may come just now
            if future is not None:
                future.cancel()


def request_of(scope: Any) -> Request:
    """The head of a request."""
    return Request(
        method=scope.method,
        path=scope.path,
        query=scope.query_string,
        version=scope.http_version,
        client=_address(scope.client),
        server=_address(scope.server),
        host=scope.authority,
        headers=_headers(scope.headers),
    )


async def read_body(protocol: Any, *, version: str) -> AsyncIterator[bytes]:
    """The body in chunks; raises ConnectionAbortedError where the client broke it off.

    granian gives an empty chunk for the end of a body, for an empty frame of HTTP/2 such as many
    clients end with, and for an error: once over HTTP/1, over HTTP/2 again and again without end.
    """
    most_empty = 2 if version.startswith("2") else 1
    empty = 0
    async for chunk in protocol:
        empty = 0 if chunk else empty + 1
        if empty > most_empty:
            raise ConnectionAbortedError
        if chunk:
            yield chunk


async def read_whole(protocol: Any) -> bytes:
    """The body when all of it is here; raises ConnectionAbortedError where it is cut off."""
    try:
        body: bytes = await protocol()
    except (engine.RSGIProtocolClosed, engine.RSGIProtocolError):
        raise ConnectionAbortedError from None
    return body


async def _gone(protocol: Any) -> None:
    with suppress(ConnectionAbortedError):
        await protocol.client_disconnect()


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _late() -> AsyncIterator[bytes]:
    raise too_late()
    yield b""


async def _cut_off() -> AsyncIterator[bytes]:
    raise ConnectionAbortedError
    yield b""


def _address(text: str) -> tuple[str, str]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), port


def _headers(given: Any) -> list[tuple[str, str]]:
    """The headers of a request; granian leaves out those that are not ASCII.

    An unreadable Idempotency-Key or If-Match must not be taken for none at all.
    """
    headers: list[tuple[str, str]] = given.items()
    names = {name for name, _ in headers}
    if len(names) < len(given):
        headers += [(name, UNREADABLE) for name in given.keys() if name not in names]  # noqa: SIM118
    return headers
