from __future__ import annotations

import os
import pickle  # noqa: TID251  what is written here, nothing may open
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from models.acceptance import contents_fit, read_contents
from models.errors import (
    EstimatorRefused,
    FormatRefused,
    FrameMalformed,
    GivenRowsRefused,
    IntakeFailed,
    IntakeRefused,
    LibraryVersionRefused,
)
from models.hosting.client import HostsClient
from models.hosting.messages import Bounds, Message, MessagesEnded, receive, send
from models.hosting.starting import Parentage, PrivateParent
from models.intake import Intake
from models.stages import Stage
from tests.models.files import WritesCanary, skops_bytes
from tests.models.workshops import ANY, SKOPS, joblib_bytes, saying, take_in

FEATURES = np.random.default_rng(1).normal(size=(60, 3))
LABELS = np.where(FEATURES[:, 0] > 0, "up", "down")
MODEL = DecisionTreeClassifier(max_depth=3).fit(FEATURES, LABELS)
LIMITS = Bounds(head=1000, blobs=2, bytes=10_000_000)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def _received(sock: socket.socket, bounds: Bounds = LIMITS) -> Message:
    return receive(sock, bounds, patience=lambda: None)


# --- messages ------------------------------------------------------------------------------------


def test_message_arrives_as_it_was_sent(ends: Any) -> None:
    ours, theirs = ends
    message = Message("told", {"a": [1, "ä", None]}, (b"", os.urandom(3_000_000)))
    sender = threading.Thread(target=send, args=(theirs, message))
    sender.start()

    assert _received(ours) == message
    sender.join()


def test_descriptors_arrive_with_their_message(ends: Any, tmp_path: Path) -> None:
    ours, theirs = ends
    file = tmp_path / "file"
    file.write_bytes(b"content")
    with file.open("rb") as source:
        send(theirs, Message("prepare", {}, (), (source.fileno(),)))

    (descriptor,) = _received(ours).descriptors
    assert os.read(descriptor, 100) == b"content"
    os.close(descriptor)


def _head(value: Any) -> bytes:
    text = orjson.dumps(value)
    return b"SLYW" + len(text).to_bytes(4, "little") + text


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"SLYW\xff\xff\xff\xff",
        b"SLYW\x02\x00\x00\x00{]",
        _head([]),
        _head({"kind": "x", "body": {}}),
        _head({"kind": 1, "body": {}, "blobs": []}),
        _head({"kind": "x", "body": [], "blobs": []}),
        _head({"kind": "x", "body": {}, "blobs": [-1]}),
        _head({"kind": "x", "body": {}, "blobs": [True]}),
        _head({"kind": "x", "body": {}, "blobs": [1.5]}),
        _head({"kind": "x", "body": {}, "blobs": [1, 1, 1]}),
        _head({"kind": "x", "body": {}, "blobs": [10_000_001]}),
        _head({"kind": "x", "body": {}, "blobs": [], "more": 1}),
    ],
)
def test_what_is_no_message_within_bounds_is_refused(ends: Any, data: bytes) -> None:
    ours, theirs = ends
    theirs.sendall(data)

    with pytest.raises(FrameMalformed):
        _received(ours)


@pytest.mark.parametrize("data", [b"", b"SL", _head({"kind": "x", "body": {}, "blobs": [9]})])
def test_connection_that_ends_within_a_message_is_noticed(ends: Any, data: bytes) -> None:
    ours, theirs = ends
    theirs.sendall(data)
    theirs.close()

    with pytest.raises(MessagesEnded):
        _received(ours)


def test_more_descriptors_than_are_taken_are_refused_and_closed(ends: Any, tmp_path: Path) -> None:
    ours, theirs = ends
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with (tmp_path / "file").open("wb") as file:
        socket.send_fds(theirs, [b"SLYW"], [file.fileno()] * 20)

        with pytest.raises(FrameMalformed, match="descriptors"):
            _received(ours)

    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


# --- workshops that are under the power of what they opened ---------------------------------------

OPENED = Message("opened", {"saved_by": []})
FILE = skops_bytes(MODEL)
HONEST = take_in(FILE)
HONEST_TEXT = orjson.dumps(HONEST.contents.as_json())


def _prepared(**changes: Any) -> Message:
    return _described(orjson.dumps(HONEST.contents.as_json() | changes))


def _described(contents: bytes, **more: Any) -> Message:
    blobs = {"contents": contents, **HONEST.blobs}
    return Message("prepared", {"roles": list(blobs), **more}, tuple(blobs.values()))


def _run(*messages: Message | bytes) -> Any:
    return saying(*messages).run(skops_bytes(MODEL), formats=SKOPS)


