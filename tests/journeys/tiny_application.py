"""A small WSGI application with which the serving processes are tried."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from config.settings import Settings

LOAD_SECONDS = float(os.environ.get("TINY_LOAD_SECONDS", "0"))


def create_application(_settings: Settings) -> WSGIApplication:
    """Make the application, after TINY_LOAD_SECONDS."""
    time.sleep(LOAD_SECONDS)
    return answer


def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Say who answered and what arrived; `/slow/2` takes two seconds."""
    path = environ["PATH_INFO"]
    if path.startswith("/slow/"):
        time.sleep(float(path.removeprefix("/slow/")))
    if path == "/raise":
        raise RuntimeError("as asked")
    body = environ["wsgi.input"].read()
    certificate = environ.get("sallyport.client_certificate")
    said = {
        "pid": os.getpid(),
        "bytes": len(body),
        "certificate": certificate.hex() if certificate else None,
        "environ": {key: value for key, value in environ.items() if isinstance(value, str)},
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(said).encode()]


def fail_to_start(_settings: Settings) -> WSGIApplication:
    """Raise what nobody foresaw."""
    raise ZeroDivisionError
