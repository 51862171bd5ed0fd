"""A customer takes nothing of a trainer at its word, and ends what it does not want any more."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from models.errors import DataRefused, FrameMalformed, SpecRefused, TrainingFailed
from models.hosting.messages import MARK, Bounds, Message, MessagesEnded, receive, send
from models.trainers import conversation, hearing
from models.trainers.files import TrainedFiles, trained_files
from models.trainers.hearing import Hearing
from models.trainers.local import LocalTrainers, environment
from models.trainers.running import run_training
from models.training import messages as words
from models.training.progress import Phase, Progress, Result
from tests.models.files import skops_bytes
from tests.models.training.light_trainer import EVALUATION, ROLES, trained

LIGHT = "tests.models.training.light_trainer"
ROOT = Path(__file__).resolve().parent.parent.parent
SPEC = {"model": "flowers", "target": "kind"}
MODEL = skops_bytes(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]))
HONEST = trained(MODEL)
PROGRESS = {"phase": "tuning", "done": 1, "total": 2, "note": "half"}
REFUSAL = {"what": "data", "where": "", "problem": "none", "remedy": "", "report": []}

Said = Message | bytes


@dataclass
class Liar:
    """A trainer in a thread, which hears its order and says what a test wants."""

    connection: socket.socket
    confined: bool = True

    def fate(self) -> str:
        """Nobody has seen it."""
        return ""

    def close(self) -> None:
        """Hang up."""
        self.connection.close()


@dataclass
class Liars:
    """Starts them; `orders` are what they have heard."""

    say: Callable[[socket.socket], None]
    orders: list[Message] = field(default_factory=list)
    opened: list[Liar] = field(default_factory=list)

    def open(self, *, seconds: float) -> Liar:
        """Start one."""
        ours, theirs = socket.socketpair()

        def work() -> None:
            with theirs, suppress(MessagesEnded, OSError):  # who has heard enough leaves
                bounds = Bounds(head=2**20, blobs=1, bytes=2**26)
                order = receive(theirs, bounds, patience=lambda: None)
                self.orders.append(order)
                self.say(theirs)

        threading.Thread(target=work, daemon=True).start()
        self.opened.append(Liar(ours))
        return self.opened[-1]

    def close(self) -> None:
        """Nothing is kept."""


def until(holds: Callable[[], object], *, seconds: float = 20.0) -> None:
    """Wait for a state, at most until the deadline."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def saying(*said: Said) -> Liars:
    """Trainers that say these, one after the other, and hang up."""

    def say(connection: socket.socket) -> None:
        for each in said:
            if isinstance(each, bytes):
                connection.sendall(each)
            else:
                send(connection, each)

    return Liars(say)


def silent(over: threading.Event) -> Liars:
    """Trainers that say nothing until it is over."""

    def say(_connection: socket.socket) -> None:
        over.wait()

    return Liars(say)


def train(trainers: Any, data: bytes = b"a\n1\n", **options: Any) -> TrainedFiles:
    """Run a training."""
    return run_training(trainers, SPEC, "flowers.csv", data, **({"seconds": 30.0} | options))


def refusal(*said: Said) -> str:
    """Why a training failed whose trainer said these."""
    with pytest.raises(TrainingFailed) as failed:
        train(saying(*said))
    return failed.value.reason


def test_customer_passes_on_how_far_it_is_and_what_was_found_out() -> None:
    progress, results = list[Progress](), list[Result]()
    told = Message("told", PROGRESS | {"note": "fold 1\x1b[2J"})
    result = Message("result", {"key": "compare/forest/1", "value": {"score": 0.5}})
    files = train(
        saying(told, result, HONEST), on_progress=progress.append, on_result=results.append
    )
    assert progress == [Progress(Phase.TUNING, 1, 2, "fold 1 [2J")]
    assert results == [Result("compare/forest/1", {"score": 0.5})]
    assert files.model == MODEL
    assert files.evaluation == EVALUATION == orjson.loads(files.evaluation_bytes)
    assert (files.report, files.rows) == (b"<!doctype html>", b"a\n1\n")


