"""The page that says which engine serves which estimator says what is so."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import pytest
from sklearn.utils import all_estimators

from benchmarks.coverage import NO_ROWS, totals
from benchmarks.estimators import KINDS, TITLES, cases, listed
from models.compilation import Unsuitable
from models.engines import ENGINES, NATIVE

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "coverage.md"
LEAST_SHARE = 0.8
EVERY = 9  # a line of so many is tried


@functools.cache
def _lines() -> tuple[Mapping[str, str], ...]:
    """The rows of the tables, by column, each with its kind."""
    found, kind, columns = [], "", []
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            kind = next(k for k, title in TITLES.items() if line == f"## {title}")
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| estimator |"):
            columns = cells
        elif kind and line.startswith("| "):
            found.append(dict(zip(columns, cells, strict=True)) | {"kind": kind})
    return tuple(found)


def _sample() -> list[Mapping[str, str]]:
    compiled = [line for line in _lines() if line["by the engine"]]
    return compiled[::EVERY]


def test_every_estimator_of_scikit_learn_is_on_the_page() -> None:
    assert {line["estimator"] for line in _lines()} == {name for name, _ in all_estimators()}
    assert {(line["kind"], line["estimator"]) for line in _lines()} == set(listed())


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_enough_classifiers_and_regressors_are_compiled(kind: str) -> None:
    lines = [line for line in _lines() if line["kind"] == kind]
    names = {line["estimator"] for line in lines}
    without = {line["estimator"] for line in lines if not line["by the engine"]}

    assert len(names - without) >= LEAST_SHARE * len(names)
    assert not any(line["engine"] == "" for line in lines), "one of them does not serve"


def test_every_estimator_that_is_not_compiled_has_its_reason() -> None:
    for line in _lines():
        if not line["by the engine"] or line["by the library"]:
            assert line["why not all"], line["estimator"]
        assert line["engine"] in {*ENGINES, NATIVE, ""}
        if line["why not all"] == NO_ROWS:
            assert line["engine"] == ""


@pytest.mark.parametrize(
    "line", _sample(), ids=lambda line: f"{line['estimator']} {line['fitted on']}"
)
def test_engine_on_the_page_takes_the_estimator(line: Mapping[str, str]) -> None:
    case = next(
        case for case in cases(line["kind"], line["estimator"]) if case.data == line["fitted on"]
    )
    engine = ENGINES[line["engine"]]
    arrays = engine.compile(case.estimator)

    assert not isinstance(arrays, Unsuitable), arrays
    assert set(line["by the engine"].split(", ")) <= engine.load(arrays).methods
    before = list(ENGINES.values())[: list(ENGINES).index(line["engine"])]
    assert all(isinstance(other.compile(case.estimator), Unsuitable) for other in before)


def test_totals_count_every_kind() -> None:
    assert totals([]).count("\n") == 1 + len(KINDS)
