"""The loop of a host, spoken to in frames: what it answers, and whom it leaves."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from models.hosting import frames
from models.hosting.frames import ANSWER, Answer
from models.hosting.host import Host
from models.hosting.page import Page, make_page, sealed_bytes
from models.hosting.payloads import Buffer
from models.hosting.streams import Inbox, Outbox, StreamEnded
from tests.models.hosting.light_parent import open_model

KEY, OTHER = bytes(32), bytes([1]) * 32
ROWS = np.array([[1.0, 2.0]])
SECONDS = 20.0
PAST = 1.0
BUDGET = 64 * 1024  # of models that say they take 1 KiB each


class Speaker:
    """A worker's connection to a host, frame by frame."""

    def __init__(self, control: socket.socket, number: int) -> None:
        self.socket, theirs = socket.socketpair()
        theirs.setblocking(False)
        with theirs:
            socket.send_fds(control, [number.to_bytes(8, "little")], [theirs.fileno()])
        self._outbox = Outbox(self.socket)
        self._inbox = Inbox(self.socket, ANSWER.size, frames.read_answer)
        self._arrived: list[tuple[Answer, Buffer]] = []

    def say(self, frame: list[Buffer]) -> None:
        """Send a frame."""
        self._outbox.send(frame)

    def bring(self, call: int, text: str, *, version: bytes = KEY, deadline: float = 0.0) -> None:
        """Have a version opened."""
        data = text.encode()
        artefact = frames.Artefact(len(data), hashlib.sha256(data).digest(), "skops")
        descriptor = sealed_bytes([data])
        frame = frames.put(call, version, artefact, deadline=deadline or later())
        self._outbox.send(frame, (descriptor,))
        os.close(descriptor)

    def ask(self, call: int, *, version: bytes = KEY, deadline: float = 0.0) -> None:
        """Ask for an answer to one row."""
        deadline = deadline or later()
        self.say(frames.prediction(call, version, "predict", ROWS, deadline=deadline))

    def hear(self) -> tuple[Answer, Buffer]:
        """The next answer; raises StreamEnded."""
        end = time.monotonic() + SECONDS
        while not self._arrived:
            assert time.monotonic() < end, "the host did not answer in time"
            try:
                self._arrived += self._inbox.receive()
            except BlockingIOError:
                time.sleep(0.001)
        return self._arrived.pop(0)


def later() -> float:
    return time.monotonic() + SECONDS


@pytest.fixture
def control() -> Iterator[socket.socket]:
    """What connects callers to a host that runs in a thread here."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    descriptor = make_page()
    host = Host(theirs, Page(descriptor, writable=True), open_model, budget_bytes=BUDGET)

    def run() -> None:
        with suppress(SystemExit):
            host.run()

    thread = threading.Thread(target=run)
    thread.start()
    yield ours
    ours.close()
    thread.join(SECONDS)
    for caller in list(host._callers.values()):
        caller.socket.close()
    theirs.close()
    os.close(descriptor)


@pytest.fixture
def speaker(control: socket.socket) -> Iterator[Speaker]:
    speaker = Speaker(control, 1)
    yield speaker
    speaker.socket.close()


def test_a_version_that_is_not_open_is_asked_for(speaker: Speaker) -> None:
    speaker.ask(5)

    answer, _ = speaker.hear()

    assert (answer.status, answer.call) == (frames.NOT_OPEN, 5)


def test_what_comes_too_late_is_not_begun(speaker: Speaker) -> None:
    speaker.bring(1, "add")
    speaker.ask(2, deadline=PAST)
    speaker.ask(3)

    statuses = {answer.call: answer.status for answer, _ in (speaker.hear() for _ in range(3))}

    assert statuses == {1: frames.OPEN, 2: frames.EXPIRED, 3: frames.ANSWERED}


def test_a_file_that_comes_too_late_is_not_taken_for_the_next(speaker: Speaker) -> None:
    speaker.bring(1, "rest", deadline=PAST)
    speaker.bring(2, "add", version=OTHER)

    statuses = {answer.call: answer.status for answer, _ in (speaker.hear() for _ in range(2))}

    assert statuses == {1: frames.EXPIRED, 2: frames.OPEN}


def test_a_file_without_its_descriptor_ends_the_connection(speaker: Speaker) -> None:
    speaker.say(frames.put(1, KEY, frames.Artefact(3, KEY, "skops"), deadline=later()))

    with pytest.raises(StreamEnded):
        speaker.hear()


def test_nonsense_ends_its_own_connection_alone(control: socket.socket, speaker: Speaker) -> None:
    other = Speaker(control, 2)
    speaker.bring(1, "add")
    assert speaker.hear()[0].status == frames.OPEN

    other.say([b"x" * 500])

    with pytest.raises(StreamEnded):
        other.hear()
    other.socket.close()
    speaker.ask(2)
    assert speaker.hear()[0].status == frames.ANSWERED


def test_who_has_left_is_not_waited_for(control: socket.socket, speaker: Speaker) -> None:
    leaver = Speaker(control, 2)
    leaver.bring(1, "add")
    for call in range(2, 50):
        leaver.ask(call)
    leaver.socket.close()
    speaker.bring(1, "add", version=OTHER)

    assert speaker.hear()[0].status == frames.OPEN


def test_a_method_that_a_model_lacks_is_its_failure(speaker: Speaker) -> None:
    speaker.bring(1, "add")
    speaker.hear()

    speaker.say(frames.prediction(2, KEY, "decision_function", ROWS, deadline=later()))

    answer, payload = speaker.hear()
    assert answer.status == frames.FAILED
    assert frames.read_reason(payload) == "LookupError: it has no decision_function"


def test_versions_that_were_not_used_for_long_make_room(speaker: Speaker) -> None:
    versions = [bytes([number]) * 32 for number in range(2 * BUDGET // 1024)]
    for call, version in enumerate(versions):
        speaker.bring(call, "add", version=version)
        assert speaker.hear()[0].status == frames.OPEN

    for call, version in enumerate((versions[-1], versions[0])):
        speaker.say(frames.holds(call, version, deadline=later()))

    statuses = {answer.call: answer.status for answer, _ in (speaker.hear() for _ in range(2))}
    assert statuses == {0: frames.OPEN, 1: frames.NOT_OPEN}


def test_descriptors_of_files_are_closed(speaker: Speaker) -> None:
    speaker.bring(0, "add")
    speaker.hear()
    before = len(list(Path("/proc/self/fd").iterdir()))

    for call in range(1, 20):
        speaker.bring(call, "add", version=bytes([call]) * 32, deadline=PAST * (call % 2))
        speaker.hear()

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_large_answers_wait_until_they_are_read(speaker: Speaker) -> None:
    speaker.bring(0, "add")
    speaker.hear()
    rows = np.ones((200_000, 2))
    sent = b"".join(
        bytes(part)
        for call in range(1, 4)
        for part in frames.prediction(call, KEY, "predict", rows, deadline=later())
    )
    sender = threading.Thread(target=speaker.socket.sendall, args=(sent,))
    sender.start()

    answered = [speaker.hear() for _ in range(3)]
    sender.join(SECONDS)

    assert [answer.rows for answer, _ in answered] == [200_000] * 3
