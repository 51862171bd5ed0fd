"""The listener that demands a client certificate and hands it to the application.

granian verifies client certificates but does not pass them on, so this optional listener is
gunicorn on asyncio: its threads workers hold a thread through each handshake, which any stranger
can drag out, its asyncio worker does not. See docs/decisions/0003-serving.md.
"""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final

from gunicorn.app.base import BaseApplication
from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.workers import gasgi

from certs.contexts import server_context
from config.logging import configure_logging
from config.settings import Settings, load_settings
from service.gateway import Gateway
from service.processes import die_with_parent
from service.workers import (
    SETTLING_SECONDS,
    Factory,
    Inherited,
    gateway_to,
    inherited_from,
    load_factory,
)
from service.wsgi import Feed, Request

CERTIFICATE_IN_SCOPE: Final = "sallyport.client_certificate"
HEADER_BYTES: Final = 16 * 1024
CONNECTIONS: Final = 1024

Message = dict[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]


def main(arguments: Sequence[str]) -> None:
    """Serve until told to stop."""
    inherited = inherited_from(arguments, program="service.mutual_tls")
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    factory = load_factory(inherited.application)
    _context(settings)  # a certificate that cannot be used ends this start, not each worker's
    Gunicorn(settings, inherited, factory).run()


class Gunicorn(BaseApplication):  # type: ignore[misc]
    """gunicorn, configured by our settings alone."""

    def __init__(self, settings: Settings, inherited: Inherited, factory: Factory) -> None:
        self._settings = settings
        self._inherited = inherited
        self._factory = factory
        super().__init__()

    def load_config(self) -> None:
        """State every option; gunicorn's files and variables are not read."""
        certs = self._settings.instance / "certs"
        options = {
            "bind": [f"fd://{self._inherited.listeners[0]}"],
            "worker_class": CertificateWorker,
            "workers": 1,
            "worker_connections": CONNECTIONS,
            "graceful_timeout": max(1, round(self._settings.drain_seconds)),
            "timeout": 30,
            "keepalive": 10,
            "limit_request_field_size": HEADER_BYTES,
            "http_protocols": "h1",
            "forwarded_allow_ips": "",
            "certfile": str(certs / "server.pem"),
            "ssl_context": lambda _config, _default: _context(self._settings),
            "post_fork": lambda _arbiter, worker: die_with_parent(worker.ppid),
            "post_worker_init": lambda _worker: os.write(self._inherited.ready, b"1"),
            "proc_name": "sallyport mutual-tls",
            "asgi_lifespan": "off",
            "loglevel": "warning",
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Application:
        """Make the application, in the worker."""
        return asgi(gateway_to(self._factory(self._settings), self._settings, program="mutual-tls"))


class CertificateProtocol(ASGIProtocol):  # type: ignore[misc]
    """Puts the verified client certificate beside the request, where no header can reach."""

    def _build_http_scope(self, *arguments: Any) -> Message:
        scope: Message = super()._build_http_scope(*arguments)
        scope[CERTIFICATE_IN_SCOPE] = self.transport.get_extra_info("ssl_object").getpeercert(True)
        return scope


class CertificateWorker(gasgi.ASGIWorker):  # type: ignore[misc]
    """gunicorn's asyncio worker with our protocol, which lets handshakes finish when it ends."""

    async def _serve(self) -> None:
        gasgi.ASGIProtocol = CertificateProtocol  # it has no other seam; this process is its own
        await super()._serve()

    def handle_exit_signal(self) -> None:
        """Accept nothing new, and stop a little later."""
        for listener in self.sockets:
            self.loop.remove_reader(listener.sock.fileno())
        self.loop.call_later(SETTLING_SECONDS, super().handle_exit_signal)


def _context(settings: Settings) -> ssl.SSLContext:
    certs = settings.instance / "certs"
    return server_context(
        settings.tls_profile,
        (certs / "server.pem").resolve(strict=True),
        certs / "ca.pem",
        _if_file(certs / "crl.pem"),
        client="required",
    )


def _if_file(path: Path) -> Path | None:
    return path if path.is_file() else None


def asgi(gateway: Gateway) -> Application:
    """Make the ASGI application that asks the gateway."""

    async def application(scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        answer = await gateway.answer(_request(scope), _body(receive), partial(_gone, receive))
        headers = [
            (name.encode("latin-1"), text.encode("latin-1")) for name, text in answer.headers
        ]
        start = {"type": "http.response.start", "status": answer.status, "headers": headers}
        if isinstance(answer.body, bytes):
            await send(start)
            await send({"type": "http.response.body", "body": answer.body})
            return

        async def write(piece: bytes) -> None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})

        with closing(answer.body):
            await send(start)
            if isinstance(answer.body, Feed):
                await gateway.follow(answer.body, write)
            else:
                await gateway.send(answer.body, write)
            await send({"type": "http.response.body", "body": b""})

    return application


def _request(scope: Message) -> Request:
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        version=scope["http_version"],
        client=(str(scope["client"][0]), str(scope["client"][1])),
        server=(str(scope["server"][0]), str(scope["server"][1])),
        host=None,
        headers=[
            (name.decode("latin-1").lower(), text.decode("latin-1"))
            for name, text in scope["headers"]
        ],
        certificate=scope[CERTIFICATE_IN_SCOPE],
    )


async def _body(receive: Callable[[], Awaitable[Message]]) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ConnectionAbortedError
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def _gone(receive: Callable[[], Awaitable[Message]]) -> None:
    """Return when the client has gone; its body has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


if __name__ == "__main__":
    main(sys.argv[1:])
