"""A worker's end of a connection: threads share it, and a host that lies does no harm."""

from __future__ import annotations

import mmap
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.hosting import frames
from models.hosting.channel import Channel, Expected, Expired, Lost
from models.hosting.frames import ANSWER, Request
from models.hosting.page import Page, make_page
from models.hosting.payloads import Buffer
from models.hosting.streams import Inbox, StreamEnded

KEY = bytes(32)
SECONDS = 20.0
SOON = 0.05

Reply = Callable[[Request, Buffer], list[bytes]]


class FakeHost(threading.Thread):
    """Answers each request with whatever a test makes it say, off one end of a connection."""

    def __init__(self, sock: socket.socket, reply: Reply) -> None:
        super().__init__(daemon=True)
        self._socket = sock
        self._reply = reply

    def run(self) -> None:
        """Answer until the other end is closed, or the reply is to end."""
        inbox = Inbox(self._socket, frames.REQUEST.size, frames.read_request)
        with self._socket:
            while True:
                try:
                    arrived = list(inbox.receive())
                except BlockingIOError:
                    time.sleep(0.0005)
                    continue
                except StreamEnded:
                    return
                for request, payload in arrived:
                    for part in self._reply(request, payload):
                        try:
                            self._socket.sendall(part)
                        except OSError:
                            return
                        if not part:
                            return


@contextmanager
def channel_to(reply: Reply) -> Iterator[tuple[Channel, Page]]:
    """A channel to a fake host, and the page as the host writes it."""
    ours, theirs = socket.socketpair()
    descriptor = make_page()
    written = Page(descriptor, writable=True)
    channel = Channel(ours, Page(descriptor, writable=False), host=1, number=7)
    host = FakeHost(theirs, reply)
    host.start()
    try:
        yield channel, written
    finally:
        channel.close()
        host.join(SECONDS)
        written.close()
        os.close(descriptor)


def ask(channel: Channel, value: float, *, rows: int = 1, seconds: float = SECONDS) -> Any:
    """Ask for the sum of rows of one number, which a truthful host gives back."""
    features = np.full((rows, 1), value)
    deadline = time.monotonic() + seconds

    def frame(call: int) -> list[Buffer]:
        return frames.prediction(call, KEY, "predict", features, deadline=deadline)

    answer, payload = channel.request(frame, Expected(rows, 0), deadline=deadline)
    return frames.read_values(answer, payload).tolist()


def truth(request: Request, payload: Buffer) -> list[bytes]:
    features = frames.read_features(request, payload)
    assert isinstance(features, np.ndarray)
    parts = frames.answers(request.call, features[:, 0], batch=1, microseconds=1)
    return [b"".join(bytes(part) for part in parts)]


def head(request: Request, **changed: int) -> bytes:
    fields = {
        "magic": frames.MAGIC,
        "status": frames.ANSWERED,
        "dtype": 0,
        "batch": 1,
        "call": request.call,
        "rows": request.rows,
        "width": 0,
        "microseconds": 1,
        "length": request.rows * 8,
    } | changed
    return ANSWER.pack(*fields.values())


def test_many_threads_share_a_connection_and_each_has_its_own_answer() -> None:
    with channel_to(truth) as (channel, _), ThreadPoolExecutor(8) as threads:
        values = [float(n) for n in range(200)]
        answers = list(threads.map(lambda value: ask(channel, value), values))

    assert answers == [[value] for value in values]


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(6)), st.lists(st.integers(1, 40), min_size=6, max_size=6))
def test_answers_find_their_calls_in_whatever_order_they_come(
    order: list[int], rows: list[int]
) -> None:
    waiting: list[bytes] = []

    def reply(request: Request, payload: Buffer) -> list[bytes]:
        waiting.extend(truth(request, payload))
        return [waiting[place] for place in order] if len(waiting) == len(order) else []

    with channel_to(reply) as (channel, _), ThreadPoolExecutor(6) as threads:
        calls = [
            threads.submit(ask, channel, float(place), rows=count)
            for place, count in enumerate(rows)
        ]
        answers = [call.result() for call in calls]

    assert answers == [[float(place)] * count for place, count in enumerate(rows)]


def test_a_large_answer_arrives_whole() -> None:
    with channel_to(truth) as (channel, _):
        assert ask(channel, 2.5, rows=300_000) == [2.5] * 300_000


