"""Between the server and the WSGI application: reads whole bodies, then calls in bounded threads.

A thread that waits for a client's bytes is lost to everyone else, so a body is read on the event
loop, within bounds of size, time and memory, and the application sees only complete requests.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import secrets
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from wsgiref.types import WSGIApplication, WSGIEnvironment

from service.errors import BAD_REQUEST, BUSY, BY_STATUS, INTERNAL, MEDIA_TYPE, Problem, describe
from service.lanes import Lanes, LanesFull

log = logging.getLogger(__name__)

FIRST_BODY_SECONDS: Final = 15.0
LEAST_BODY_BYTES_PER_SECOND: Final = 16 * 1024
BODIES_IN_MEMORY: Final = 16
BODIES_EACH: Final = 8  # of one caller: nobody else's find the memory full
WAITING_CALLS: Final = 512
WAITING_CALLS_EACH: Final = 128
WAITING_SLOW: Final = 128  # some seconds' worth of password hashes
WAITING_SLOW_EACH: Final = 32
DISCARD_SECONDS: Final = 5.0
CLIENT_CERTIFICATE: Final = "sallyport.client_certificate"

Headers = list[tuple[str, str]]
# From path, Authorization and client address to whether the call is slow, and whose it is.
Sort = Callable[[str, str | None, str], tuple[bool, Hashable]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer."""

    status: int
    headers: Headers
    body: bytes


class RequestRefused(Exception):
    """Raised when a request is refused before the application sees it."""

    def __init__(self, problem: Problem, detail: str) -> None:
        self.problem = problem
        super().__init__(detail)

    def answer(self) -> Answer:
        """Return the problem document; where the body is unread, the connection ends after it."""
        request_id = secrets.token_hex(16)
        body = describe(self.problem, self, request_id)
        headers = [
            ("content-type", MEDIA_TYPE),
            ("cache-control", "no-store"),
            ("x-request-id", request_id),
        ]
        if self.problem is BUSY:
            headers.append(("retry-after", "1"))
        return Answer(self.problem.status, headers, json.dumps(body).encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The head of a request, as either server hands it over; header names are lower-case."""

    method: str
    path: str
    query: str
    version: str
    client: tuple[str, str]
    server: tuple[str, str]
    host: str | None
    headers: Sequence[tuple[str, str]]
    certificate: bytes | None = None

    def header(self, name: str) -> str | None:
        """Return the first value of a header."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def may_have_body(self) -> bool:
        """Whether there may be something to read."""
        framed = self.header("content-length") or self.header("transfer-encoding")
        return self.method not in ("GET", "HEAD") or framed is not None


def by_address(_path: str, _authorization: str | None, address: str) -> tuple[bool, Hashable]:
    """Sort calls by their client's address alone."""
    return False, address


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
    ) -> None:
        self._application = application
        self._sort = sort
        self._lanes = {
            False: Lanes(
                "quick", threads=threads, waiting=WAITING_CALLS, waiting_each=WAITING_CALLS_EACH
            ),
            # What hashes passwords waits in threads of its own, or it would hold up predictions.
            True: Lanes(
                "slow", threads=slow_threads, waiting=WAITING_SLOW, waiting_each=WAITING_SLOW_EACH
            ),
        }
        self._max_body_bytes = max_body_bytes
        self._buffered = 0
        self._buffered_of: Counter[Hashable] = Counter()

    async def answer(self, request: Request, body: AsyncIterator[bytes]) -> Answer:
        """Read the body, call the application, and return its whole answer."""
        received = bytearray()
        is_slow, lane = self._sort(request.path, request.header("authorization"), request.client[0])
        try:
            if request.may_have_body:
                await self._read(request, body, received, lane)
            return await self._call(request, received, self._lanes[is_slow], lane)
        except RequestRefused as refusal:
            await _discard(body)
            return refusal.answer()
        finally:
            self._release(lane, len(received))

    async def _read(
        self, request: Request, body: AsyncIterator[bytes], received: bytearray, lane: Hashable
    ) -> None:
        self._refuse_declared(request.header("content-length"))
        try:
            async with asyncio.timeout(FIRST_BODY_SECONDS) as limit:
                awaited = FIRST_BODY_SECONDS * LEAST_BODY_BYTES_PER_SECOND
                async for chunk in body:
                    self._admit(len(received) + len(chunk), len(chunk), lane)
                    received += chunk
                    # A slow line is served; one that trickles, or falls silent near the end of
                    # a large body, is not. What came fast buys no time for what does not come.
                    if len(received) >= awaited:
                        limit.reschedule(asyncio.get_running_loop().time() + FIRST_BODY_SECONDS)
                        awaited = len(received) + FIRST_BODY_SECONDS * LEAST_BODY_BYTES_PER_SECOND
        except TimeoutError:
            raise RequestRefused(
                BY_STATUS[408], "the body did not arrive in time; send it again"
            ) from None
        # granian ends the iteration in the same way when the client goes away.
        declared = request.header("content-length")
        if declared is not None and int(declared) != len(received):
            raise RequestRefused(BAD_REQUEST, "the body ended before its declared length")

    def _refuse_declared(self, declared: str | None) -> None:
        if declared is not None and int(declared) > self._max_body_bytes:
            raise self._too_large()

    def _admit(self, size: int, added: int, lane: Hashable) -> None:
        if size > self._max_body_bytes:
            raise self._too_large()
        if self._buffered_of[lane] + added > BODIES_EACH * self._max_body_bytes:
            raise RequestRefused(BUSY, "too many of your bodies are on their way")
        if self._buffered + added > BODIES_IN_MEMORY * self._max_body_bytes:
            raise RequestRefused(BUSY, "too many bodies are on their way")
        self._buffered += added
        self._buffered_of[lane] += added

    def _release(self, lane: Hashable, size: int) -> None:
        self._buffered -= size
        self._buffered_of[lane] -= size
        if not self._buffered_of[lane]:
            del self._buffered_of[lane]

    def _too_large(self) -> RequestRefused:
        return RequestRefused(BY_STATUS[413], f"a body has at most {self._max_body_bytes} bytes")

    async def _call(
        self, request: Request, body: bytearray, lanes: Lanes, lane: Hashable
    ) -> Answer:
        work = partial(self._run, environ_of(request, body))
        try:
            return await lanes.run(lane, work)
        except LanesFull as error:
            raise RequestRefused(BUSY, str(error)) from None

    def _run(self, environ: WSGIEnvironment) -> Answer:
        try:
            return run_wsgi(self._application, environ)
        except Exception:
            log.exception("the application raised")
            return RequestRefused(INTERNAL, "the application raised").answer()


