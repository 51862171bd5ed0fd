"""The reference of specs is true: every member, default, algorithm and metric, and no other."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from typing import Any

import pytest

from models.training.algorithms import ALGORITHMS
from models.training.measures import MEASURES
from models.training.spec import (
    Column,
    Compare,
    Data,
    Decide,
    Parallel,
    Spec,
    Tune,
    Validation,
    parse_spec,
)
from tests.docs.markdown import REFERENCE, blocks, table_after

PAGE = (REFERENCE / "spec.md").read_text()
PARTS = {
    "## The spec itself": Spec,
    "## `data`": Data,
    "## `columns`": Column,
    "## `validation`": Validation,
    "## `compare`": Compare,
    "## `tune`": Tune,
    "## `decide`": Decide,
    "## `parallel`": Parallel,
}


@pytest.mark.parametrize("heading", PARTS)
def test_every_member_is_told_with_its_default(heading: str) -> None:
    told = {bare(name): default for name, default, _ in table_after(PAGE, heading)}
    inner = {"data", "columns", "validation", "compare", "tune", "decide", "parallel"}
    members = {each.name: each for each in fields(PARTS[heading])}
    if PARTS[heading] is Spec:
        members = {name: each for name, each in members.items() if name not in inner}
    assert set(told) == set(members)
    for name, member in members.items():
        assert is_default(told[name], member), name


def is_default(told: str, member: Any) -> bool:
    """Whether what the page calls a default is one."""
    if member.default is MISSING and member.default_factory is MISSING:
        return told == "required"
    value = member.default if member.default_factory is MISSING else member.default_factory()
    if value in ("", (), None) or value == {}:
        return not re.fullmatch(r"[0-9.]+|required", told)
    if isinstance(value, bool):
        return bare(told) == str(value).lower()
    return bare(told) == (value if isinstance(value, str) else f"{value:g}")


def test_every_algorithm_is_told_with_what_is_tuned() -> None:
    for name, classes, numbers, tuned in table_after(PAGE, "## Algorithms"):
        where = {"classification": classes == "yes", "regression": numbers == "yes"}
        space: set[str] = set()
        for task, table in ALGORITHMS.items():
            assert (bare(name) in table) is where[task], name
            space |= set(table[bare(name)].space) if bare(name) in table else set()
        assert set(re.findall(r"`(\w+)`", tuned)) == space
    told = {bare(name) for name, *_ in table_after(PAGE, "## Algorithms")}
    assert told == {name for table in ALGORITHMS.values() for name in table}


def test_every_metric_is_told_with_which_way_is_better() -> None:
    told = {bare(name): (of, better) for name, of, better in table_after(PAGE, "## Metrics")}
    words = {"classification": "classes", "regression": "numbers"}
    assert told == {
        f"{name}:CLASS" if measure.per_class else name: (
            words[measure.task],
            "more" if measure.greater_is_better else "less",
        )
        for name, measure in MEASURES.items()
    }


def test_the_example_is_a_spec() -> None:
    (example,) = blocks(PAGE, "toml")
    assert parse_spec(example).model == "churn"


def bare(cell: str) -> str:
    """A cell without the marks of code."""
    return cell.strip("`")