def test_trainer_is_given_the_table_the_spec_and_what_is_known() -> None:
    liars = saying(HONEST)
    train(liars, b"a,b\n1,2\n", known=[Result("fold/1", {"score": 0.25})], seconds=7.0)
    (order,) = liars.orders
    with open(order.descriptors[0], "rb") as table:  # noqa: PTH123
        assert table.read() == b"a,b\n1,2\n"
    assert order.kind == "train"
    assert order.body == {
        "spec": SPEC,
        "name": "flowers.csv",
        "size": 8,
        "seconds": 7.0,
        "confined": True,
    }
    assert orjson.loads(order.blobs[0]) == [["fold/1", {"score": 0.25}]]


def test_more_known_results_than_a_trainer_takes_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(words, "MOST_KNOWN_BYTES", 40)
    liars = saying(HONEST)
    train(liars, known=[Result(f"fold/{n}", {"score": 0.25}) for n in range(3)])
    os.close(liars.orders[0].descriptors[0])
    assert orjson.loads(liars.orders[0].blobs[0]) == [["fold/0", {"score": 0.25}]]


@pytest.mark.parametrize(
    ("data", "options", "problem"),
    [(b"", {}, "empty"), (b"a" * 11, {"most_data_bytes": 10}, "more than 10 bytes")],
)
def test_table_that_nobody_could_train_on_is_refused_before_a_trainer_is_started(
    data: bytes, options: dict[str, Any], problem: str
) -> None:
    liars = saying(HONEST)
    with pytest.raises(DataRefused, match=problem):
        train(liars, data, **options)
    assert not liars.opened


def test_refusals_are_told_in_words_that_can_be_read() -> None:
    with pytest.raises(DataRefused) as refused:
        train(saying(Message("refused", REFUSAL | {"report": ["line 1: \x1b[2Jno"]})))
    assert (refused.value.problem, refused.value.report) == ("none", ("line 1:  [2Jno",))
    with pytest.raises(SpecRefused) as unfit:
        train(saying(Message("refused", REFUSAL | {"what": "spec", "where": "target"})))
    assert (unfit.value.where, unfit.value.problem) == ("target", "none")
    assert refusal(Message("refused", REFUSAL | {"what": "failed"})) == "none"
    assert refusal(Message("refused", REFUSAL | {"what": "memory"})) == "none"


