"""The gateway's bounds, and what it makes of a request."""

from __future__ import annotations

import asyncio
import errno
import resource
import threading
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.scope import Principal, own_scope
from service import bodies, gateway, pacing, uploading
from service.errors import RateLimited
from service.gateway import Gateway, by_address
from service.lanes import Caller
from service.rsgi import read_body
from service.spools import UPLOAD, Admission, Spool, Spools
from service.uploading import Uploads
from service.wsgi import Answer, Chunks, Request, environ_of
from tests.service.uploading import REQUEST


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read on after a refusal for a moment only."""
    monkeypatch.setattr(pacing, "DISCARD_SECONDS", 0.05)


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
    monkeypatch.setattr(pacing, "FIRST_BODY_SECONDS", 0.05)

    assert ask(endless(b"x"), max_body_bytes=10**9).status == 408


def test_a_body_that_ends_early_does_not_reach_the_application() -> None:
    bounded = Gateway(count_bytes, threads=1, max_body_bytes=1024)
    declared = replace(REQUEST, headers=[("content-length", "6")])

    assert asyncio.run(bounded.answer(declared, pieces(b"hello"))).status == 400


def test_the_target_outranks_the_host_header() -> None:
    headers = [("host", "elsewhere")]

    assert environ_of(replace(REQUEST, headers=headers), b"")["HTTP_HOST"] == "localhost"
    assert environ_of(replace(REQUEST, host=None, headers=headers), b"")["HTTP_HOST"] == "elsewhere"


@pytest.mark.parametrize("method", ["post", "Post", "pOST", "PO ST", ""])
def test_a_method_in_lower_case_is_none_and_reaches_nobody(tmp_path: Path, method: str) -> None:
    librarian = Librarian()

    answer = asyncio.run(
        taking(librarian, tmp_path).answer(replace(REQUEST, method=method), pieces(b"x"))
    )

    assert (answer.status, librarian.heads, librarian.got) == (501, 0, [])


def sent_from(number: int) -> Request:
    return replace(REQUEST, client=(f"203.0.113.{number}", "1"))


def test_a_body_that_falls_silent_near_its_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "FIRST_BODY_SECONDS", 0.05)

    async def silent() -> AsyncIterator[bytes]:
        yield b"x" * 2**20
        await asyncio.sleep(5)

    # A mebibyte at the least rate would be 64 seconds.
    assert ask(silent(), max_body_bytes=2**21).status == 408


LARGEST = 128 * 1024
SIGNED = [("authorization", "signed")]


def known(number: int) -> Request:
    """A request of a caller who is known: of a tenant of that number."""
    return replace(sent_from(number), headers=SIGNED)


def by_signature(asked: Request) -> Caller:
    """Sort as an application does that knows whoever has signed."""
    if asked.header("authorization") == "signed":
        return Caller("quick", f"tenant {asked.client[0]}", is_known=True)
    return by_address(asked)


class Held:
    """Bodies that have come and whose end has not; more of them may be asked for at once."""

    def __init__(self, *, largest: int = LARGEST, **options: Any) -> None:
        self.ours = Gateway(
            count_bytes, threads=1, max_body_bytes=largest, sort=by_signature, **options
        )
        self._largest = largest
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[Answer]] = []

    async def hold(self, *requests: Request, size: int | None = None) -> None:
        """Send bodies, and wait until each of them is taken or refused."""
        taken = asyncio.Semaphore(0)

        async def held() -> AsyncIterator[bytes]:
            yield b"x" * (size or self._largest)
            taken.release()
            await self._over.wait()

        tasks = [asyncio.create_task(self.ours.answer(each, held())) for each in requests]
        for task in tasks:
            task.add_done_callback(lambda _: taken.release())
        for _ in tasks:
            await taken.acquire()
        self._tasks += tasks

    async def status(self, request: Request, *, size: int | None = None) -> int:
        """How a whole body is answered meanwhile."""
        return (await self.ours.answer(request, pieces(b"x" * (size or self._largest)))).status

    async def served(self) -> int:
        """End them all, and say how many were answered."""
        self._over.set()
        return [(await task).status for task in self._tasks].count(200)


def test_bodies_of_one_caller_leave_room_for_the_others() -> None:
    async def flood() -> tuple[int, int]:
        held = Held()
        await held.hold(*[known(1)] * bodies.HELD)
        return await held.status(known(2)), await held.served()

    assert asyncio.run(flood()) == (200, bodies.HELD_EACH)


def test_bodies_together_are_bounded_and_the_bound_is_given_back() -> None:
    async def flood() -> tuple[int, int, int]:
        held = Held()
        await held.hold(*[known(number % 2) for number in range(bodies.HELD)])
        refused = await held.status(known(2), size=1)
        return refused, await held.served(), await held.status(known(2))

    assert asyncio.run(flood()) == (503, bodies.HELD, 200)


def test_strangers_leave_room_for_callers_who_are_known() -> None:
    async def flood() -> tuple[list[int], int]:
        held = Held()
        for number in range(64):
            await held.hold(sent_from(number), sent_from(number))
        statuses = [await held.status(known(1)), await held.status(sent_from(99))]
        return statuses, await held.served()

    assert asyncio.run(flood()) == ([200, 503], bodies.STRANGE - 1)


def test_strangers_with_large_bodies_leave_room_for_those_with_small_ones() -> None:
    async def flood() -> list[int]:
        held = Held()
        await held.hold(*[sent_from(number) for number in range(8)])
        return [await held.status(sent_from(number), size=1024) for number in (0, 99)]

    assert asyncio.run(flood()) == [200, 200]


def test_an_address_does_not_fill_the_room_of_all_strangers() -> None:
    async def flood() -> tuple[list[int], int]:
        held = Held()
        await held.hold(*[sent_from(1)] * 64, size=bodies.SMALL_BYTES)
        return [await held.status(sent_from(2), size=1024)], await held.served()

    assert asyncio.run(flood()) == ([200], 2 * bodies.STRANGE_EACH)


@pytest.mark.parametrize("headers", [[], [("content-length", str(LARGEST))]])
def test_a_larger_body_of_a_first_call_is_the_callers_once_that_is_verified(
    headers: list[tuple[str, str]],
) -> None:
    verified = set[str]()

    async def flood() -> list[int]:
        held = Held(introduce=lambda asked: verified.add(asked.client[0]))
        held.ours._sort = lambda asked: (
            by_signature(known(1)) if asked.client[0] in verified else by_address(asked)
        )
        await held.hold(*[replace(sent_from(1), headers=headers)] * bodies.HELD)
        return [await held.served(), held.ours._bodies.held]

    assert asyncio.run(flood()) == [bodies.HELD_EACH, 0]


def test_a_stranger_who_asks_too_often_is_told_before_the_body_is_read() -> None:
    def refuse(_asked: Request) -> None:
        raise RateLimited("address", 6.5)

    ours = Gateway(count_bytes, threads=1, max_body_bytes=LARGEST, introduce=refuse)
    declared = replace(REQUEST, headers=[("content-length", str(LARGEST))])

    small = asyncio.run(ours.answer(REQUEST, pieces(b"x")))
    large = asyncio.run(ours.answer(declared, endless(b"x")))

    assert (small.status, large.status) == (200, 429)
    assert ("retry-after", "7") in large.headers
    assert isinstance(large.body, bytes)
    assert b'"violated_policies":["address"]' in large.body.replace(b" ", b"")


def test_a_stranger_has_no_more_time_for_a_long_body_than_for_a_short_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pacing, "FIRST_BODY_SECONDS", 0.1)

    async def steady() -> AsyncIterator[bytes]:
        for _ in range(40):
            await asyncio.sleep(0.01)
            yield b"x" * 1024

    async def statuses() -> list[int]:
        ours = Held().ours
        asked = (ours.answer(each, steady()) for each in (known(1), sent_from(1)))
        return [answer.status for answer in await asyncio.gather(*asked)]

    assert asyncio.run(statuses()) == [200, 408]


def sized(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """As many bytes as the path says."""
    start_response("200 OK", [])
    return [b"x" * int(environ["PATH_INFO"][1:])]


def test_a_larger_answer_is_fetched_in_pieces_and_a_small_one_is_not() -> None:
    ours = Gateway(sized, threads=1, max_body_bytes=1024)

    async def fetch(size: int) -> tuple[bool, int]:
        answer = await ours.answer(replace(REQUEST, path=f"/{size}"), pieces())
        if isinstance(answer.body, bytes):
            return True, len(answer.body)
        received: list[bytes] = []

        async def write(piece: bytes) -> None:
            received.append(piece)

        assert isinstance(answer.body, Chunks)
        await ours.send(answer.body, write)
        assert max(map(len, received)) <= bodies.PIECE_BYTES
        return False, len(b"".join(received))

    for size in (0, bodies.SMALL_BYTES, bodies.SMALL_BYTES + 1, 3 * bodies.PIECE_BYTES + 5):
        assert asyncio.run(fetch(size)) == (size <= bodies.SMALL_BYTES, size)


def test_answers_that_nobody_fetches_are_bounded_for_each_and_given_back() -> None:
    async def crowd() -> list[int]:
        ours = Gateway(sized, threads=1, max_body_bytes=1, sort=by_signature)
        large = f"/{bodies.LEAST_ROOM // 2}"

        async def status(request: Request) -> tuple[int, Any]:
            answer = await ours.answer(replace(request, path=large), pieces())
            return answer.status, answer.body

        mine = [await status(known(1)) for _ in range(2 * bodies.HELD_EACH)]
        refused, other = (await status(known(1)))[0], (await status(known(2)))[0]
        for _status, body in mine:
            body.close()
        return [*{each for each, _body in mine}, refused, other, (await status(known(1)))[0]]

    assert asyncio.run(crowd()) == [200, 503, 200, 200]


class Connections:
    """Connections of HTTP/1.1 to a gateway that gives answers in one piece; each may be ended."""

    def __init__(self) -> None:
        self.whole = bodies.InOnePiece()
        self._ended: dict[int, asyncio.Event] = {}
        self._ours = Gateway(
            sized, threads=1, max_body_bytes=1, sort=by_signature, in_one_piece=self.whole
        )

    async def ask(self, port: int, size: int, asked: Request | None = None) -> bool:
        """Whether an answer of that size comes in one piece."""
        asked = asked or known(1)
        request = replace(asked, path=f"/{size}", client=(asked.client[0], str(port)))
        gone = self._ended.setdefault(port, asyncio.Event()).wait
        answer = await self._ours.answer(request, pieces(), gone)
        if isinstance(answer.body, bytes):
            return True
        answer.body.close()
        return False

    async def end(self, port: int) -> None:
        """End a connection, and let whoever waits for that know."""
        self._ended[port].set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def test_a_known_callers_answer_of_some_size_comes_in_one_piece() -> None:
    async def ask() -> list[bool]:
        ours, size = Connections(), 3 * bodies.SMALL_BYTES
        return [
            await ours.ask(1, size),
            await ours.ask(1, bodies.ONE_PIECE_BYTES + 1),
            await ours.ask(1, size, replace(known(1), version="2")),
            await ours.ask(1, size, REQUEST),
        ]

    assert asyncio.run(ask()) == [True, False, False, False]


def test_answers_in_one_piece_are_bounded_for_each_caller_until_connections_end() -> None:
    async def crowd() -> tuple[list[bool], int, list[bool], int]:
        ours, size = Connections(), bodies.ONE_PIECE_BYTES
        most = bodies.WHOLE_EACH * bodies.LEAST_ROOM // size
        mine = [await ours.ask(port, size) for port in range(most + 2)]
        held, other = ours.whole.held, await ours.ask(99, size, known(2))
        await ours.end(0)
        again = [other, await ours.ask(100, size), await ours.ask(101, size)]
        for port in (*range(1, most + 2), 99, 100, 101):
            await ours.end(port)
        return mine, held, again, ours.whole.held

    mine, held, again, left = asyncio.run(crowd())
    assert (mine[-3:], mine.count(False)) == ([True, False, False], 2)
    assert held == bodies.WHOLE_EACH * bodies.LEAST_ROOM
    assert again == [True, True, False]
    assert left == 0


def test_an_answer_in_one_piece_is_held_until_the_request_after_the_next() -> None:
    """A request that was sent ahead comes while the answer before it may still be on its way."""

    async def converse() -> list[int]:
        ours, held = Connections(), []
        for size in (100_000, 200_000, 0, 0, 300_000, 0, 0, 0):
            await ours.ask(1, size)
            held.append(ours.whole.held)
        return held

    expected = [100_000, 300_000, 200_000, 0, 300_000, 300_000, 0, 0]
    assert asyncio.run(converse()) == expected


def test_an_upload_learns_that_its_client_is_gone_after_an_answer_in_one_piece() -> None:
    async def told() -> bool:
        whole, ended = bodies.InOnePiece(), asyncio.Event()
        waiting: list[int] = []

        async def gone() -> None:
            waiting.append(1)
            await ended.wait()

        answer = Answer(200, [], b"x" * 100_000)
        assert whole.takes(REQUEST, Caller("quick", "mine", is_known=True), answer, gone)
        watched = asyncio.ensure_future(whole.gone(REQUEST.client, gone)())
        await asyncio.sleep(0)
        ended.set()
        await asyncio.wait_for(watched, 10)
        return len(waiting) == 1

    assert asyncio.run(told())


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
        sort=lambda asked: Caller("hashing" if asked.path == "/slow" else "quick", "any"),
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


ACME = own_scope(Principal("user", "usr_1", "ada", "ten_1", "acme", frozenset()))
MARK = b"a model that nobody else may read"


class Librarian:
    """Admits uploads of at most so many bytes, and counts what it is given."""

    def __init__(self, most_bytes: int = 1024, *, admits: bool = True) -> None:
        self.most_bytes = most_bytes
        self.admits = admits
        self.heads = 0
        self.got: list[int] = []

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        upload = environ[UPLOAD]
        self.heads += not upload.complete
        if upload.complete:
            self.got.append(len(environ["wsgi.input"].read()))
            start_response("202 Accepted", [])
            return [environ["CONTENT_LENGTH"].encode()]
        if not self.admits:
            start_response("403 Forbidden", [])
            return [b"no"]
        upload.admission = Admission(ACME, self.most_bytes)
        start_response("100 Continue", [])
        return []


def taking(
    librarian: Any,
    folder: Path,
    *,
    most_each: int = 2,
    least_free: int = 0,
    patience: float = 0.05,
) -> Gateway:
    spools = Spools(folder, most=3, most_each=most_each, least_free=least_free, patience=patience)
    uploads = Uploads(lambda asked: "upload" if asked.path == "/" else None, {"upload": spools})
    return Gateway(librarian, threads=1, max_body_bytes=16, uploads=uploads)


class Reader:
    """Answers files of rows: their bodies in memory, or what a spool has."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        upload = environ[UPLOAD]
        if upload.complete:
            self.seen.append("spooled" if upload.body is None else "held")
            start_response("200 OK", [])
            return [environ["wsgi.input"].read() if upload.body is None else upload.body]
        self.seen.append("head")
        upload.admission = Admission(ACME, 1024)
        start_response("100 Continue", [])
        return []


