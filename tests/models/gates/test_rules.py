"""What a gate may say, and that nothing else is taken for a rule."""

from __future__ import annotations

from typing import Any

import pytest

from models.errors import RulesRefused
from models.gates.rules import parse_gate, read_gate

EVERY: list[dict[str, Any]] = [
    {"metric": "f1:malignant", "at_least": 0.9},
    {"metric": "f1_macro", "not_below_champion": "interval"},
    {"metric": "rmse", "at_most": 3.0, "not_below_champion": 0.5},
    {"parity": "exact"},
    {"serving_p99_ms": 1.0},
    {"engine": "compiled"},
]


def test_rules_are_read_and_written_alike() -> None:
    gate = read_gate({"rules": EVERY})
    assert gate.as_json() == {"rules": EVERY}
    assert [rule.most_ms for rule in gate.serving] == [1.0]


def test_toml_says_the_same() -> None:
    text = '[[rules]]\nmetric = "f1:malignant"\nat_least = 0.9\n[[rules]]\nparity = "exact"\n'
    assert parse_gate(text).as_json() == {"rules": [EVERY[0], EVERY[3]]}
    with pytest.raises(RulesRefused, match="no TOML"):
        parse_gate("rules = [")


@pytest.mark.parametrize(
    ("definition", "path"),
    [
        (None, ""),
        ([], ""),
        ({}, ""),
        ({"rules": EVERY, "more": 1}, ""),
        ({"rules": []}, "/rules"),
        ({"rules": [EVERY[3]] * 33}, "/rules"),
        ({"rules": ["parity"]}, "/rules/0"),
        ({"rules": [{}]}, "/rules/0"),
        ({"rules": [{1: "exact"}]}, "/rules/0"),
        ({"rules": [{"at_least": 0.9}]}, "/rules/0"),
        ({"rules": [{"parity": "exact", "engine": "compiled"}]}, "/rules/0"),
        ({"rules": [{"parity": "exact", "at_least": 1}]}, "/rules/0"),
        ({"rules": [{"parity": "near"}]}, "/rules/0/parity"),
        ({"rules": [{"engine": "fast"}]}, "/rules/0/engine"),
        ({"rules": [{"serving_p99_ms": 0}]}, "/rules/0/serving_p99_ms"),
        ({"rules": [{"serving_p99_ms": True}]}, "/rules/0/serving_p99_ms"),
        ({"rules": [EVERY[3], {"metric": "f2", "at_least": 1}]}, "/rules/1/metric"),
        ({"rules": [{"metric": ["f1_macro"], "at_least": 1}]}, "/rules/0/metric"),
        ({"rules": [{"metric": "f1", "at_least": 1}]}, "/rules/0/metric"),
        ({"rules": [{"metric": "accuracy:a", "at_least": 1}]}, "/rules/0/metric"),
        ({"rules": [{"metric": "accuracy"}]}, "/rules/0"),
        ({"rules": [{"metric": "accuracy", "at_least": "0.9"}]}, "/rules/0/at_least"),
        ({"rules": [{"metric": "accuracy", "at_least": float("nan")}]}, "/rules/0/at_least"),
        ({"rules": [{"metric": "accuracy", "at_most": 0.9}]}, "/rules/0/at_most"),
        ({"rules": [{"metric": "rmse", "at_least": 0.9}]}, "/rules/0/at_least"),
        (
            {"rules": [{"metric": "rmse", "not_below_champion": "much"}]},
            "/rules/0/not_below_champion",
        ),
        ({"rules": [{"metric": "rmse", "not_below_champion": -1}]}, "/rules/0/not_below_champion"),
    ],
)
def test_what_is_no_rule_is_refused_where_it_stands(definition: Any, path: str) -> None:
    with pytest.raises(RulesRefused) as refused:
        read_gate(definition)
    assert refused.value.path == path