def test_honest_words_are_taken() -> None:
    assert _run(OPENED, _prepared()).contents.signature == HONEST.contents.signature


@pytest.mark.parametrize(
    "messages",
    [
        [b"\x00" * 100],
        [Message("hello", {})],
        [OPENED, Message("converted", {}, (b"x",))],
        [OPENED, Message("prepared", {})],
        [OPENED, Message("prepared", {"roles": []})],
        [OPENED, Message("prepared", {"roles": ["model"]}, (b"x",))],
        [OPENED, Message("prepared", {"roles": "model"}, (b"x",))],
        [OPENED, Message("prepared", {"roles": ["contents", "model"]}, (b"[]", b"x"))],
        [OPENED, _described(HONEST_TEXT, more=1)],
        [OPENED, _described(HONEST_TEXT + b" " * 8 * 1024**2)],
        [OPENED, _described(b"[" + b",".join([b"{}"] * 600_000) + b"]")],
        [OPENED, _described(b"[" * 500_000)],
        [Message("opened", {"saved_by": []}, (b"x",)), _prepared()],
        [Message("opened", {"saved_by": [], "more": 1}), _prepared()],
        [Message("told", {"stage": "ready", "note": "", "junk": [{}]}), _prepared()],
        [Message("told", {"stage": "ready", "note": "x" * 70_000}), _prepared()],
        [Message("refused", {"what": ["format"]})],
        [Message("refused", {"what": "format", "problem": "p"})],
        [Message("refused", {"what": "format", "problem": "p", "remedy": {}})],
        [Message("refused", {"what": "memory", "problem": "p"})],
        [Message("opened", {"saved_by": "1.2"})],
        [Message("opened", {"saved_by": ["x" * 1000]})],
        [Message("told", {"stage": "ready", "note": 1})],
        [Message("told", {"stage": "verified", "note": "by me"})],
        [Message("refused", {})],
        [Message("told", {"stage": "ready", "note": ""})] * 50 + [_prepared()],
    ],
)
def test_workshop_that_babbles_fails_the_intake(messages: list[Any]) -> None:
    with pytest.raises(IntakeFailed):
        _run(*messages)


def test_notes_of_a_workshop_are_short_and_of_one_line() -> None:
    told: list[str] = []
    note = "first\nsecond\x1b[31m" + "x" * 5000
    saying(OPENED, Message("told", {"stage": "inspected", "note": note}), _prepared()).run(
        skops_bytes(MODEL), formats=SKOPS, on_progress=lambda _stage, text: told.append(text)
    )

    (said,) = [text for text in told if text.startswith("first")]
    assert said.isprintable()
    assert len(said) == 2000


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"what": "format", "problem": "p", "remedy": "r"}, FormatRefused),
        ({"what": "estimator", "estimator": "K", "problem": "p", "remedy": ""}, EstimatorRefused),
        ({"what": "rows", "problem": "p", "remedy": "r"}, GivenRowsRefused),
        ({"what": "memory"}, FormatRefused),
    ],
)
def test_refusals_travel_with_reason_and_remedy(said: dict[str, Any], error: Any) -> None:
    with pytest.raises(error) as refused:
        _run(OPENED, Message("refused", said))

    assert refused.value.remedy == said.get("remedy", "")


@pytest.mark.parametrize("what", ["format", "estimator", "rows"])
def test_refusals_of_a_workshop_steer_no_terminal(what: str) -> None:
    text = "p\x1b]0;owned\x07\n2026-01-01 ok \u202etxt.\u2066"
    said = {"what": what, "problem": text, "remedy": text}
    more = {"estimator": text} if what == "estimator" else {}
    with pytest.raises(IntakeRefused) as refused:
        _run(OPENED, Message("refused", said | more))

    assert str(refused.value).isprintable()
    assert refused.value.remedy.isprintable()


def test_version_that_a_file_claims_steers_no_terminal() -> None:
    with pytest.raises(LibraryVersionRefused) as refused:
        _run(Message("opened", {"saved_by": ["0.1\x1b[2J\u202e"]}))

    assert str(refused.value).isprintable()


def test_wide_model_with_names_and_categories_is_described_within_bounds() -> None:
    signature = HONEST.contents.signature.as_json() | {
        "columns": 10_000,
        "feature_names": [f"a column of a wide table, number {n}" for n in range(10_000)],
        "kinds": ["text"] * 10_000,
        "categories": {str(n): [f"value {k}" for k in range(40)] for n in range(10_000)},
    }
    text = orjson.dumps(HONEST.contents.as_json() | {"signature": signature})

    assert read_contents(text)["signature"]["columns"] == 10_000


