"""Which way granian's requests go, with stand-ins for what granian hands over."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from wsgiref.types import WSGIEnvironment

import pytest

from service import gateway, rsgi
from service.express.addresses import PREDICT
from service.express.errands import Errand
from service.express.heads import Address, Head
from service.gateway import Gateway
from service.lanes import LanesFull
from service.rsgi import Front, Loop
from service.visits import SETBACK, Setback
from service.wsgi import Answer

Said = Answer | Errand | Callable[[], None] | None
SAID: Final = Answer(200, [("x-way", "short")], b"short")


class Headers:
    """RSGI's headers: pairs, of which those that are not ASCII are left out of `items`."""

    def __init__(self, *pairs: tuple[str, str], hidden: int = 0) -> None:
        self._pairs, self._hidden = list(pairs), hidden

    def items(self) -> list[tuple[str, str]]:
        return self._pairs

    def keys(self) -> list[str]:
        return [name for name, _ in self._pairs] + ["x-hidden"] * self._hidden

    def __len__(self) -> int:
        return len(self._pairs) + self._hidden


class Scope:
    """RSGI's head of a request."""

    def __init__(self, method: str, path: str, query: str, headers: Headers) -> None:
        self.method, self.path, self.query_string, self.headers = method, path, query, headers
        self.http_version = "1.1"
        self.client = self.server = "127.0.0.1:1"
        self.authority = None


class Body:
    """granian's future of a whole body."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.arrival: Any = None
        self._outcome: bytes | BaseException | None = None

    def add_done_callback(self, callback: Any, context: Any = None) -> None:
        self.arrival = callback

    def come(self, outcome: bytes | BaseException) -> None:
        """Have it come, or not, as granian does in its thread."""
        self._outcome = outcome
        self._loop.call_soon_threadsafe(self.arrival, self, context=None)

    def cancel(self) -> None:
        self._outcome = asyncio.CancelledError()
        self._loop.call_soon(self.arrival, self)

    def result(self) -> bytes:
        assert self._outcome is not None
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome


class Protocol:
    """RSGI's side of a call that is read from and answered to."""

    def __init__(self, loop: Loop, chunks: tuple[bytes, ...]) -> None:
        self._loop, self._chunks = loop, chunks
        self.body = Body(loop)
        self.answer: Answer | None = None

    def __call__(self) -> Body:
        return self.body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream()

    async def _stream(self) -> AsyncIterator[bytes]:
        for chunk in (*self._chunks, b""):
            yield chunk

    async def client_disconnect(self) -> None:
        await asyncio.Event().wait()

    def response_bytes(self, status: int, headers: Any, body: bytes) -> None:
        assert self.answer is None, "answered twice"
        self.answer = Answer(status, headers, body)


class Watcher:
    """What granian hands over of each request."""

    def __init__(self, loop: Loop, scope: Scope, *chunks: bytes) -> None:
        self.scope, self.proto = scope, Protocol(loop, chunks)
        self.ended = 0

    def taskref(self, task: Any) -> None:
        self.task = task

    def done(self) -> None:
        self.ended += 1

    def err(self, error: BaseException) -> None:
        raise error


class Short:
    """An express that says what the test has it say."""

    def __init__(self, said: Said) -> None:
        self.said = said
        self.asked: list[tuple[str, bytes]] = []

    def address(self, path: str) -> Address | None:
        return PREDICT if path == "/quick" else None

    def recognise(self, address: Address, headers: Mapping[str, str]) -> Head | None:
        if not headers:
            return None
        return Head(address, headers, "token", "tenant", int(headers["content-length"]))

    def answer(self, head: Head, body: bytes) -> Said:
        self.asked.append((head.token, body))
        return self.said


def echo(environ: WSGIEnvironment, start_response: Any) -> list[bytes]:
    """A WSGI application."""
    if SETBACK in environ:
        raise environ[SETBACK].error
    start_response("200 OK", [("X-Way", "long")])
    return [environ["wsgi.input"].read()]


