"""A second worker over the same installation, in a process of its own as workers are."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, cast

import pytest
from flask.testing import FlaskClient
from werkzeug.wrappers import Response

from config.settings import Settings
from tests.house import House, opened

Job = Callable[[House], Any]


class Neighbour:
    """Sends requests to the other process, and runs jobs there."""

    def __init__(self, line: Connection) -> None:
        self._line = line

    @property
    def client(self) -> FlaskClient:
        """What an actor may send requests with."""
        return cast(FlaskClient, self)

    def run(self, job: Job) -> Any:
        """What a function at the top of a module returns of the house over there."""
        self._line.send(job)
        result = self._line.recv()
        if isinstance(result, BaseException):
            raise result
        return result

    def open(self, path: str, **options: Any) -> Response:
        """Send a request; the answer is read as any other."""
        self._line.send((path, options))
        return Response(*self._line.recv())

    def get(self, path: str, **options: Any) -> Response:
        """GET."""
        return self.open(path, method="GET", **options)

    def post(self, path: str, **options: Any) -> Response:
        """POST."""
        return self.open(path, method="POST", **options)


@pytest.fixture
def neighbour(house: House, house_settings: Settings) -> Iterator[Neighbour]:
    """The second worker."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.house"])
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(house_settings, theirs), daemon=True)
    process.start()
    theirs.close()
    yield Neighbour(ours)
    ours.send(None)
    process.join(10)
    ours.close()
    process.close()


def _work(settings: Settings, line: Connection) -> None:
    with opened(settings) as house:
        while (order := line.recv()) is not None:
            line.send(_answer(house, order) if isinstance(order, tuple) else _result(house, order))


def _answer(house: House, order: tuple[str, dict[str, Any]]) -> tuple[bytes, int, list[Any]]:
    path, options = order
    response = house.client.open(path, **options)
    return response.data, response.status_code, list(response.headers)


def _result(house: House, job: Job) -> Any:
    try:
        return job(house)
    except Exception as error:  # noqa: BLE001 (raised again where the job was sent)
        return error
