"""Slices: a weakness that is there is found, one that chance makes is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from models.training.answers import Answers
from models.training.slices import MOST_VALUES, OTHERS, sliced_by, slices_of
from models.training.study import Study
from tests.models.training.studies import study_of_numbers, study_of_two

ROWS = 600


def test_a_weakness_that_is_there_is_found() -> None:
    rng = np.random.default_rng(1)
    place = rng.choice(np.array(["north", "south", "east"], dtype=object), ROWS)
    right = np.where(place == "south", 0.55, 0.95) > rng.random(ROWS)
    found = slices_of(_answers(_study(place=place), right), confidence=0.95)
    first, *others = found
    assert (first["column"], first["values"], first["weaker"]) == ("place", "= south", True)
    assert first["rows"] == (place == "south").sum()
    assert first["low"] < first["difference"] < first["high"] < 0
    assert not any(each["weaker"] for each in others)


def test_of_many_slices_that_are_alike_none_is_called_weaker() -> None:
    """Without a correction, one in twenty would be."""
    rng = np.random.default_rng(2)
    columns = {f"column {at}": rng.normal(size=ROWS) for at in range(60)}
    found = slices_of(_answers(_study(**columns), rng.random(ROWS) < 0.9), confidence=0.95)
    assert found[0]["looked_at"] == 240
    assert len(found) == 100
    assert not any(each["weaker"] for each in found)


def test_two_misses_among_many_slices_are_no_weakness() -> None:
    """Fisher's test gives them 1 in 140; of 80 slices, some have that."""
    truth = np.array(["yes"] * 42 + ["no"] * 78, dtype=object)
    right = np.ones(120, dtype=bool)
    right[[0, 1, 20, 30]] = False
    rng = np.random.default_rng(7)
    columns = {f"column {at}": rng.normal(size=120) for at in range(20)}
    columns["place"] = np.array(["here"] * 2 + ["there"] * 40 + ["here"] * 78, dtype=object)
    study = _study(**columns)
    study = replace(study, spec=study_of_two(compare={"metric": "recall:yes"}).spec)
    found = slices_of(_answers(study, right, truth), confidence=0.95)
    assert found[0]["values"] == "= here"
    assert (found[0]["rows"], found[0]["counted"]) == (80, 2)
    assert found[0]["difference"] == -0.95
    assert not found[0]["weaker"]


def test_few_rows_have_a_wide_interval() -> None:
    size = np.repeat(np.array(["many", "few"], dtype=object), (ROWS - 8, 8))
    right = np.tile([True, True, True, False], ROWS // 4)
    found = {
        each["values"]: each
        for each in slices_of(_answers(_study(size=size), right), confidence=0.95)
    }
    few = found["= few"]
    assert few["rows"] == 8
    assert few["high"] - few["low"] > 0.5


def test_an_error_that_is_greater_is_a_weakness_of_numbers_too() -> None:
    rng = np.random.default_rng(3)
    size = np.arange(ROWS, dtype=float)
    errors = rng.normal(0, np.where(size < 150, 5.0, 1.0))
    study = replace(_study(size=size), task="regression", classes=())
    study = replace(study, spec=study_of_numbers().spec)
    answers = Answers(
        study=study, rows=np.arange(ROWS), truth=errors + 10.0, answers=np.full(ROWS, 10.0)
    )
    first, *others = slices_of(answers, confidence=0.95)
    assert first["metric"] == "rmse"
    assert first["values"] == "0 to 149.8"
    assert first["value"] == pytest.approx(np.sqrt(np.mean(errors[:150] ** 2)))
    assert first["weaker"]
    assert not any(each["weaker"] for each in others)


def test_two_rows_of_equal_errors_prove_nothing() -> None:
    rng = np.random.default_rng(4)
    kind = np.array(["one"] * 2 + ["other"] * 58, dtype=object)
    study = replace(_study(kind=kind), task="regression", classes=(), spec=study_of_numbers().spec)
    truth = np.append([2.0, 2.01], rng.normal(0, 1, 58))
    answers = Answers(study=study, rows=np.arange(60), truth=truth, answers=np.zeros(60))
    one = next(each for each in slices_of(answers, confidence=0.95) if each["values"] == "= one")
    assert one["difference"] < -0.9
    assert not one["weaker"]


def test_a_slice_of_the_easier_class_alone_is_not_better_for_that() -> None:
    """Of balanced accuracy, only classes that are on both sides are compared."""
    truth = np.repeat(np.array(["no", "yes"], dtype=object), ROWS // 2)
    kind = np.where(np.arange(ROWS) < 100, "easy", "mixed").astype(object)
    right = np.where(truth == "no", True, np.arange(ROWS) % 2 == 0)
    answers = _answers(_study(kind=kind), right, truth)
    easy = next(each for each in slices_of(answers, confidence=0.95) if each["values"] == "= easy")
    assert easy["value"] == 1.0
    assert easy["difference"] == 0.0


def test_rare_values_are_one_slice_and_missing_ones_another() -> None:
    rng = np.random.default_rng(5)
    names = np.array([f"value {at}" for at in range(30)], dtype=object)
    word = rng.choice(names, ROWS, p=np.arange(30, 0, -1) / 465)
    word[:10] = None
    number = np.append([np.nan] * 20, np.arange(ROWS - 20.0))
    answers = _answers(_study(word=word, number=number), rng.random(ROWS) < 0.9)
    found = slices_of(answers, confidence=0.95)
    values = [each["values"] for each in found if each["column"] == "word"]
    assert len(values) == MOST_VALUES + 2
    assert {OTHERS, "missing"} <= set(values)
    for column in ("word", "number"):
        assert sum(each["rows"] for each in found if each["column"] == column) == ROWS


def test_the_metric_is_one_that_few_rows_tell() -> None:
    assert sliced_by("recall:yes") == "recall:yes"
    assert sliced_by("f1_weighted") == "accuracy"
    assert sliced_by("roc_auc") == "balanced_accuracy"
    assert sliced_by("r2") == "rmse"
    assert sliced_by("quantile_loss_90") == "mae"


@pytest.mark.parametrize("metric", ["recall:yes", "precision:yes", "f1:yes", "accuracy"])
def test_slices_are_compared_by_the_class_that_counts(metric: str) -> None:
    rng = np.random.default_rng(6)
    study = _study(place=rng.choice(np.array(["a", "b"], dtype=object), ROWS))
    study = replace(study, spec=study_of_two(compare={"metric": metric}).spec)
    found = slices_of(_answers(study, rng.random(ROWS) < 0.9), confidence=0.95)
    assert {each["metric"] for each in found} == {metric}
    assert found[0]["difference"] == -found[1]["difference"]


def _study(**columns: NDArray[Any]) -> Study:
    frame = pd.DataFrame(
        {name: pd.Series(cells, dtype=cells.dtype) for name, cells in columns.items()}
    )
    return replace(study_of_two(), features=frame)


def _answers(study: Study, right: NDArray[Any], truth: NDArray[Any] | None = None) -> Answers:
    if truth is None:
        truth = np.tile(np.array(["no", "yes"], dtype=object), len(right) // 2)
    wrong = np.where(truth == "no", "yes", "no")
    answers = np.where(right, truth, wrong).astype(object)
    return Answers(study=study, rows=np.arange(len(right)), truth=truth, answers=answers)
