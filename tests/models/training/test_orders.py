"""A trainer tells how far it is, keeps to its time, and answers with files or with a refusal."""

from __future__ import annotations

import math
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import pytest

from models.errors import DataRefused, NameRefused, SpecRefused, TrainingFailed
from models.hosting.messages import Bounds, Message, MessagesEnded, receive, send
from models.training import messages as words
from models.training.answering import answer_order, read_whole
from models.training.orders import _require_fitting
from models.training.progress import Phase, Progress, Result
from models.training.telling import Telling, remaining

BOUNDS = Bounds(head=2**22, blobs=6, bytes=2**26)
BODY = {"spec": {}, "name": "a.csv", "size": 4, "seconds": 60.0, "confined": True}


@contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection."""
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        yield ours, theirs


def heard(connection: socket.socket) -> list[Message]:
    """All that was said until the other end hung up."""
    said = []
    try:
        while True:
            said.append(receive(connection, BOUNDS, patience=lambda: None))
    except MessagesEnded:
        return said


class Clock:
    """Stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def told(steps: Callable[[Telling, Clock], None]) -> list[dict[str, Any]]:
    """What a customer hears of some steps."""
    with pair() as (ours, theirs):
        clock = Clock()
        steps(Telling(theirs, clock=clock), clock)
        theirs.close()
        return [dict(message.body) for message in heard(ours)]


def test_progress_is_told_at_most_five_times_a_second() -> None:
    def steps(telling: Telling, clock: Clock) -> None:
        for step in range(100):
            telling.tell(Progress(Phase.COMPARING, step, 100))
            clock.now += 0.01
        telling.flush()

    done = [each["done"] for each in told(steps)]
    assert done[0] == 0
    assert done[-1] == 99
    assert 4 <= len(done) <= 6


def test_last_step_of_a_phase_is_told_before_the_next_phase() -> None:
    def steps(telling: Telling, _clock: Clock) -> None:
        telling.tell(Progress(Phase.COMPARING, 1, 2))
        telling.tell(Progress(Phase.COMPARING, 2, 2, "the last"))
        telling.tell(Progress(Phase.TUNING, 0, 1))
        telling.flush()

    assert [(each["phase"], each["done"]) for each in told(steps)] == [
        ("comparing", 1),
        ("comparing", 2),
        ("tuning", 0),
    ]


def test_results_too_large_to_keep_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "MOST_RESULT_BYTES", 100)
    monkeypatch.setattr(words, "MOST_KNOWN_BYTES", 100)

    def steps(telling: Telling, _clock: Clock) -> None:
        telling.keep(Result("large", {"text": "a" * 200}))
        telling.keep(Result("k" * 301, {}))
        telling.keep(Result("first", {"score": np.float64(0.5), "all": np.arange(2)}))
        telling.keep(Result("second", {"score": math.nan}))
        telling.keep(Result("third", {"score": 0.5}))

    assert told(steps) == [
        {"key": "first", "value": {"score": 0.5, "all": [0, 1]}},
        {"key": "second", "value": {"score": None}},
    ]


@pytest.mark.parametrize(
    ("budget", "seconds", "left"),
    [(0.0, 100.0, 85.0), (50.0, 100.0, 42.5), (500.0, 100.0, 85.0), (0.0, 3600.0, 3480.0)],
)
def test_some_of_the_time_is_kept_back_to_finish(
    budget: float, seconds: float, left: float
) -> None:
    clock = Clock()
    asked = remaining(budget, seconds, clock=clock)
    assert asked() == left
    clock.now += left - 1.0
    assert asked() == pytest.approx(1.0)
    clock.now += 2.0
    assert asked() == 0.0


@pytest.mark.parametrize("confined", [True, False])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SpecRefused("target", "none", "name one"), {"what": "spec", "where": "target"}),
        (DataRefused("empty", report=("a" * 900,) * 900), {"what": "data", "problem": "empty"}),
        (TrainingFailed("no candidate"), {"what": "failed", "problem": "no candidate"}),
        (NameRefused("a model", "a b", "no blanks"), {"what": "failed"}),
        (MemoryError(), {"what": "memory"}),
    ],
)
def test_refusals_are_answered_as_such(
    error: Exception, said: dict[str, str], *, confined: bool
) -> None:
    last = answered(error, confined=confined)
    assert last.kind == "refused"
    assert last.body.keys() == words.REFUSAL
    assert {name: last.body[name] for name in said} == said
    assert len(last.body["report"]) <= 500


def test_words_of_libraries_are_for_operators_only() -> None:
    error = FileNotFoundError("/srv/secret/place")
    assert answered(error, confined=True).body["problem"] == "FileNotFoundError"
    assert "/srv/secret" in answered(error, confined=False).body["problem"]


def answered(error: Exception, *, confined: bool) -> Message:
    """What a trainer answers whose order fails like this."""

    def fail(_order: Message, _connection: socket.socket) -> Message:
        raise error

    with pair() as (ours, theirs):
        send(ours, Message("train", BODY | {"confined": confined}))
        serving = threading.Thread(target=answer_order, args=(theirs, {"train": fail}))
        serving.start()
        last = receive(ours, BOUNDS, patience=lambda: None)
        serving.join()
        return last


def test_customer_who_leaves_is_no_error() -> None:
    with pair() as (ours, theirs):
        ours.close()
        answer_order(theirs, {})


def test_files_beyond_their_bounds_are_a_failure_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "MOST_BYTES", dict.fromkeys(words.MOST_BYTES, 3))
    with pytest.raises(TrainingFailed, match="its report has 4 bytes, more than the 3"):
        _require_fitting({"model": b"abc", "report": b"abcd"})


def test_data_is_read_whole_and_its_descriptor_closed() -> None:
    reader, writer = os.pipe()
    threading.Thread(target=_write_in_pieces, args=(writer,), daemon=True).start()
    assert read_whole(reader, 100_000) == b"ab" * 50_000
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reader)


def _write_in_pieces(writer: int) -> None:
    with open(writer, "wb") as pipe:
        pipe.write(b"ab" * 60_000)