@pytest.mark.parametrize(
    "said",
    [
        Message("told", {}),
        Message("told", PROGRESS | {"more": 1}),
        Message("told", PROGRESS | {"phase": "dancing"}),
        Message("told", PROGRESS | {"phase": ["tuning"]}),
        Message("told", PROGRESS | {"done": -1}),
        Message("told", PROGRESS | {"done": True}),
        Message("told", PROGRESS | {"total": 10**10}),
        Message("told", PROGRESS | {"note": None}),
        Message("result", {"key": "", "value": {}}),
        Message("result", {"key": "a" * 301, "value": {}}),
        Message("result", {"key": "a\n", "value": {}}),
        Message("result", {"key": "a", "value": []}),
        Message("result", {"key": "a", "value": {"b": [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}}),
        Message("result", {"key": 1, "value": {}}),
        Message("refused", {"what": "data"}),
        Message("refused", REFUSAL | {"what": "everything"}),
        Message("refused", REFUSAL | {"what": {}}),
        Message("refused", REFUSAL | {"report": "all"}),
        Message("refused", REFUSAL | {"report": [1]}),
        Message("refused", REFUSAL | {"report": [""] * 501}),
        Message("sung", {}),
        Message("told", PROGRESS, (b"blob",)),
        Message("trained", {"roles": []}),
        Message("trained", {"roles": list(ROLES), "more": 1}, HONEST.blobs),
        Message("trained", {"roles": [*ROLES[:5], "model"]}, HONEST.blobs),
        Message("trained", {"roles": [[]] * 6}, HONEST.blobs),
        Message("trained", {"roles": {}}, HONEST.blobs),
        replace(HONEST, blobs=(b"no model", *HONEST.blobs[1:])),
        replace(HONEST, blobs=(*HONEST.blobs[:5], b"")),
        replace(HONEST, blobs=(*HONEST.blobs[:3], b"[]", *HONEST.blobs[4:])),
        replace(HONEST, blobs=(*HONEST.blobs[:3], b"{", *HONEST.blobs[4:])),
        trained(MODEL, schema=2),
        trained(MODEL, seed=True),
        trained(MODEL, created_at="now"),
        trained(MODEL, leaderboard=[]),
        trained(MODEL, leaderboard=[1]),
        trained(MODEL, figures=["a"]),
        trained(MODEL, champion=None),
        replace(HONEST, blobs=(MODEL, b'{"schema":1}', *HONEST.blobs[2:])),
        b"GET / HTTP/1.1\r\n\r\n",
        MARK + (2**31).to_bytes(4, "little"),
        MARK + (2).to_bytes(4, "little") + b"{}",
    ],
)
def test_lie_ends_a_training(said: Said) -> None:
    assert refusal(said).startswith("the process that trained says what cannot be: ")


def test_evaluation_is_bounded_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.trainers.files.MOST_VALUES", 100)
    assert "more than 100 values" in refusal(trained(MODEL, card="," * 200))
    nested: Any = 1
    for _ in range(25):
        nested = [nested]
    assert "evaluation is none" in refusal(trained(MODEL, spec={"a": nested}))


def test_files_beyond_their_bounds_are_not_even_received() -> None:
    def say(connection: socket.socket) -> None:
        head = {"kind": "trained", "body": {"roles": list(ROLES)}, "blobs": [2**40] * 6}
        text = orjson.dumps(head)
        connection.sendall(MARK + len(text).to_bytes(4, "little") + text)

    with pytest.raises(TrainingFailed, match="more blobs than are taken"):
        train(Liars(say))
    with pytest.raises(TrainingFailed, match="its model has"):
        train(saying(HONEST), most_model_bytes=100)


def test_talking_without_end_ends_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "MOST_RESULTS", 10)
    monkeypatch.setattr(conversation, "MOST_AT_ONCE", 100)

    def say(connection: socket.socket) -> None:
        while True:
            send(connection, Message("told", PROGRESS))

    with pytest.raises(TrainingFailed, match="more messages than are heard"):
        train(Liars(say))


def test_results_without_end_end_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "MOST_RESULTS", 3)
    results = [Message("result", {"key": str(n), "value": {}}) for n in range(4)]
    assert "more results than are kept" in refusal(*results)
    monkeypatch.setattr(words, "MOST_KNOWN_BYTES", 50)
    assert "more results than are kept" in refusal(
        Message("result", {"key": "a", "value": {"b": "c" * 100}})
    )
    monkeypatch.setattr(hearing, "MOST_RESULT_VALUES", 3)
    assert "more results than are kept" in refusal(
        Message("result", {"key": "a", "value": {"b": [[], []]}})
    )


def test_silence_ends_a_training_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "GRACE_SECONDS", 0.0)
    over = threading.Event()
    liars = silent(over)
    with pytest.raises(TrainingFailed, match="longer than the 0 s"):
        train(liars, seconds=0.0)
    over.set()


def test_descriptors_that_a_trainer_sends_are_closed() -> None:
    reader, writer = os.pipe()

    def say(connection: socket.socket) -> None:
        send(connection, Message("told", PROGRESS, (), (writer,)))
        os.close(writer)
        send(connection, HONEST)

    train(Liars(say))
    with open(reader, "rb") as pipe:  # noqa: PTH123
        assert pipe.read() == b""  # nobody has its other end


def test_death_of_a_trainer_is_told() -> None:
    assert refusal() == "the process that trained ended"


def test_who_waits_can_end_a_training() -> None:
    class Cancelled(Exception):
        pass

    over = threading.Event()
    liars = silent(over)

    def goes_on() -> None:
        if liars.orders:
            raise Cancelled

    with pytest.raises(Cancelled):
        train(liars, goes_on=goes_on)
    assert liars.opened[0].connection.fileno() < 0
    over.set()


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**40) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