def bulk_gateway(reader: Reader, folder: Path, *, known: bool = True) -> Gateway:
    spools = Spools(folder, most=3, most_each=2, least_free=0, patience=0.05)
    return Gateway(
        reader,
        threads=1,
        max_body_bytes=16,
        sort=lambda _asked: Caller("quick", "acme", is_known=known),
        uploads=Uploads(lambda _asked: "bulk", {"bulk": spools}),
    )


def rows_file(size: int | None, **headers: str) -> Request:
    declared = {} if size is None else {"content-length": str(size)}
    return replace(REQUEST, headers=[*declared.items(), *headers.items()])


def test_a_small_file_of_a_known_caller_is_answered_out_of_memory(tmp_path: Path) -> None:
    reader, folder = Reader(), tmp_path / "spools"
    ours = bulk_gateway(reader, folder)

    answer = asyncio.run(ours.answer(rows_file(10), pieces(b"x" * 6, b"y" * 4)))

    assert (answer.status, answer.body) == (200, b"xxxxxxyyyy")
    assert reader.seen == ["held"]
    assert not folder.exists()
    assert ours._load().bodies_bytes == 0


@pytest.mark.parametrize(
    ("known", "size", "headers"),
    [
        (False, 10, {}),
        (True, None, {}),
        (True, 17, {}),
        (True, 10, {"expect": "100-continue"}),
    ],
    ids=["a stranger's", "of no stated size", "too large", "that waits for leave"],
)
def test_any_other_file_is_judged_by_its_head(
    tmp_path: Path, known: bool, size: int | None, headers: dict[str, str]
) -> None:
    reader = Reader()
    ours = bulk_gateway(reader, tmp_path, known=known)

    answer = asyncio.run(ours.answer(rows_file(size, **headers), pieces(b"x" * (size or 10))))

    assert answer.status == 200
    assert reader.seen == ["head", "spooled"]