def test_text_of_a_million_values_is_not_parsed() -> None:
    assert contents_fit(b"[" + b",".join([b"{}"] * 400_000) + b"]")
    assert not contents_fit(b"[" + b",".join([b"{}"] * 600_000) + b"]")
    assert not contents_fit(b'"' + b" " * 8 * 1024**2 + b'"')


def test_patience_is_asked_while_data_flows(ends: Any) -> None:
    class Enough(Exception):
        pass

    ours, theirs = ends
    asked = 0

    def patience() -> None:
        nonlocal asked
        asked += 1
        if asked > 20:
            raise Enough

    def flood() -> None:
        theirs.sendall(_head({"kind": "x", "body": {}, "blobs": [100_000_000]}))
        with suppress(OSError):
            while True:
                theirs.sendall(bytes(100_000))

    sender = threading.Thread(target=flood)
    sender.start()
    with pytest.raises(Enough):
        receive(ours, Bounds(blobs=1, bytes=100_000_000), patience=patience)
    ours.close()
    sender.join()


# --- the sandbox ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sandboxed() -> Iterator[HostsClient]:
    """A real parent of workshops, as a worker sees it."""
    parent = PrivateParent(Parentage(log_level="critical"))
    client = HostsClient(parent)
    yield client
    client.close()


def test_model_is_prepared_in_the_sandbox_as_it_is_without(sandboxed: HostsClient) -> None:
    told: list[Stage] = []
    prepared = Intake({"sklearn": sandboxed}).run(
        FILE,
        formats=SKOPS,
        on_progress=lambda stage, _note: told.append(stage),
    )

    assert prepared.contents.signature == HONEST.contents.signature
    assert prepared.contents.parity == HONEST.contents.parity
    assert list(dict.fromkeys(told)) == list(Stage)


def test_pickle_is_converted_in_the_sandbox(sandboxed: HostsClient) -> None:
    prepared = Intake({"sklearn": sandboxed}).run(joblib_bytes(MODEL), formats=ANY)

    assert prepared.contents.files["model"].format == "skops"
    assert prepared.contents.engine_methods == HONEST.contents.engine_methods


@pytest.mark.parametrize(
    "rows",
    [b"x0,x1,x2\n1,2,3\n", b"[[1,2,3]]", b"{'no json'"],
    ids=["csv", "json", "malformed"],
)
def test_given_rows_are_read_in_the_sandbox(sandboxed: HostsClient, rows: bytes) -> None:
    def run() -> Any:
        return Intake({"sklearn": sandboxed}).run(skops_bytes(MODEL), formats=SKOPS, rows=rows)

    if b"'" in rows:
        with pytest.raises(GivenRowsRefused):
            run()
    else:
        assert run()


def test_parquet_is_read_in_the_sandbox(sandboxed: HostsClient) -> None:
    import io

    import pandas as pd

    buffer = io.BytesIO()
    pd.DataFrame(FEATURES, columns=["a", "b", "c"]).to_parquet(buffer)
    answers = orjson.dumps(MODEL.predict(FEATURES).tolist())

    assert Intake({"sklearn": sandboxed}).run(
        skops_bytes(MODEL), formats=SKOPS, rows=buffer.getvalue(), answers=answers
    )


class _Calls:
    """An object whose pickle calls a function when it is opened."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._called = function, arguments

    def __reduce__(self) -> Any:
        return self._called


def test_pickle_that_writes_a_file_writes_none(sandboxed: HostsClient, tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    with pytest.raises(FormatRefused):
        Intake({"sklearn": sandboxed}).run(pickle.dumps(WritesCanary(canary)), formats=ANY)
    assert not canary.exists()


@pytest.mark.parametrize(
    "hostile",
    [_Calls(os._exit, 0), _Calls(os.abort), _Calls(os.kill, 1, 9), _Calls(bytearray, 2**40)],
    ids=["exit", "abort", "kill", "memory"],
)
def test_pickle_that_ends_its_process_ends_nothing_else(
    sandboxed: HostsClient, hostile: Any
) -> None:
    intake = Intake({"sklearn": sandboxed})

    with pytest.raises((IntakeFailed, FormatRefused, EstimatorRefused)):
        intake.run(pickle.dumps(hostile), formats=ANY)
    assert intake.run(skops_bytes(LogisticRegression().fit(FEATURES, LABELS)), formats=SKOPS)


def test_pickle_that_sleeps_is_left_at_the_deadline(sandboxed: HostsClient) -> None:
    with pytest.raises(IntakeFailed, match="longer than it may"):
        Intake({"sklearn": sandboxed}).run(
            pickle.dumps(_Calls(time.sleep, 600)), formats=ANY, seconds=2.0
        )
