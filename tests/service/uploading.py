"""Models to upload, how a server hands a request over, and a worker for what was uploaded."""

from __future__ import annotations

import functools
import threading
from typing import Any

from werkzeug.test import TestResponse

from service.operations import intakes
from service.wsgi import Request
from tests.house import Actor, House

PATH = "/models/fresh/versions"
REQUEST = Request(
    method="POST",
    path="/",
    query="",
    version="1.1",
    client=("192.0.2.7", "50000"),
    server=("192.0.2.1", "8443"),
    host="localhost",
    headers=[],
)


@functools.cache
def skops_file(slope: float = 1.0) -> bytes:
    """A line as a skops file."""
    from sklearn.linear_model import LinearRegression

    from models.handlers.skops_file import write_skops

    return write_skops(LinearRegression().fit([[0.0], [1.0], [2.0]], [0.0, slope, 2 * slope]))


@functools.cache
def joblib_file() -> bytes:
    """A line as a joblib file."""
    import io

    import joblib
    from sklearn.linear_model import LinearRegression

    buffer = io.BytesIO()
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]), buffer)
    return buffer.getvalue()


def upload(
    actor: Actor, content: bytes | None = None, path: str = PATH, **options: Any
) -> TestResponse:
    """Upload a file as the whole body; a header of None is left out."""
    headers = {"X-Model-Format": "skops"} | options.pop("headers", {})
    headers = {name: value for name, value in headers.items() if value is not None}
    data = skops_file() if content is None else content
    return actor.post(path, data=data, headers=headers, **options)


def work_on_next(house: House) -> bool:
    """Work on the next job until it ends; False if there is none."""
    errand = intakes.next_errand(house.platform, threading.Event())
    if errand is not None:
        errand.run()
    return errand is not None


def work(house: House) -> int:
    """Work on every job that waits; returns how many there were."""
    return sum(iter(lambda: work_on_next(house), False))


def kept(house: House, tenant: str = "acme") -> set[str]:
    """The jobs that something is kept for."""
    return house.platform.uploads.jobs(house.operator(tenant).tenant_id)
