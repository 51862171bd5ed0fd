"""The web program: a warm parent and the workers it forks, each on an inherited listener.

The parent imports the application's modules once and opens nothing; a worker is a fork of it and
so starts in milliseconds. granian's worker serves TLS and HTTP; its own process manager is not
used, because it ends the server when workers die in quick succession, and a worker that ends takes
the connections that wait for it along. See docs/decisions/0003-serving.md.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final
from wsgiref.types import WSGIApplication

from granian import _granian
from granian.http import HTTP1Settings, HTTP2Settings

from auth.errors import AuthError
from certs.errors import CertificateError
from config.errors import ConfigurationError, DatabaseOutOfDate, SealBroken
from config.logging import configure_logging
from config.settings import Settings, load_settings
from service.bodies import InOnePiece
from service.gateway import Gateway, by_address
from service.processes import REFUSED, Child, Post, Signals, fork, reap, still_open
from service.rsgi import Front, Loop
from service.spools import Spools
from service.uploading import BULKS, BULKS_EACH, UPLOADS, UPLOADS_EACH, Uploads
from service.wsgi import Kind, Request

BACKLOG: Final = 4096
MOST_CONNECTIONS: Final = 8192
DESCRIPTORS_KEPT: Final = 512
HEADER_SECONDS: Final = 10
HEADER_BYTES: Final = 64 * 1024
STREAMS: Final = 100
SILENT_SECONDS: Final = 60.0
# What a handshake and the first request may take when the worker that accepted it retires.
SETTLING_SECONDS: Final = 1.0
SWITCH_SECONDS: Final = 0.0005

# granian's type stub lags behind its constructors' arguments.
engine: Any = _granian

Factory = Callable[[Settings], WSGIApplication]
# What an operator must mend before a worker can serve.
UNFIT: Final = (ConfigurationError, DatabaseOutOfDate, SealBroken, AuthError, CertificateError)


@dataclass(frozen=True, kw_only=True)
class Inherited:
    """What the supervisor hands to a program: descriptors, and what to serve.

    There is a listener for each process that accepts connections.
    """

    listeners: Sequence[int]
    ready: int
    lifeline: int
    application: str


def main(arguments: Sequence[str]) -> None:
    """Serve until told to stop."""
    inherited = inherited_from(arguments, program="service.workers")
    # As many as the supervisor began with: nobody would accept at a listener that is left over.
    settings = replace(load_settings(), workers=len(inherited.listeners))
    configure_logging(settings.log_level, settings.log_format)
    logging.getLogger("_granian").setLevel(logging.WARNING)  # a line for each failed handshake
    factory = load_factory(inherited.application)
    posts = [
        Post(
            f"worker {number + 1}",
            partial(_start, settings, listener, factory, speaks=number == 0),
            drain_seconds=settings.drain_seconds,
        )
        for number, listener in enumerate(inherited.listeners)
    ]
    keep(posts, ready=inherited.ready, lifeline=inherited.lifeline)


def load_factory(application: str) -> Factory:
    """Import `module:function`."""
    module, _, name = application.partition(":")
    factory: Factory = getattr(importlib.import_module(module), name)
    return factory


def inherited_from(arguments: Sequence[str], *, program: str) -> Inherited:
    """Read the command line that the supervisor gives to a program."""
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument("--listener", type=int, required=True, action="append", dest="listeners")
    for name in ("ready", "lifeline"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--application", required=True)
    return Inherited(**vars(parser.parse_args(arguments)))


def keep(posts: list[Post], *, ready: int, lifeline: int) -> None:
    """Keep the posts held until told to stop; write to `ready` when all of them serve first."""
    signals = Signals((signal.SIGTERM, signal.SIGINT, signal.SIGCHLD))
    announced = stopping = False
    os.set_blocking(lifeline, False)
    while True:
        pauses = [post.tick() for post in posts]
        if stopping and not any(post.children for post in posts):
            return
        if not announced and all(post.serves for post in posts):
            announced = bool(os.write(ready, b"1"))
        awaited = [fd for post in posts for fd in post.listens_to]
        received = signals.wait(
            [lifeline, *awaited], min((p for p in pauses if p is not None), default=None)
        )
        if not still_open(lifeline):
            _abandon(posts)
        reap(posts)
        if not announced and any(post.is_hopeless for post in posts):
            sys.exit(REFUSED)
        if not stopping and {signal.SIGTERM, signal.SIGINT} & set(received):
            stopping = True
            for post in posts:
                post.stop()


def _abandon(posts: list[Post]) -> None:
    for post in posts:
        post.kill()
    os._exit(1)


def _start(settings: Settings, listener: int, factory: Factory, *, speaks: bool) -> Child:
    work = partial(_work, settings, listener, partial(_load, factory, speaks=speaks))
    return fork(work, leads_group=False)


def _load(factory: Factory, settings: Settings, *, speaks: bool) -> WSGIApplication:
    """Make the application; an unfit installation is refused in one line, by one worker."""
    try:
        return factory(settings)
    except UNFIT as error:
        if speaks:
            sys.stderr.write(f"Error: {error}\n")
        sys.exit(REFUSED)


def _work(settings: Settings, listener: int, factory: Factory, ready: int) -> None:
    """Be a worker: load the application, serve, and return when drained.

    An application with a `close` is told when the last request is answered.
    """
    # Who waits for the interpreter's lock asks for it after so long: a prediction takes 0.05 ms.
    sys.setswitchinterval(SWITCH_SECONDS)
    application = factory(settings)
    gateway = gateway_to(application, settings, program="web", in_one_piece=InOnePiece())
    loop = Loop()
    asyncio.set_event_loop(loop)
    drained = asyncio.Event()
    stop = engine.WorkerSignal()
    stop.add_cb(lambda: loop.call_soon_threadsafe(drained.set))
    express = getattr(application, "express", None)
    front = Front(loop, gateway, settings.state / "pipes", express)
    tune(listener)
    _worker(settings, listener).serve_str(front.scheduler(), loop, stop)

    def retire(_number: int, _frame: object) -> None:
        _stop_accepting(listener)
        loop.call_soon_threadsafe(gateway.retire)
        loop.call_soon_threadsafe(loop.call_later, SETTLING_SECONDS, stop.set)

    # Not loop.add_signal_handler: under load its pipe is full and the signal is lost.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, retire)
    os.write(ready, b"1")
    loop.run_until_complete(drained.wait())
    getattr(application, "close", lambda: None)()


def gateway_to(
    application: WSGIApplication,
    settings: Settings,
    *,
    program: str,
    in_one_piece: InOnePiece | None = None,
) -> Gateway:
    """A gateway with the settings' bounds.

    An application may sort callers, take uploads, word refusals, and watch the program.
    """
    takes = getattr(application, "takes_upload", None)
    watched = getattr(application, "monitor", None)
    return Gateway(
        application,
        threads=settings.threads,
        slow_threads=settings.hashing_parallel + 1,
        max_body_bytes=settings.max_body_bytes,
        sort=getattr(application, "sort", by_address),
        introduce=getattr(application, "introduce", None),
        uploads=_uploads(takes, settings) if takes else None,
        wordings=getattr(application, "wordings", None),
        monitor=watched(program) if watched else None,
        in_one_piece=in_one_piece,
    )


def _uploads(takes: Callable[[Request], Kind | None], settings: Settings) -> Uploads:
    spools = partial(Spools, settings.uploads, least_free=settings.free_disk_bytes)
    return Uploads(
        takes,
        {
            "upload": spools(most=UPLOADS, most_each=UPLOADS_EACH),
            "bulk": spools(most=BULKS, most_each=BULKS_EACH),
        },
    )


def tune(listener: int) -> None:
    """Set what every connection inherits that is accepted here (Linux)."""
    with socket.socket(fileno=os.dup(listener)) as listening:
        # Or the end of an answer in pieces waits for the acknowledgement of its middle: 40 ms.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Whoever takes nothing at all for so long holds an answer of any size no longer.
        silence = round(SILENT_SECONDS * 1000)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, silence)


def _stop_accepting(listener: int) -> None:
    """Put a socket that nobody can reach in the place of the listener.

    granian stops accepting only by dropping what it has accepted: handshakes under way, and
    connections whose first request is on the wire. So it goes on, and is given nothing new.
    """
    with socket.socket(socket.AF_UNIX) as unreachable:
        unreachable.bind("")  # Linux: a free name in the abstract namespace
        unreachable.listen(0)
        unreachable.setblocking(False)
        os.dup2(unreachable.fileno(), listener)


def _worker(settings: Settings, listener: int) -> Any:
    # The file and not the link to it: granian reads it twice, and a renewal moves the link.
    pem = str((settings.instance / "certs" / "server.pem").resolve(strict=True))
    # rustls offers TLS 1.3, and of TLS 1.2 only the six ECDHE suites with AES-GCM or
    # ChaCha20-Poly1305: Mozilla's intermediate profile without its DHE suites.
    least = "tls1.3" if settings.tls_profile == "modern" else "tls1.2"
    return engine.RSGIWorker(
        worker_id=1,
        sock=(None, engine.SocketHolder(listener, False, BACKLOG)),
        ipc=None,
        threads=1,
        blocking_threads=16,
        backpressure=_connections(),
        http_mode="auto",
        http1_opts=HTTP1Settings(
            header_read_timeout=HEADER_SECONDS * 1000, max_buffer_size=HEADER_BYTES
        ),
        http2_opts=HTTP2Settings(
            max_concurrent_streams=STREAMS,
            max_headers_size=HEADER_BYTES,
            keep_alive_interval=20_000,
            keep_alive_timeout=10,
        ),
        ssl_enabled=True,
        ssl_cert=pem,
        ssl_key=pem,
        ssl_protocol_min=least,
        ssl_crl=[],
        metrics=(None, None),
    )


def _connections() -> int:
    """Return how many connections a worker may hold open with the descriptors it has."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    free = MOST_CONNECTIONS if hard == resource.RLIM_INFINITY else hard - DESCRIPTORS_KEPT
    return max(128, min(MOST_CONNECTIONS, free))


if __name__ == "__main__":
    main(sys.argv[1:])
