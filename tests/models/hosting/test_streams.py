"""Frames are put together however they arrive, and nothing is taken for granted."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import FrameMalformed
from models.hosting import frames
from models.hosting.frames import ANSWER, REQUEST
from models.hosting.page import sealed_bytes
from models.hosting.streams import Inbox, Outbox, StreamEnded

KEY = bytes(32)
ONE_MIB = 1024**2


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    with left, right:
        yield left, right


def frame(call: int, rows: int) -> bytes:
    features = np.full((rows, 3), float(call))
    parts = frames.prediction(call, KEY, "predict", features, deadline=1.0)
    return b"".join(bytes(part) for part in parts)


@given(
    st.lists(st.sampled_from([1, 2, 300, 5000]), min_size=1, max_size=5),
    st.lists(st.integers(50, 60_000), min_size=1, max_size=9),
)
def test_frames_are_whole_however_they_are_cut(sizes: list[int], cuts: list[int]) -> None:
    left, right = socket.socketpair()
    with left, right:
        inbox = Inbox(right, REQUEST.size, frames.read_request)
        content = b"".join(frame(call, rows) for call, rows in enumerate(sizes))
        received: list[tuple[int, int]] = []
        for size in itertools.cycle(cuts):
            if not content and len(received) == len(sizes):
                break
            left.sendall(content[:size])
            content = content[size:]
            for request, payload in inbox.receive():
                features = frames.read_features(request, payload)
                received.append((request.call, len(features)))

    assert received == list(enumerate(sizes))


def test_nothing_there_is_said_so(pair: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(BlockingIOError):
        Inbox(pair[1], REQUEST.size, frames.read_request).receive()


def test_the_end_is_said_after_what_came_before(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    left, right = pair
    inbox = Inbox(right, REQUEST.size, frames.read_request)
    left.sendall(frame(1, 1))
    left.close()

    assert [request.call for request, _ in inbox.receive()] == [1]
    with pytest.raises(StreamEnded):
        inbox.receive()


def test_a_claimed_length_costs_no_memory(pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair
    inbox = Inbox(right, ANSWER.size, frames.read_answer)
    claimed = 2**27
    left.sendall(ANSWER.pack(frames.MAGIC, frames.ANSWERED, 0, 1, 1, claimed, 0, 1, claimed * 8))

    before = resident_bytes()
    assert list(inbox.receive()) == []

    assert resident_bytes() - before < ONE_MIB


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_descriptors_come_with_their_frames(pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair
    inbox = Inbox(right, REQUEST.size, frames.read_request, takes_descriptors=True)
    descriptor = sealed_bytes([b"content"])
    artefact = frames.Artefact(7, KEY, "skops")

    Outbox(left).send(frames.put(1, KEY, artefact, deadline=1.0), (descriptor,))
    os.close(descriptor)
    requests = [request for request, _ in inbox.receive()]

    assert [request.kind for request in requests] == [frames.PUT]
    (received,) = inbox.descriptors
    assert os.read(received, 100) == b"content"
    with pytest.raises(PermissionError):
        os.pwrite(received, b"other", 0)
    os.close(received)


def test_more_descriptors_than_requests_are_refused(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    left, right = pair
    inbox = Inbox(right, REQUEST.size, frames.read_request, takes_descriptors=True)
    null = os.open(os.devnull, os.O_RDONLY)
    for _ in range(9):
        socket.send_fds(left, [b"x"], [null])
    os.close(null)

    for _ in range(8):
        list(inbox.receive())
    with pytest.raises(FrameMalformed, match="descriptors"):
        inbox.receive()

    for descriptor in inbox.descriptors:
        os.close(descriptor)


def test_what_a_socket_does_not_take_is_sent_later(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    left, right = pair
    outbox, content = Outbox(left), frame(1, 200_000)
    outbox.send([content])
    received = bytearray()

    assert not outbox.is_empty
    while len(received) < len(content):
        received += right.recv(2**20)
        outbox.flush()

    assert outbox.is_empty
    assert bytes(received) == content


def test_sending_to_who_has_left_is_said_so(pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair
    right.close()

    with pytest.raises(StreamEnded):
        Outbox(left).send([b"x"])