@pytest.fixture
def loop() -> Iterator[Loop]:
    """An event loop that is closed afterwards."""
    made = Loop()
    asyncio.set_event_loop(made)
    yield made
    asyncio.set_event_loop(None)
    made.close()


def front(loop: Loop, tmp_path: Path, express: Short | None) -> Front:
    return Front(loop, Gateway(echo, threads=2, max_body_bytes=2**20), tmp_path, express)


def plain(size: int = 4, path: str = "/quick", query: str = "", method: str = "POST") -> Scope:
    return Scope(method, path, query, Headers(("content-length", str(size))))


def finished(loop: Loop, watcher: Watcher) -> Answer:
    async def wait() -> None:
        while not watcher.ended:
            await asyncio.sleep(0.001)

    loop.run_until_complete(asyncio.wait_for(wait(), 10))
    assert watcher.ended == 1
    assert watcher.proto.answer is not None
    return watcher.proto.answer


def test_what_the_express_answers_never_enters_the_event_loop(loop: Loop, tmp_path: Path) -> None:
    express = Short(SAID)
    watcher = Watcher(loop, plain())
    front(loop, tmp_path, express).schedule(watcher)
    watcher.proto.body.come(b"body")

    assert (watcher.proto.answer, watcher.ended) == (SAID, 1)
    assert express.asked == [("token", b"body")]


def test_a_call_that_is_over_holds_nothing_of_granians(loop: Loop, tmp_path: Path) -> None:
    watcher = Watcher(loop, plain())
    front(loop, tmp_path, Short(SAID)).schedule(watcher)
    watcher.proto.body.come(b"body")

    # granian's future keeps what it called, and no collector sees a circle through it.
    kept = gc.get_referents(watcher.proto.body.arrival)
    assert watcher not in kept
    assert watcher.proto.body not in kept


def test_what_it_leaves_alone_is_answered_by_the_application(loop: Loop, tmp_path: Path) -> None:
    watcher = Watcher(loop, plain())
    front(loop, tmp_path, Short(None)).schedule(watcher)
    watcher.proto.body.come(b"body")

    answer = finished(loop, watcher)
    assert (answer.status, answer.body) == (200, b"body")
    assert ("X-Way", "long") in answer.headers


def test_a_lesson_is_taught_after_the_application_has_answered(loop: Loop, tmp_path: Path) -> None:
    taught: list[Answer | None] = []
    watcher = Watcher(loop, plain())
    express = Short(lambda: taught.append(watcher.proto.answer))
    front(loop, tmp_path, express).schedule(watcher)
    watcher.proto.body.come(b"body")

    answer = finished(loop, watcher)
    loop.run_until_complete(watcher.task)
    assert taught == [answer]


def sent(loop: Loop, tmp_path: Path, said: Said) -> Answer:
    """What a caller is answered of whom the express says so."""
    watcher = Watcher(loop, plain())
    front(loop, tmp_path, Short(said)).schedule(watcher)
    watcher.proto.body.come(b"body")
    return finished(loop, watcher)


def test_an_errand_is_run_in_a_thread_of_its_pace(loop: Loop, tmp_path: Path) -> None:
    threads: list[str] = []

    def run() -> Answer:
        threads.append(threading.current_thread().name)
        return SAID

    assert sent(loop, tmp_path, Errand("waiting", "tenant", run)) == SAID
    assert [name.rpartition("_")[0] for name in threads] == ["waiting"]


def test_an_errand_may_lead_to_another(loop: Loop, tmp_path: Path) -> None:
    second = Errand("waiting", "tenant", lambda: SAID)
    assert sent(loop, tmp_path, Errand("quick", "tenant", lambda: second)) == SAID


def test_an_errand_may_come_to_a_lesson(loop: Loop, tmp_path: Path) -> None:
    taught: list[int] = []
    answer = sent(loop, tmp_path, Errand("quick", "tenant", lambda: lambda: taught.append(1)))
    assert answer.body == b"body"
    loop.run_until_complete(asyncio.sleep(0.1))
    assert taught == [1]


