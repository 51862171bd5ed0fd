"""A request as a server hands it over, and what a WSGI application makes of it (PEP 3333)."""

from __future__ import annotations

import io
import math
import re
import secrets
import sys
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, Literal
from wsgiref.types import WSGIApplication, WSGIEnvironment

from service.problems import BAD_REQUEST, BY_STATUS, Problem, describe
from service.wording import Wordings

CLIENT_CERTIFICATE: Final = "sallyport.client_certificate"
BODY: Final = "sallyport.body"  # the whole body: read from here, it is not copied again
PASSING: Final = (429, 503)  # refusals after which it is worth to come back
METHOD: Final = re.compile("[A-Z]+")

Headers = list[tuple[str, str]]
# Returns when the client has gone.
Gone = Callable[[], Awaitable[object]]
# The whole of a body at once; raises ConnectionAbortedError where it is cut off.
Whole = Callable[[], Awaitable[bytes]]
# What a body brings that memory should not hold: a file for a version; rows to be answered.
Kind = Literal["upload", "bulk"]


class Chunks:
    """A body of a known size that is fetched piece by piece, from any thread but one at a time.

    What it is fetched from is given back by `release`: after the last piece, or when it is closed.
    Pieces that are `at_hand` need no wait, as for a disk.
    """

    def __init__(
        self,
        pieces: Iterator[bytes],
        size: int,
        release: Callable[[], None] = lambda: None,
        *,
        at_hand: bool = False,
    ) -> None:
        self.size = size
        self.at_hand = at_hand
        self._pieces = pieces
        self._release = release
        self._held = ExitStack()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        for piece in self._pieces:
            return piece
        self._release()
        raise StopIteration

    def then(self, close: Callable[[], object]) -> None:
        """Call this when it is closed."""
        self._held.callback(close)

    def close(self) -> None:
        """Give back what it holds; what was not fetched is lost."""
        self._release()
        self._held.close()


class Feed:
    """A body that goes on for a while: every so many seconds it is asked for what is new.

    `ask` gives nothing where nothing is new, and None when there will be nothing more. It is
    called from any thread but one at a time, and gives its place back when it is closed.
    """

    def __init__(
        self,
        ask: Callable[[], bytes | None],
        release: Callable[[], None] = lambda: None,
        *,
        every: float,
    ) -> None:
        self.ask = ask
        self.every = every
        self._end = weakref.finalize(self, release)  # also if nobody comes to send it

    def __iter__(self) -> Iterator[bytes]:
        """All of it, for a server that can but wait for it."""
        while (piece := self.ask()) is not None:
            if piece:
                yield piece
            else:
                time.sleep(self.every)

    def close(self) -> None:
        """Give its place back."""
        self._end()


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer."""

    status: int
    headers: Headers
    body: bytes | Chunks | Feed


class RequestRefused(Exception):
    """Raised when a request is refused before the application sees it."""

    def __init__(
        self, problem: Problem, reason: str | Exception, *, retry_after: float = 1.0
    ) -> None:
        self.problem = problem
        self._error = reason if isinstance(reason, Exception) else self
        self._retry_after = retry_after
        super().__init__(str(reason))

    def answer(self, wordings: Wordings, path: str) -> Answer:
        """Return the refusal; where the body is unread, the connection ends after it."""
        request_id = secrets.token_hex(16)
        said = wordings.say(path, self.problem, describe(self.problem, self._error, request_id))
        headers = [
            ("content-type", said.media_type),
            ("cache-control", "no-store"),
            ("x-request-id", request_id),
        ]
        if self.problem.status in PASSING:
            headers.append(("retry-after", str(max(1, math.ceil(self._retry_after)))))
        return Answer(said.status, headers, said.body)


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
        return next(iter(self.every(name)), None)

    def every(self, name: str) -> Iterator[str]:
        """The values of a header."""
        return (value for key, value in self.headers if key == name)

    @property
    def declared(self) -> int | None:
        """How many bytes the body has, if the client has said."""
        length = self.header("content-length")
        return None if length is None else int(length)

    @property
    def expects_leave(self) -> bool:
        """Whether the client waits to be told to send the body (RFC 9110, section 10.1.1)."""
        return (self.header("expect") or "").lower() == "100-continue"

    def refuse_method(self) -> None:
        """Raise RequestRefused for a method that is none, before anybody decides by it.

        Methods are case-sensitive (RFC 9110, section 9.1), but werkzeug answers `post` as POST:
        whoever compares exactly would let through what the application then takes for an upload.
        """
        if METHOD.fullmatch(self.method) is None:
            raise RequestRefused(BY_STATUS[501], "methods are upper-case words, such as POST")

    def refuse_cut_off(self, received: int) -> None:
        """Raise RequestRefused unless as much has come as was declared, if anything was."""
        if self.declared not in (None, received):
            raise RequestRefused(BAD_REQUEST, "the body ended before its declared length")

    @property
    def may_have_body(self) -> bool:
        """Whether there may be something to read."""
        framed = self.header("content-length") or self.header("transfer-encoding")
        return self.method not in ("GET", "HEAD") or framed is not None


class Body:
    """A request's body as it arrives; `begun` says whether anybody has asked for it.

    A server may have a cheaper way to collect all of it than chunk by chunk.
    """

    def __init__(self, chunks: AsyncIterator[bytes], whole: Whole | None = None) -> None:
        self._chunks = chunks
        self._whole = whole
        self.begun = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        self.begun = True
        return self._chunks

    @property
    def may_come_whole(self) -> bool:
        """Whether the server collects it."""
        return self._whole is not None

    async def whole(self) -> bytes:
        """All of it, after which there are no chunks; raises ConnectionAbortedError."""
        assert self._whole is not None, "it may come whole"
        self.begun, self._chunks = True, _nothing()
        return await self._whole()


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def run_wsgi(application: WSGIApplication, environ: WSGIEnvironment) -> Answer:
    """Call a WSGI application and collect its whole answer, unless that comes in pieces."""
    started: list[tuple[str, Headers]] = []
    written: list[bytes] = []

    def start_response(status: str, headers: Headers, exc_info: Any = None) -> Any:
        started[:] = [(status, headers)]
        return written.append

    parts: Iterable[bytes] = application(environ, start_response)
    if isinstance(parts, Chunks | Feed):
        return Answer(_status(started), started[0][1], parts)
    try:
        written.extend(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    body = b"" if environ["REQUEST_METHOD"] == "HEAD" else b"".join(written)
    return Answer(_status(started), started[0][1], body)


def _status(started: list[tuple[str, Headers]]) -> int:
    return int(started[0][0].split(" ", 1)[0])


def environ_of(request: Request, body: bytes) -> WSGIEnvironment:
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
        "wsgi.input": io.BytesIO(body),  # shares the bytes until somebody writes
        BODY: body,
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
