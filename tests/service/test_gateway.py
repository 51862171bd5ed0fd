"""The gateway's bounds, and what it makes of a request."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import gateway
from service.gateway import Answer, Gateway, Request, environ_of

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


def count_bytes(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [str(len(environ["wsgi.input"].read())).encode()]


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def endless(part: bytes) -> AsyncIterator[bytes]:
    while True:
        await asyncio.sleep(0.001)
        yield part


def ask(body: AsyncIterator[bytes], *, max_body_bytes: int = 1024) -> Answer:
    bounded = Gateway(count_bytes, threads=1, max_body_bytes=max_body_bytes)
    return asyncio.run(bounded.answer(REQUEST, body))


@given(st.lists(st.binary(max_size=600), max_size=4))
def test_a_body_is_whole_or_refused(parts: list[bytes]) -> None:
    size = sum(map(len, parts))

    answer = ask(pieces(*parts))

    assert (answer.status, size <= 1024) in {(200, True), (413, False)}
    assert answer.status == 413 or answer.body == str(size).encode()


def test_a_body_that_trickles_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "FIRST_BODY_SECONDS", 0.05)

    assert ask(endless(b"x"), max_body_bytes=10**9).status == 408


def test_a_body_that_ends_early_does_not_reach_the_application() -> None:
    bounded = Gateway(count_bytes, threads=1, max_body_bytes=1024)
    declared = replace(REQUEST, headers=[("content-length", "6")])

    assert asyncio.run(bounded.answer(declared, pieces(b"hello"))).status == 400


def test_the_target_outranks_the_host_header() -> None:
    headers = [("host", "elsewhere")]

    assert environ_of(replace(REQUEST, headers=headers), b"")["HTTP_HOST"] == "localhost"
    assert environ_of(replace(REQUEST, host=None, headers=headers), b"")["HTTP_HOST"] == "elsewhere"


def sent_from(number: int) -> Request:
    return replace(REQUEST, client=(f"203.0.113.{number}", "1"))


def test_a_body_that_falls_silent_near_its_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "FIRST_BODY_SECONDS", 0.05)

    async def silent() -> AsyncIterator[bytes]:
        yield b"x" * 2**20
        await asyncio.sleep(5)

    # A mebibyte at the least rate would be 64 seconds.
    assert ask(silent(), max_body_bytes=2**21).status == 408


def test_bodies_of_one_caller_leave_room_for_the_others() -> None:
    async def flood() -> tuple[int, int]:
        bounded = Gateway(count_bytes, threads=1, max_body_bytes=1024)
        full = asyncio.Event()

        async def held() -> AsyncIterator[bytes]:
            yield b"x" * 1024
            await full.wait()

        waiting = [
            asyncio.create_task(bounded.answer(sent_from(1), held()))
            for _ in range(gateway.BODIES_IN_MEMORY)
        ]
        await asyncio.sleep(0.01)
        other = await bounded.answer(sent_from(2), pieces(b"x" * 1024))
        full.set()
        statuses = [answer.status for answer in await asyncio.gather(*waiting)]
        return other.status, statuses.count(200)

    assert asyncio.run(flood()) == (200, gateway.BODIES_EACH)


def test_bodies_together_are_bounded_and_the_bound_is_given_back() -> None:
    async def flood() -> list[int]:
        bounded = Gateway(count_bytes, threads=1, max_body_bytes=1024)
        full = asyncio.Event()

        async def held() -> AsyncIterator[bytes]:
            yield b"x" * 1024
            await full.wait()

        waiting = [
            asyncio.create_task(bounded.answer(sent_from(number % 2), held()))
            for number in range(gateway.BODIES_IN_MEMORY)
        ]
        await asyncio.sleep(0.01)
        refused = await bounded.answer(REQUEST, pieces(b"x"))
        full.set()
        served = await asyncio.gather(*waiting)
        again = await bounded.answer(REQUEST, pieces(b"x"))
        return [refused.status, *{answer.status for answer in served}, again.status]

    assert asyncio.run(flood()) == [503, 200, 200]


def test_calls_that_wait_for_a_thread_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "WAITING_CALLS", 1)
    release = threading.Event()

    def blocked(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        release.wait(10)
        return count_bytes(environ, start_response)

    async def crowd() -> list[int]:
        bounded = Gateway(blocked, threads=1, max_body_bytes=1024)
        waiting = [asyncio.create_task(bounded.answer(REQUEST, pieces())) for _ in range(2)]
        await asyncio.sleep(0.01)
        refused = await bounded.answer(REQUEST, pieces())
        release.set()
        return [refused.status, *(answer.status for answer in await asyncio.gather(*waiting))]

    assert asyncio.run(crowd()) == [503, 200, 200]


def test_repeated_headers_are_joined_and_cookies_by_semicolon() -> None:
    headers = [("x-a", "1"), ("x-a", "2"), ("cookie", "a=1"), ("cookie", "b=2")]

    environ = environ_of(replace(REQUEST, headers=headers), b"")

    assert environ["HTTP_X_A"] == "1,2"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"


@given(st.lists(st.tuples(st.text("abcdefghij-_.", min_size=1), st.text("xyz"))))
def test_no_header_sets_anything_but_its_own_variable(headers: list[tuple[str, str]]) -> None:
    plain = environ_of(REQUEST, b"")

    environ = environ_of(replace(REQUEST, headers=headers), b"")

    added = set(environ) - set(plain)
    assert all(name.startswith("HTTP_") for name in added)
    assert {name for name, _value in headers if "_" in name} >= {
        name for name, _value in headers if f"HTTP_{name.upper().replace('-', '_')}" not in environ
    }


def test_slow_calls_leave_the_threads_of_quick_ones_free() -> None:
    held = threading.Event()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/slow":
            held.wait(10)
        start_response("200 OK", [])
        return [b""]

    sorted_by_path = Gateway(
        application,
        threads=1,
        max_body_bytes=1,
        sort=lambda path, _authorization, address: (path == "/slow", address),
    )

    async def scenario() -> None:
        slow = [
            asyncio.create_task(sorted_by_path.answer(replace(REQUEST, path="/slow"), pieces()))
            for _ in range(5)
        ]
        await asyncio.sleep(0.01)
        quick = await asyncio.wait_for(sorted_by_path.answer(REQUEST, pieces()), 5)
        assert quick.status == 200
        held.set()
        assert {(await answer).status for answer in slow} == {200}

    asyncio.run(scenario())