def test_an_errand_that_came_to_nothing_is_the_applications(loop: Loop, tmp_path: Path) -> None:
    answer = sent(loop, tmp_path, Errand("waiting", "tenant", lambda: None))
    assert (answer.status, answer.body) == (200, b"body")


def test_a_setback_is_told_by_the_application(
    loop: Loop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    setback = Setback(ZeroDivisionError("told"), ())
    answer = sent(loop, tmp_path, Errand("waiting", "tenant", lambda: setback))
    assert answer.status == 500
    assert "the application raised" in caplog.text


def test_errands_do_not_wait_in_any_number(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "WAITING_ERRANDS", 0)
    answer = sent(loop, tmp_path, Errand("waiting", "tenant", lambda: SAID))
    assert answer.body == b"body"


def test_an_errand_for_whose_lane_there_is_no_room_is_the_applications(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any, **__: Any) -> None:
        raise LanesFull

    made = front(loop, tmp_path, Short(Errand("waiting", "tenant", lambda: SAID)))
    monkeypatch.setattr(made._gateway._lanes["waiting"], "run", full)
    watcher = Watcher(loop, plain())
    made.schedule(watcher)
    watcher.proto.body.come(b"body")
    assert finished(loop, watcher).body == b"body"


@pytest.mark.parametrize(
    "scope",
    [
        plain(path="/other"),
        plain(path="//quick"),
        plain(query="a=1"),
        plain(method="GET"),
        plain(method="post"),
        Scope("POST", "/quick", "", Headers()),
        Scope("POST", "/quick", "", Headers(("content-length", "4"), ("content-length", "4"))),
        Scope("POST", "/quick", "", Headers(("content-length", "4"), hidden=1)),
    ],
    ids=["path", "slashes", "query", "method", "case", "unknown", "repeated", "unreadable"],
)
def test_what_is_not_plain_goes_the_long_way(loop: Loop, tmp_path: Path, scope: Scope) -> None:
    express = Short(SAID)
    watcher = Watcher(loop, scope, b"body")
    front(loop, tmp_path, express).schedule(watcher)

    answer = finished(loop, watcher)
    assert answer != SAID
    assert express.asked == []


def test_a_body_that_is_cut_off_is_refused(loop: Loop, tmp_path: Path) -> None:
    express = Short(SAID)
    watcher = Watcher(loop, plain())
    front(loop, tmp_path, express).schedule(watcher)
    watcher.proto.body.come(RuntimeError("stream error"))

    assert finished(loop, watcher).status == 400
    assert express.asked == []


def test_a_body_that_does_not_come_is_given_up(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rsgi, "FIRST_BODY_SECONDS", 0.05)
    monkeypatch.setattr(rsgi, "SWEEP_SECONDS", 0.01)
    divided = front(loop, tmp_path, Short(SAID))
    divided.scheduler()
    watcher = Watcher(loop, plain())
    divided.schedule(watcher)

    assert finished(loop, watcher).status == 408


def test_one_tenant_leaves_room_for_others(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rsgi, "MOST_COMING_EACH", 2 * rsgi.CALL_BYTES + 8)
    divided = front(loop, tmp_path, Short(SAID))
    waiting = [Watcher(loop, plain()) for _ in range(2)]
    for watcher in waiting:
        divided.schedule(watcher)
    third = Watcher(loop, plain(), b"body")
    divided.schedule(third)
    assert finished(loop, third) != SAID

    waiting[0].proto.body.come(b"body")
    fourth = Watcher(loop, plain())
    divided.schedule(fourth)
    fourth.proto.body.come(b"body")
    assert fourth.proto.answer == SAID


def test_a_failing_express_takes_no_request_with_it(loop: Loop, tmp_path: Path) -> None:
    class Failing(Short):
        def recognise(self, address: Address, headers: Mapping[str, str]) -> Head | None:
            raise RuntimeError

    watcher = Watcher(loop, plain(), b"body")
    front(loop, tmp_path, Failing(SAID)).schedule(watcher)
    assert finished(loop, watcher).body == b"body"