USUAL: dict[str, dict[str, Any]] = {
    "told": PROGRESS,
    "result": {"key": "a", "value": {}},
    "refused": REFUSAL,
    "trained": {"roles": list(ROLES)},
}


@st.composite
def spoken(draw: st.DrawFn) -> Message:
    """A message of a known kind with some of its members replaced, removed, or added."""
    kind = draw(st.sampled_from(sorted(USUAL)))
    usual = USUAL[kind]
    body = dict(usual)
    body |= draw(st.dictionaries(st.sampled_from(sorted(usual)), anything, max_size=2))
    for name in draw(st.lists(st.sampled_from(sorted(usual)), max_size=1)):
        del body[name]
    return Message(kind, body, HONEST.blobs if kind == "trained" else ())


@given(spoken())
def test_whatever_is_said_is_heard_or_refused_as_one_of_few(message: Message) -> None:
    heard = list[object]()
    refusals = list[str]()
    try:
        if message.kind == "trained":
            heard.append(trained_files(message, most_model_bytes=10**6))
        else:
            Hearing(heard.append, heard.append).hear(message)
    except (FrameMalformed, SpecRefused, DataRefused, TrainingFailed) as error:
        refusals.append(str(error))
    assert len(heard) + len(refusals) == 1
    assert all(refusal.isprintable() for refusal in refusals)


@given(st.integers(0, 40), st.integers(1, 30))
def test_depth_is_counted_as_it_is(depth: int, most: int) -> None:
    nested: object = 1
    for level in range(depth):
        nested = [1, nested] if level % 2 else {"a": nested, "b": 2}
    assert hearing.is_shallow(nested, most) == (depth <= most)


def test_local_trainer_has_no_setting_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALLYPORT_MASTER_KEY", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    given = environment()
    assert "secret" not in given.values()
    assert given["RAY_ADDRESS"] == "10.0.0.1:6379"
    assert given["OMP_NUM_THREADS"] == "1"


def test_local_trainer_trains_and_says_how_it_failed() -> None:
    trainers = LocalTrainers(LIGHT)
    assert train(trainers, b"train\n" + MODEL).model == MODEL
    with pytest.raises(TrainingFailed, match="ZeroDivisionError: division by zero"):
        train(trainers, b"break\n" + MODEL)
    with pytest.raises(TrainingFailed, match="ended: it ended with code 3"):
        train(trainers, b"exit\n" + MODEL)


def test_local_trainer_ends_with_all_it_has_started_when_it_is_interrupted() -> None:
    here = psutil.Process()
    started = list[psutil.Process]()

    def goes_on() -> None:
        """As Ctrl-C does, once the trainer has started a process of its own."""
        for trainer in here.children():
            if (children := trainer.children()) and "sleep" in " ".join(children[0].cmdline()):
                started.extend((trainer, *children))
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(LocalTrainers(LIGHT), b"start another\n" + MODEL, goes_on=goes_on)
    _, alive = psutil.wait_procs(started, timeout=20)
    assert len(started) == 2
    assert not alive


CUSTOMER = f"""
from models.trainers.local import LocalTrainers
from models.trainers.running import run_training
run_training(LocalTrainers({LIGHT!r}), {SPEC!r}, "flowers.csv", b"start another\\n")
"""


@pytest.fixture
def customer() -> Iterator[subprocess.Popen[bytes]]:
    """Another process that trains, and hangs."""
    process = subprocess.Popen([sys.executable, "-c", CUSTOMER], cwd=ROOT)
    yield process
    process.kill()
    process.wait()


def test_local_trainer_ends_when_its_customer_is_killed(customer: subprocess.Popen[bytes]) -> None:
    def family() -> list[psutil.Process]:
        return list(psutil.Process(customer.pid).children(recursive=True))

    until(lambda: any("sleep" in " ".join(each.cmdline()) for each in family()))
    started = family()
    customer.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(started, timeout=20)
    assert len(started) == 2
    assert not alive