def test_files_that_memory_has_no_room_for_go_to_the_disk(tmp_path: Path) -> None:
    reader = Reader()
    ours = bulk_gateway(reader, tmp_path)
    others = Caller("quick", "acme", is_known=True)
    while ours._bodies.reserves(others, 16):
        pass

    answer = asyncio.run(ours.answer(rows_file(10), pieces(b"x" * 10)))

    assert answer.status == 200
    assert reader.seen == ["head", "spooled"]


def test_an_upload_may_be_larger_than_any_other_body(tmp_path: Path) -> None:
    librarian = Librarian()
    ours = taking(librarian, tmp_path)

    answer = asyncio.run(ours.answer(REQUEST, pieces(b"x" * 600, b"x" * 400)))

    assert (answer.status, answer.body) == (202, b"1000")
    assert librarian.got == [1000]


def test_an_upload_that_is_too_large_is_refused_on_its_way(tmp_path: Path) -> None:
    librarian = Librarian()

    answer = asyncio.run(taking(librarian, tmp_path).answer(REQUEST, endless(b"x" * 600)))

    assert (answer.status, librarian.got) == (413, [])


def test_what_is_not_admitted_is_never_spooled(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    ours = taking(Librarian(admits=False), folder)

    answer = asyncio.run(ours.answer(REQUEST, endless(b"x" * 600)))

    assert (answer.status, answer.body) == (403, b"no")
    assert not folder.exists()


def test_whoever_waits_for_leave_to_send_is_refused_without_it(tmp_path: Path) -> None:
    asked = []

    async def body() -> AsyncIterator[bytes]:
        asked.append(True)
        yield b""

    waiting = replace(REQUEST, headers=[("expect", "100-Continue")])
    ours = taking(Librarian(admits=False), tmp_path)

    assert asyncio.run(ours.answer(waiting, body())).status == 403
    assert not asked


def test_an_upload_that_is_cut_off_does_not_reach_the_application(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 600
        raise ConnectionAbortedError

    librarian = Librarian()
    ours = taking(librarian, tmp_path)
    declared = replace(REQUEST, headers=[("content-length", "601")])

    assert asyncio.run(ours.answer(REQUEST, broken())).status == 400
    assert asyncio.run(ours.answer(declared, pieces(b"x" * 600))).status == 400
    assert not librarian.got


def test_an_upload_that_trickles_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "FIRST_BODY_SECONDS", 0.05)
    librarian = Librarian(10**9)

    assert asyncio.run(taking(librarian, tmp_path).answer(REQUEST, endless(b"x"))).status == 408
    assert not librarian.got


def test_a_slow_disk_is_not_held_against_the_sender(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "FIRST_BODY_SECONDS", 0.05)
    monkeypatch.setattr(uploading, "SPOOLED_BYTES", 1)
    release = threading.Event()
    monkeypatch.setattr(Spool, "write", lambda *_: release.wait(10))

    async def scenario() -> int:
        task = asyncio.create_task(
            taking(Librarian(), tmp_path).answer(REQUEST, pieces(b"x", b"x"))
        )
        await asyncio.sleep(0.2)
        release.set()
        return (await task).status

    assert asyncio.run(scenario()) == 202


class Tenants(Librarian):
    """Takes each address for a tenant."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = super().__call__(environ, start_response)
        tenant = environ["REMOTE_ADDR"]
        scope = own_scope(Principal("user", "usr", "x", tenant, tenant, frozenset()))
        environ[UPLOAD].admission = Admission(scope, 10)
        return answer


def test_uploads_at_once_are_bounded_for_each_and_for_all(tmp_path: Path) -> None:
    full = asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        yield b"x"
        await full.wait()

    async def scenario() -> list[list[int]]:
        ours = taking(Tenants(), tmp_path)
        mine = [asyncio.create_task(ours.answer(sent_from(1), held())) for _ in range(3)]
        await asyncio.wait(mine, return_when=asyncio.FIRST_COMPLETED)
        theirs = [asyncio.create_task(ours.answer(sent_from(n), held())) for n in (2, 3)]
        await asyncio.wait(theirs, return_when=asyncio.FIRST_COMPLETED)
        full.set()
        statuses = [[(await t).status for t in tasks] for tasks in (mine, theirs)]
        again = await ours.answer(sent_from(1), pieces(b"x"))
        return [*map(sorted, statuses), [again.status]]

    assert asyncio.run(scenario()) == [[202, 202, 503], [202, 503], [202]]


def test_an_upload_that_waits_for_its_place_is_not_read_and_holds_up_nobody_else(
    tmp_path: Path,
) -> None:
    full, begun = asyncio.Event(), list[str]()

    async def body(name: str) -> AsyncIterator[bytes]:
        begun.append(name)
        yield b"x"
        await full.wait()

    async def scenario() -> list[int]:
        ours = taking(Tenants(), tmp_path, most_each=1, patience=10)

        def upload(tenant: int, name: str) -> asyncio.Task[Answer]:
            return asyncio.create_task(ours.answer(sent_from(tenant), body(name)))

        tasks = [upload(1, "first")]
        while not begun:
            await asyncio.sleep(0.01)
        tasks += [upload(1, "second"), upload(2, "another's")]
        while len(begun) < 2:
            await asyncio.sleep(0.01)
        assert begun == ["first", "another's"]
        full.set()
        return [(await task).status for task in tasks]

    assert asyncio.run(scenario()) == [202, 202, 202]
    assert begun == ["first", "another's", "second"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, "full")

    monkeypatch.setattr("service.spools.SealedWriter.write", fail)

    assert asyncio.run(taking(Librarian(), tmp_path).answer(REQUEST, pieces(b"x"))).status == 507


def test_a_disk_that_takes_no_more_is_told(tmp_path: Path) -> None:
    """The kernel refuses files of more than 64 KiB, as a quota would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, before[1]))
    try:
        large = taking(Librarian(2**20), tmp_path).answer(REQUEST, pieces(b"x" * 2**20))
        assert asyncio.run(large).status == 507
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_uploads_leave_room_on_the_disk(tmp_path: Path) -> None:
    greedy = taking(Librarian(), tmp_path, least_free=2**62)

    assert asyncio.run(greedy.answer(REQUEST, pieces(b"x"))).status == 507


