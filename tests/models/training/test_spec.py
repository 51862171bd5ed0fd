from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.errors import SpecRefused
from models.training.spec import Column, parse_spec, read_spec

LEAST = {"model": "loans", "target": "outcome"}
EXAMPLES = sorted(Path("examples").glob("*/spec.toml"))

texts = st.text(max_size=12)
numbers = st.integers() | st.floats() | st.booleans()
anything = st.recursive(
    st.none() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
fractions = st.floats(0, 1e6, allow_nan=False)
names = st.text(min_size=1, max_size=8).filter(lambda text: "\0" not in text)
plain = st.text(max_size=8).filter(lambda text: "\0" not in text)
orders = st.lists(names, min_size=1, max_size=3)
columns = st.sampled_from(["numeric", "text", "id"]) | st.fixed_dictionaries(
    {"kind": st.just("ordinal"), "order": orders}
)
specs = st.fixed_dictionaries(
    {"model": st.just("loans"), "target": names},
    optional={
        "task": st.sampled_from(["classification", "regression"]),
        "seed": st.integers(0, 2**32 - 1),
        "budget_seconds": st.floats(0, 1000),
        "description": plain,
        "balance": st.booleans(),
        "columns": st.dictionaries(names, columns, max_size=3),
        "validation": st.fixed_dictionaries(
            {}, optional={"folds": st.integers(2, 20), "holdout": st.floats(0.01, 0.9)}
        ),
        "compare": st.fixed_dictionaries(
            {"algorithms": st.lists(plain, max_size=3)}, optional={"metric": plain}
        ),
        "tune": st.fixed_dictionaries({"method": st.sampled_from(["none", "random", "halving"])}),
        "decide": st.fixed_dictionaries(
            {"costs": st.dictionaries(names, st.dictionaries(names, fractions, max_size=2))}
        ),
        "parallel": st.fixed_dictionaries({"backend": st.sampled_from(["loky", "ray", "dask"])}),
    },
)


def _spec(**members: Any) -> dict[str, Any]:
    return {**LEAST, **members}


@settings(max_examples=60, deadline=None)
@given(specs)
def test_what_a_spec_writes_reads_as_the_same_spec(said: dict[str, Any]) -> None:
    spec = read_spec(said)

    assert read_spec(json.loads(json.dumps(spec.as_json()))) == spec


@settings(max_examples=150, deadline=None)
@given(
    anything, st.sampled_from([*LEAST, "columns", "validation", "tune", "decide", "data", "seed"])
)
def test_any_json_is_a_spec_or_refused_as_one(said: Any, member: str) -> None:
    for attempt in (said, _spec(**{member: said})):
        try:
            spec = read_spec(attempt)
        except SpecRefused:
            continue
        assert read_spec(spec.as_json()) == spec


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
@example("seed = " + "9" * 5_000)
@example("seed = " + "[" * 30_000)
def test_text_that_is_no_spec_is_refused(text: str) -> None:
    with pytest.raises(SpecRefused):
        parse_spec(text)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_toml_and_json_of_a_spec_are_the_same(path: Path) -> None:
    text = path.read_text()

    assert parse_spec(text) == read_spec(tomllib.loads(text))


def test_column_is_told_by_one_word_or_by_a_table() -> None:
    order = ["low", "high"]
    spec = read_spec(_spec(columns={"a": "text", "b": {"kind": "ordinal", "order": order}}))

    assert spec.columns == {
        "a": Column(kind="text"),
        "b": Column(kind="ordinal", order=tuple(order)),
    }


@pytest.mark.parametrize(
    ("members", "where"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": True}, "seed"),
        ({"balance": 1}, "balance"),
        ({"task": "clustering"}, "task"),
        ({"budget_seconds": float("nan")}, "budget_seconds"),
        ({"description": "a\0b"}, "description"),
        ({"columns": {"a": {"kind": "ordinal"}}}, "columns.a"),
        ({"columns": {"a": {"kind": "text", "order": ["x"]}}}, "columns.a"),
        ({"columns": {"a": "colour"}}, "columns.a.kind"),
        ({"validation": {"kind": "grouped"}}, "validation"),
        ({"validation": {"kind": "time"}}, "validation"),
        ({"validation": {"folds": 1}}, "validation.folds"),
        ({"data": {"path": "a", "sql": "b", "database": "C"}}, "data"),
        ({"data": {"sql": "b", "database": "postgresql://me:secret@here/there"}}, "data.database"),
        ({"data": {"sql": "select 1"}}, "data"),
        ({"decide": {"reject_cost": 1}}, "decide"),
        ({"decide": {"costs": {"a": {"b": -1}}}}, "decide.costs.a.b"),
        ({"compare": {"confidence": 2}}, "compare.confidence"),
        ({"tune": {"trials": 10**9}}, "tune.trials"),
    ],
)
def test_refusal_names_the_member_by_its_path(members: dict[str, Any], where: str) -> None:
    with pytest.raises(SpecRefused) as refused:
        read_spec(_spec(**members))

    assert refused.value.where == where


def test_misspelt_member_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(SpecRefused, match="did you mean folds"):
        read_spec(_spec(validation={"fold": 3}))


def test_name_that_no_model_may_have_is_refused() -> None:
    with pytest.raises(SpecRefused) as refused:
        read_spec({"model": "../x", "target": "y"})

    assert refused.value.where == "model"