async def _discard(body: AsyncIterator[bytes]) -> None:
    """Read on for a moment, keeping nothing.

    A stream or connection whose body is left unread is reset, and the answer lost with it: many
    clients read only when they have sent everything.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_SECONDS):
            async for _chunk in body:
                pass


def run_wsgi(application: WSGIApplication, environ: WSGIEnvironment) -> Answer:
    """Call a WSGI application and collect its whole answer."""
    started: list[tuple[str, Headers]] = []
    written: list[bytes] = []

    def start_response(status: str, headers: Headers, exc_info: Any = None) -> Any:
        started[:] = [(status, headers)]
        return written.append

    parts: Iterable[bytes] = application(environ, start_response)
    try:
        written.extend(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    status, headers = started[0]
    body = b"" if environ["REQUEST_METHOD"] == "HEAD" else b"".join(written)
    return Answer(int(status.split(" ", 1)[0]), headers, body)


def environ_of(request: Request, body: bytes | bytearray) -> WSGIEnvironment:
    """Translate a request to PEP 3333.

    No header reaches a key without the prefix HTTP_, so none can claim a client certificate.
    """
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path.encode().decode("latin-1"),
        "QUERY_STRING": request.query,
        "SERVER_PROTOCOL": f"HTTP/{request.version}",
        "SERVER_NAME": request.server[0],
        "SERVER_PORT": request.server[1],
        "REMOTE_ADDR": request.client[0],
        "REMOTE_PORT": request.client[1],
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if request.certificate is not None:
        environ[CLIENT_CERTIFICATE] = request.certificate
    if request.host:
        environ["HTTP_HOST"] = request.host
    # RFC 9112 section 3.2.2: the authority of the target outranks the Host header.
    named = [h for h in request.headers if h[0] != "host" or not request.host]
    _add_headers(environ, named)
    return environ


def _add_headers(environ: WSGIEnvironment, headers: Iterable[tuple[str, str]]) -> None:
    for name, value in headers:
        # `X_Name` and `X-Name` would share a variable: a client could speak as a proxy.
        if "_" in name or name == "content-length":
            continue
        key = name.upper().replace("-", "_")
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        separator = "; " if key == "HTTP_COOKIE" else ","
        environ[key] = f"{environ[key]}{separator}{value}" if key in environ else value