@pytest.mark.parametrize(
    "lie",
    [
        lambda request, _: [head(request, magic=1) + bytes(8)],
        lambda request, _: [head(request, status=17) + bytes(8)],
        lambda request, _: [head(request, dtype=9) + bytes(8)],
        lambda request, _: [head(request, call=request.call + 1) + bytes(8)],
        lambda request, _: [head(request, rows=2, length=16) + bytes(16)],
        lambda request, _: [head(request, rows=0, length=0)],
        lambda request, _: [head(request, width=3, length=24) + bytes(24)],
        lambda request, _: [head(request, rows=2**31, length=2**34)],
        lambda request, _: [head(request, length=2**63)],
        lambda request, payload: truth(request, payload) * 2 + truth(request, payload),
        lambda _request, _payload: [bytes(200)],
        lambda _request, _payload: [b""],
        lambda request, payload: [truth(request, payload)[0][:-3], b""],
    ],
)
def test_a_host_that_lies_is_lost_and_its_next_callers_told_at_once(lie: Reply) -> None:
    lied = threading.Event()

    def reply(request: Request, payload: Buffer) -> list[bytes]:
        lied.set()
        return lie(request, payload)

    with channel_to(reply) as (channel, _):
        with suppress(Lost):  # one of the lies follows a true answer
            assert ask(channel, 1.0) == [1.0]
        assert lied.is_set()
        with pytest.raises(Lost):
            ask(channel, 1.0)
        assert channel.is_broken


def test_a_host_that_lies_answers_nobody_else() -> None:
    def reply(request: Request, payload: Buffer) -> list[bytes]:
        other = request._replace(call=2)
        return truth(other, payload) if request.call == 1 else []

    with channel_to(reply) as (channel, _), pytest.raises(Lost):
        ask(channel, 1.0)


def test_nothing_at_the_deadline_is_said_so_and_a_late_answer_dropped() -> None:
    released = threading.Event()

    def reply(request: Request, payload: Buffer) -> list[bytes]:
        if request.call == 1:
            released.wait(SECONDS)
        return truth(request, payload)

    with channel_to(reply) as (channel, _):
        with pytest.raises(Expired):
            ask(channel, 1.0, seconds=SOON)
        released.set()
        assert ask(channel, 2.0) == [2.0]


def test_a_reader_that_gives_up_leaves_the_reading_to_the_next() -> None:
    released = threading.Event()

    def reply(request: Request, payload: Buffer) -> list[bytes]:
        if request.call == 1:
            return []
        released.wait(SECONDS)
        return truth(request, payload)

    with channel_to(reply) as (channel, _), ThreadPoolExecutor(2) as threads:
        first = threads.submit(ask, channel, 1.0, seconds=0.2)
        while not channel._calls:
            time.sleep(0.001)
        second = threads.submit(ask, channel, 2.0)
        assert isinstance(first.exception(), Expired)
        released.set()
        assert second.result() == [2.0]


def test_a_host_that_does_not_read_costs_no_more_than_the_deadline() -> None:
    ours, theirs = socket.socketpair()
    descriptor = make_page()
    channel = Channel(ours, Page(descriptor, writable=False), host=1, number=7)

    with theirs, pytest.raises(Expired):
        ask(channel, 1.0, rows=500_000, seconds=SOON)

    channel.close()
    os.close(descriptor)


def test_a_host_that_answers_nothing_for_long_is_silent() -> None:
    with channel_to(lambda _request, _payload: []) as (channel, _):
        assert not channel.is_silent(1)
        with ThreadPoolExecutor(1) as threads:
            patient = threads.submit(ask, channel, 1.0, seconds=8 * SOON)
            with pytest.raises(Expired):
                ask(channel, 2.0, seconds=SOON)
            assert not channel.is_silent(1)
            assert isinstance(patient.exception(), Expired)
        assert channel.is_silent(1)


def test_the_batch_in_which_a_host_ended_is_told_once_to_its_first_caller() -> None:
    page_of: list[Page] = []

    def reply(request: Request, _payload: Buffer) -> list[bytes]:
        page_of[0].begin(KEY, [(7, request.call)])
        return [b""]

    with channel_to(reply) as (channel, page):
        page_of.append(page)
        with pytest.raises(Lost) as lost:
            ask(channel, 1.0)
        assert lost.value.started
        assert channel.blame() == KEY
        assert channel.blame() is None


def test_a_host_that_ended_in_anothers_call_had_not_begun_this_one() -> None:
    page_of: list[Page] = []

    def reply(_request: Request, _payload: Buffer) -> list[bytes]:
        page_of[0].begin(KEY, [(8, 1)])
        return [b""]

    with channel_to(reply) as (channel, page):
        page_of.append(page)
        with pytest.raises(Lost) as lost:
            ask(channel, 1.0)
        assert not lost.value.started
        assert channel.blame() is None


@given(st.binary(min_size=64, max_size=4096))
@settings(max_examples=100, deadline=None)
def test_whatever_a_host_writes_on_its_page_is_read_without_harm(content: bytes) -> None:

    descriptor = make_page()
    with mmap.mmap(descriptor, mmap.PAGESIZE) as memory:
        memory[: len(content)] = content
        page = Page(descriptor, writable=False)
        running = page.running()
        assert running is None or len(running.calls) <= 128
        page.close()
    os.close(descriptor)
