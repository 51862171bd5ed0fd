"""Bodies that the server collects: whose, when, within which bounds; and when they do not come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from granian import _granian

from service import bodies, pacing
from service.gateway import Gateway, by_address
from service.lanes import Caller
from service.rsgi import read_whole
from service.wsgi import Answer, Request
from tests.service.uploading import REQUEST

LARGEST = 2 * bodies.SMALL_BYTES
BODY = b"x" * LARGEST


def count_bytes(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [str(len(environ["wsgi.input"].read())).encode()]


def by_signature(asked: Request) -> Caller:
    """Whoever has signed is known by their address."""
    signed = asked.header("authorization") == "signed"
    return replace(by_address(asked), is_known=signed)


class Server:
    """A gateway whose server says how each body was asked for; a whole one may be kept back."""

    def __init__(self) -> None:
        self.ours = Gateway(count_bytes, threads=1, max_body_bytes=LARGEST, sort=by_signature)
        self.collected = 0
        self.sent = asyncio.Event()

    async def ask(self, host: str = "192.0.2.7", *, sign: str = "signed") -> Answer:
        """Send a body, in chunks or as a whole, as it is asked for."""
        headers = [("content-length", str(LARGEST)), ("authorization", sign)]
        request = replace(REQUEST, headers=headers, client=(host, "1"))

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(2):
                yield BODY[: LARGEST // 2]

        async def whole() -> bytes:
            self.collected += 1
            await self.sent.wait()
            return BODY

        return await self.ours.answer(request, chunks(), None, whole)


def test_the_next_body_of_a_swift_line_is_collected_and_nobody_elses() -> None:
    async def converse() -> list[int]:
        server, collected = Server(), []
        server.sent.set()
        for host, sign in [("a", "signed"), ("a", "signed"), ("b", "signed"), ("a", ""), ("a", "")]:
            answer = await server.ask(host, sign=sign)
            assert (answer.status, answer.body) == (200, str(LARGEST).encode())
            collected.append(server.collected)
        return collected

    assert asyncio.run(converse()) == [0, 1, 1, 1, 1]


def test_a_slow_line_is_watched() -> None:
    lines = pacing.Lines()
    lines.came("slow", LARGEST, seconds=10)
    lines.came("swift", LARGEST, seconds=0.1)

    assert not lines.are_swift("unknown", 1)
    assert [lines.are_swift(each, LARGEST) for each in ("slow", "swift")] == [False, True]
    assert not lines.are_swift("swift", 100 * LARGEST)
    for number in range(pacing.LINES):
        lines.came(str(number), LARGEST, seconds=0.1)
    assert not lines.are_swift("swift", LARGEST)  # forgotten: the oldest of too many


def test_bodies_that_are_awaited_leave_room_for_those_that_come() -> None:
    async def crowd() -> tuple[int, int, int]:
        server = Server()
        await server.ask("a")
        asked = bodies.HELD_EACH - bodies.SPARED + 1
        tasks = [asyncio.create_task(server.ask("a")) for _ in range(asked)]
        done, _silent = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        held = server.ours._bodies.held // LARGEST
        server.sent.set()
        statuses = [answer.status for answer in await asyncio.gather(*tasks)]
        assert set(statuses) == {200}
        return len(done), held, server.ours._bodies.held

    assert asyncio.run(crowd()) == (1, bodies.HELD_EACH - bodies.SPARED, 0)


def test_an_awaited_body_that_does_not_come_is_given_up_and_the_next_is_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def converse() -> tuple[list[int], int, int]:
        server = Server()
        first = await server.ask()
        monkeypatch.setattr(pacing, "FIRST_BODY_SECONDS", 0.05)
        late, again = await server.ask(), await server.ask()
        statuses = [first.status, late.status, again.status]
        return statuses, server.collected, server.ours._bodies.held

    assert asyncio.run(converse()) == ([200, 408, 200], 1, 0)


@pytest.mark.parametrize("raised", ["RSGIProtocolClosed", "RSGIProtocolError"])
def test_an_awaited_body_that_is_cut_off_is_one_that_its_client_broke_off(raised: str) -> None:
    async def protocol() -> bytes:
        raise getattr(_granian, raised)

    with pytest.raises(ConnectionAbortedError):
        asyncio.run(read_whole(protocol))
