"""Feeds: who follows something holds no thread, and has a place until they go, or it ends."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from service.errors import TooBusy
from service.gateway import Gateway
from service.rsgi import Front, Loop
from service.streams import Streams, event, retry
from service.wsgi import Answer, Feed
from tests.service.test_gateway import pieces
from tests.service.uploading import REQUEST


def asking(*said: bytes | None) -> Callable[[], bytes | None]:
    """Says these, and then for ever nothing."""
    rest = iter(said)
    return lambda: next(rest, b"")


class Application:
    """Answers every call with a feed."""

    def __init__(self, *said: bytes | None) -> None:
        self._said = said
        self.left = 0

    def __call__(self, _environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        start("200 OK", [("content-type", "text/event-stream")])
        return Feed(asking(*self._said), self._leave, every=0.001)

    def _leave(self) -> None:
        self.left += 1


class Stream:
    """granian's stream of an answer; it takes so many pieces, and then none."""

    def __init__(self, takes: int) -> None:
        self.taken: list[bytes] = []
        self._takes = takes

    async def send_bytes(self, piece: bytes) -> None:
        if len(self.taken) >= self._takes:
            await asyncio.Event().wait()
        self.taken.append(piece)


class Protocol:
    """granian's side of a call whose client goes when the test says so."""

    def __init__(self, *, takes: int = 100) -> None:
        self.stream = Stream(takes)
        self.gone = asyncio.Event()

    def response_stream(self, status: int, headers: Any) -> Stream:
        assert (status, headers) == (200, [("content-type", "text/event-stream")])
        return self.stream

    async def client_disconnect(self) -> None:
        await self.gone.wait()


async def fed(
    application: Application, protocol: Protocol, then: Callable[[Gateway], object], tmp: Any
) -> None:
    """Answer a call as a worker does, and have something happen once it is followed."""
    gateway = Gateway(application, threads=1, max_body_bytes=1024)
    answer = await gateway.answer(REQUEST, pieces())
    assert isinstance(answer.body, Feed)
    front = Front(asyncio.get_running_loop(), gateway, tmp)  # type: ignore[arg-type]
    sending = asyncio.ensure_future(front._feed(protocol, 200, answer.headers, answer.body))
    while not protocol.stream.taken:
        await asyncio.sleep(0)
    then(gateway)
    await asyncio.wait_for(sending, 20)


@pytest.mark.parametrize("how", ["ends", "gone", "retires", "gone while it takes nothing"])
def test_a_feed_is_sent_as_it_comes_until_somebody_has_enough(how: str, tmp_path: Any) -> None:
    more = (None,) if how == "ends" else (b"", b"two") * 5
    application = Application(b"one", b"", b"two", *more)

    async def follow() -> Protocol:
        protocol = Protocol(takes=1 if how.endswith("nothing") else 100)

        def then(gateway: Gateway) -> None:
            if how == "retires":
                gateway.retire()
            elif how.startswith("gone"):
                protocol.gone.set()

        await fed(application, protocol, then, tmp_path)
        return protocol

    loop = Loop()
    try:
        protocol = loop.run_until_complete(follow())
    finally:
        loop.close()

    assert protocol.stream.taken[0] == b"one"
    assert b"" not in protocol.stream.taken
    if how == "ends":
        assert protocol.stream.taken == [b"one", b"two"]
    assert application.left == 1, "its place is given back"


def test_many_feeds_leave_the_threads_to_calls() -> None:
    """A gateway of one thread answers while a dozen are followed."""

    def application(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        start("200 OK", [])
        if environ["PATH_INFO"] == "/feed":
            return Feed(asking(b"one"), every=0.001)
        return [b"whole"]

    async def crowd() -> Answer:
        gateway = Gateway(application, threads=1, max_body_bytes=1024)
        heard = asyncio.Queue[bytes]()
        tasks = []
        for _ in range(12):
            answer = await gateway.answer(replace(REQUEST, path="/feed"), pieces())
            assert isinstance(answer.body, Feed)
            tasks.append(asyncio.ensure_future(gateway.follow(answer.body, heard.put)))
        for _ in tasks:
            await asyncio.wait_for(heard.get(), 20)
        said = await asyncio.wait_for(gateway.answer(REQUEST, pieces()), 20)
        gateway.retire()
        await asyncio.gather(*tasks)
        return said

    assert asyncio.run(crowd()).body == b"whole"


def test_a_feed_that_nobody_sends_gives_its_place_back() -> None:
    streams = Streams()
    feed = Feed(asking(), streams.open("acme"), every=1)
    assert streams.count == 1
    del feed
    gc.collect()
    assert streams.count == 0


def test_places_are_bounded_for_each_and_for_all() -> None:
    streams = Streams(most=3, most_each=2)
    leave = streams.open("acme")
    streams.open("acme")
    with pytest.raises(TooBusy, match="your"):
        streams.open("acme")
    streams.open("globex")
    with pytest.raises(TooBusy):
        streams.open("globex")
    leave()
    streams.open("globex")
    assert streams.count == 3


def test_an_event_is_written_as_the_standard_has_it() -> None:
    written = event("log", 7, {"note": "two\nlines: \u2028"})
    head, _, data = written.decode().partition("data: ")
    assert head == "id: 7\nevent: log\n"
    assert data.endswith("\n\n")
    assert "\n" not in data[:-2]
    assert json.loads(data) == {"note": "two\nlines: \u2028"}
    assert retry(2.0) == b"retry: 2000\n\n"
