"""What a gate says of facts: every reason at once, in words that tell what was compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from models.gates.facts import Evaluation, Facts, Standing, Timing
from models.gates.rules import read_gate
from models.gates.verdict import judge

DATA = {"digest": "d" * 64, "target": "y"}


def evaluation(data: Any = DATA, **metrics: tuple[float, float | None, float | None]) -> Evaluation:
    """What is on record of a training."""
    members = ("value", "low", "high")
    said = {n.replace("__", ":"): dict(zip(members, m, strict=True)) for n, m in metrics.items()}
    found = Evaluation.read(orjson.dumps({"data": data, "holdout": {"metrics": said}}))
    assert found is not None
    return found


def standing(number: int, **metrics: Any) -> Standing:
    """A version that was trained."""
    return Standing(number=number, evaluation=evaluation(**metrics))


FACTS = Facts(
    candidate=standing(3, f1_macro=(0.85, 0.8, 0.9), rmse=(2.0, 1.5, 2.6)),
    champion=standing(2, f1_macro=(0.9, 0.86, 0.94), rmse=(1.9, 1.4, 2.1)),
    engine="linear",
    parity="",
    timing=Timing(300, 0.4),
)


def reasons(facts: Facts, *rules: dict[str, Any]) -> tuple[str, ...]:
    """Why the facts do not keep the rules."""
    verdict = judge(read_gate({"rules": list(rules)}), facts)
    assert verdict.passes == (not verdict.reasons)
    return verdict.reasons


def test_every_rule_that_is_not_kept_has_its_reason() -> None:
    facts = replace(FACTS, parity="2 of 9 rows differ", engine="native", timing=Timing(300, 7.0))
    assert reasons(
        facts,
        {"metric": "f1_macro", "at_least": 0.9},
        {"metric": "rmse", "at_most": 2.5},
        {"parity": "exact"},
        {"serving_p99_ms": 1},
        {"engine": "compiled"},
    ) == (
        "f1_macro on held-out rows is 0.85, where 0.9 is the least",
        "parity is not exact: 2 of 9 rows differ",
        "99 % of 300 calls with a single row took at most 7 ms, where 1 ms are allowed",
        "it is not compiled: its own library answers, in a host",
    )


@pytest.mark.parametrize(
    ("metric", "margin", "is_kept"),
    [
        ("f1_macro", "interval", False),  # 0.85 where the champion's interval begins at 0.86
        ("f1_macro", 0.05, True),
        ("f1_macro", 0.04, False),
        ("rmse", "interval", True),  # 2.0 where the champion's ends at 2.1: less is better
        ("rmse", 0.05, False),
    ],
)
def test_champion_is_compared_the_way_that_is_better(
    metric: str, margin: float | str, is_kept: bool
) -> None:
    said = reasons(FACTS, {"metric": metric, "not_below_champion": margin})
    assert (not said) == is_kept


def test_bound_itself_is_kept() -> None:
    own = standing(3, f1_macro=(0.86, 0.8, 0.9))
    rule = {"metric": "f1_macro", "at_least": 0.86, "not_below_champion": "interval"}
    assert reasons(replace(FACTS, candidate=own), rule) == ()


def test_without_another_champion_there_is_nothing_to_be_below() -> None:
    rule = {"metric": "f1_macro", "not_below_champion": "interval"}
    assert reasons(replace(FACTS, champion=None), rule) == ()
    assert reasons(replace(FACTS, champion=FACTS.candidate), rule) == ()


@pytest.mark.parametrize(
    ("champion", "said"),
    [
        (Standing(number=2, evaluation=None), "is not on record"),
        (standing(2, mae=(1.0, 1.0, 1.0)), "is not on record"),
        (standing(2, f1_macro=(0.1, None, None)), "has no interval"),
        (
            standing(2, data={"digest": "d" * 64, "target": "z"}, f1_macro=(0.1, 0.1, 0.1)),
            "judged by another target, 'z'",
        ),
    ],
)
def test_what_cannot_be_compared_does_not_pass(champion: Standing, said: str) -> None:
    rule = {"metric": "f1_macro", "not_below_champion": "interval"}
    (reason,) = reasons(replace(FACTS, champion=champion), rule)
    assert said in reason


def test_champion_of_other_data_is_compared_and_it_is_said() -> None:
    data = {"digest": "e" * 64, "target": "y"}
    rule = {"metric": "f1_macro", "not_below_champion": "interval"}
    better = replace(FACTS, champion=standing(2, data=data, f1_macro=(0.99, 0.98, 1.0)))
    (reason,) = reasons(better, rule)
    assert "version 2, judged on other data, is 0.99" in reason
    worse = replace(FACTS, champion=standing(2, data=data, f1_macro=(0.1, 0.1, 0.1)))
    assert reasons(worse, rule) == ()


def test_version_without_the_metric_does_not_pass() -> None:
    rule = {"metric": "recall:a", "at_least": 0.0}
    (reason,) = reasons(FACTS, rule)
    assert "it has f1_macro, rmse" in reason
    unknown = replace(FACTS, candidate=Standing(number=3, evaluation=None))
    (reason,) = reasons(unknown, rule)
    assert reason.startswith("no evaluation is on record for version 3; train it")
    of_class = replace(FACTS, candidate=standing(3, recall__a=(0.5, 0.4, 0.6)))
    assert reasons(of_class, rule) == ()


def test_time_that_few_calls_took_proves_nothing_but_that_it_is_too_long() -> None:
    rule = {"serving_p99_ms": 10}
    for timing, said in (
        (None, "not timed"),
        (Timing(0, 0.0, "it does not open"), "it does not open"),
        (Timing(99, 1.0), "there was no time for the 100 calls"),
        (Timing(3, 900.0), "took at most 900 ms, where 10 ms are allowed"),
    ):
        (reason,) = reasons(replace(FACTS, timing=timing), rule)
        assert said in reason


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"null",
        b'{"data": {}, "holdout": {"metrics": {}}}',
        b'{"data": {"digest": "d", "target": "y"}, "holdout": {"metrics": []}}',
        b'{"data": {"digest": "d", "target": "y"}, "holdout": {"metrics": {"rmse": 1}}}',
    ],
)
def test_what_is_no_evaluation_is_none(text: bytes) -> None:
    assert Evaluation.read(text) is None


def test_metric_that_is_no_number_is_not_there() -> None:
    nothing = {"low": None, "high": None}
    metrics = {
        "rmse": nothing | {"value": None},
        "mae": nothing | {"value": True},
        "r2": {"value": 0.5, "low": "0.4", "high": None},
    }
    found = Evaluation.read(orjson.dumps({"data": DATA, "holdout": {"metrics": metrics}}))
    assert found is not None
    assert set(found.metrics) == {"r2"}
    assert found.metrics["r2"].low is None