def test_a_spool_has_no_name_and_holds_no_plaintext(tmp_path: Path) -> None:
    spool = Spool(tmp_path, least_free=0)
    spool.write(MARK * 20_000)
    with spool.read() as body:
        sealed = Path(f"/proc/self/fd/{spool._file.fileno()}").read_bytes()
        assert body.read() == MARK * 20_000

    assert len(sealed) > len(MARK) * 20_000
    assert MARK not in sealed
    assert list(tmp_path.iterdir()) == []
    spool.close()


@pytest.mark.parametrize(
    ("version", "chunks", "whole"),
    [
        ("1.1", [b"a", b"b", b""], True),
        ("1.1", [b""], True),
        ("1.1", [b"a", b"", b""], False),
        ("2", [b"a", b"", b""], True),
        ("2", [b"a", b"", b"b", b"", b""], True),
        ("2", [b"a", b"", b"", b""], False),
    ],
)
def test_the_end_of_a_body_and_its_breaking_off_are_told_apart(
    version: str, chunks: list[bytes], whole: bool
) -> None:
    async def read() -> bytes:
        return b"".join([part async for part in read_body(pieces(*chunks), version=version)])

    if whole:
        assert asyncio.run(read()) == b"".join(chunks)
    else:
        with pytest.raises(ConnectionAbortedError):
            asyncio.run(read())
