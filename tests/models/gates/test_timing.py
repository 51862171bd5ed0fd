"""How long a single row takes, where it would be served."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pytest

from models.drift.reference import reference_of
from models.errors import RowsRefused
from models.gates.facts import Timing
from models.gates.timing import FIRST_CALLS, MOST_CALLS, probe_rows, timing_of
from models.signature import Output, Signature
from models.tables import Features, Table, row_count

NUMBERS = Signature(
    task="regression",
    columns=2,
    feature_names=("age", "income"),
    classes=None,
    methods={"predict": Output("number")},
)
MIXED = Signature(
    task="regression",
    columns=2,
    feature_names=("age", "colour"),
    kinds=("number", "text"),
    classes=None,
    methods={"predict": Output("number")},
)
VERSION: Any = SimpleNamespace(signature=NUMBERS)


@dataclass
class Slow:
    """An executor on a clock of its own, which moves on with each answer."""

    seconds: list[float]
    now: float = 0.0
    asked: list[Features] = field(default_factory=list)
    left: list[float] = field(default_factory=list)

    def answer(self, version: Any, method: str, features: Features, *, seconds: float) -> Any:
        """Answer after the next of the times."""
        assert method == "predict"
        self.left.append(seconds)
        self.now += self.seconds[len(self.asked) % len(self.seconds)]
        self.asked.append(features)

    def clock(self) -> float:
        """The time."""
        return self.now


def timed(executor: Any, **options: Any) -> Timing:
    """The time of some rows."""
    return timing_of(executor, VERSION, probe_rows(NUMBERS, None), clock=executor.clock, **options)


def test_percentile_is_that_of_calls_that_were_made() -> None:
    executor = Slow([0.001] * 99 + [0.5])
    found = timed(executor, seconds=1e9)
    assert found.calls == MOST_CALLS
    assert found.p99_ms == pytest.approx(1.0)
    assert len(executor.asked) == MOST_CALLS + FIRST_CALLS
    assert all(row_count(row) == 1 for row in executor.asked)
    assert Timing.of([0.001] * 98 + [0.5] * 2).p99_ms == pytest.approx(500.0)


def test_slow_model_holds_nobody_up() -> None:
    executor = Slow([1.0])
    found = timed(executor, seconds=8.0)
    assert (found.calls, found.p99_ms) == (3, 1000.0)
    assert executor.left == [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
    assert "longer than 2 s" in timed(Slow([1.0]), seconds=2.0).problem


def test_model_that_refuses_has_no_time() -> None:
    class Refusing(Slow):
        def answer(self, *_: Any, **__: Any) -> Any:
            raise RowsRefused("too small")

    assert "does not answer a probe row" in timed(Refusing([0.0])).problem


def test_rows_are_like_those_of_the_training() -> None:
    reference = orjson.dumps(
        reference_of(
            {
                "age": np.linspace(20.0, 60.0, 100),
                "colour": np.array(["red", "blue"] * 50, object),
            }
        )
    )
    rows = probe_rows(MIXED, reference)
    tables = [row for row in rows if isinstance(row, Table)]
    assert len(tables) == len(rows) > 1
    ages = [float(row.columns[0][0]) for row in tables]
    assert 20.0 <= min(ages) < max(ages) <= 60.0
    assert {row.columns[1][0] for row in tables} == {"red", "blue"}
    assert all(row.columns[1].dtype == object for row in tables)


@pytest.mark.parametrize(
    "reference",
    [
        None,
        b"{",
        b"[]",
        b'{"features": 1}',
        b'{"features": {"age": {"sample": []}}}',
        b'{"features": {"age": {"sample": ["x"]}, "colour": {"values": [1]}}}',
    ],
)
def test_without_a_reference_rows_are_zeros(reference: bytes | None) -> None:
    for row in probe_rows(NUMBERS, reference):
        assert np.array_equal(np.asarray(row), [[0.0, 0.0]])
    for row in probe_rows(MIXED, reference):
        assert isinstance(row, Table)
        assert [column[0] for column in row.columns] == [0.0, "a"]
