"""A log is compared where trainings are; what is said of it is checked before it is believed."""

from __future__ import annotations

import io
import socket
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.drift.reference import reference_of
from models.errors import DataRefused, TrainingFailed
from models.hosting.messages import Bounds, Message, receive, send
from models.trainers.drifting import Question, find_drift
from models.training.messages import DRIFTED
from tests.models.drift.threads import Threads

HOSTILE = "<script>alert(1)</script>"
DAY = 86_400.0
COLOURS = np.array(["red", "blue"] * 150, object)
AGES = np.random.default_rng(3).normal(40, 9, 300)
REFERENCE = orjson.dumps(
    reference_of({"age": AGES, HOSTILE: COLOURS}, predictions=np.array([0, 1] * 150))
)
QUESTION = Question(model="churn", version=3, method="predict")


def segment(
    ages: Any, colours: Any = None, said: Any = None, *, day: float = 1.0, role: str = "live"
) -> bytes:
    """A file of a log."""
    rows = len(ages)
    columns = {
        "time": pa.array([round(day * DAY * 1e6)] * rows).cast(pa.timestamp("us", tz="UTC")),
        "role": [role] * rows,
        "method": ["predict"] * rows,
        "input.age": np.asarray(ages, np.float64),
    }
    if colours is not None:
        columns[f"input.{HOSTILE}"] = pa.array(list(colours), pa.string())
    if said is not None:
        columns["output"] = pa.array(said, pa.int64())
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    return sink.getvalue()


def told(*segments: bytes, **members: Any) -> dict[str, Any]:
    """What is found of a log."""
    question = replace(QUESTION, **members)
    return find_drift(Threads(), question, REFERENCE, segments).told


def by_name(found: dict[str, Any]) -> dict[str, Any]:
    """The columns of what was found."""
    return {each["name"]: each for each in found["features"]}


def test_planted_drift_is_found_and_nothing_else() -> None:
    older = np.random.default_rng(4).normal(60, 9, 200)
    found = told(segment(older[:100], COLOURS[:100]), segment(older[100:], COLOURS[:100]))
    assert (found["rows"], found["reference_rows"]) == (200, 300)
    assert found["verdict"] == "severe"
    assert {name: each["verdict"] for name, each in by_name(found).items()} == {
        "age": "severe",
        HOSTILE: "none",
    }


def test_answers_are_compared_with_what_was_said_in_training() -> None:
    found = told(segment(AGES[:100], COLOURS[:100], [1] * 100))
    assert found["predictions"]["verdict"] == "severe"
    assert found["verdict"] == "severe"


def test_only_live_rows_of_the_time_count() -> None:
    older = AGES[:100] + 40
    found = told(
        segment(older, day=1.0),
        segment(AGES[:60], day=5.0),
        segment(older, day=5.0, role="shadow"),
        segment(older, day=9.0),
        since=2 * DAY,
        until=8 * DAY,
    )
    assert (found["rows"], found["verdict"]) == (60, "none")


def test_column_that_only_some_files_hold_is_compared_by_those() -> None:
    found = by_name(told(segment(AGES[:100]), segment(AGES[100:200], COLOURS[:100])))
    assert (found["age"]["rows"], found[HOSTILE]["rows"]) == (200, 100)
    assert found[HOSTILE]["missing"] == 0.0


def test_page_stands_alone_and_escapes_what_came_with_the_data() -> None:
    question = Question(model="churn", version=3, method="predict", page=True)
    page = find_drift(Threads(), question, REFERENCE, [segment(AGES[:90], COLOURS[:90])]).page
    assert page is not None
    text = page.decode()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert text.count('src="data:image/svg+xml;base64,') == text.count("<img") == 2
    assert "http" not in text.replace("http-equiv", "")


def test_reference_that_is_none_is_refused() -> None:
    for reference in (b"{}", b"[", b'{"features": {"age": {}}, "rows": 1}'):
        with pytest.raises(DataRefused, match="reference"):
            find_drift(Threads(), QUESTION, reference, [segment(AGES)])


def _says(told: Any, *more: bytes) -> Threads:
    def lie(connection: socket.socket) -> None:
        bounds = Bounds(head=2**20, blobs=1, bytes=2**26)
        receive(connection, bounds, patience=lambda: None)
        send(connection, Message(DRIFTED, {}, (orjson.dumps(told), *more)))

    return Threads(lie)


def test_what_a_trainer_says_is_checked() -> None:
    honest = told(segment(AGES[:90]))
    assert find_drift(_says(honest), QUESTION, REFERENCE, []).told == honest
    lies: list[Any] = [
        honest | {"verdict": "fine"},
        honest | {"model": "other"},
        honest | {"rows": "many"},
        honest | {"more": 1},
        {},
        [],
        honest | {"features": [1]},
        honest | {"features": [{"a": [[[[[[[1]]]]]]]}]},
    ]
    for lie in lies:
        with pytest.raises(TrainingFailed, match="says what cannot be"):
            find_drift(_says(lie), QUESTION, REFERENCE, [])
    with pytest.raises(TrainingFailed, match="its files"):
        find_drift(_says(honest, b"<html>"), QUESTION, REFERENCE, [])
