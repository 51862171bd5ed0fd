"""Metrics of resamples are scikit-learn's of the rows that were drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.training.answers import answers_of
from models.training.measures import MEASURES
from models.training.resampling import Weighing, draws, percentiles, resamples
from models.training.scoring import scores
from models.training.study import Study
from tests.models.training.studies import (
    case_of,
    study_of_numbers,
    study_of_three,
    study_of_two,
)

LOOKED_AT = 12


@pytest.mark.parametrize(
    "study", [study_of_two(), study_of_two(decide={"positive": "no"}), study_of_three()]
)
def test_every_metric_of_labels_is_that_of_the_rows_drawn(study: Study) -> None:
    assert _names_that_agree(study) == _names("classification")


def test_every_metric_of_numbers_is_that_of_the_rows_drawn() -> None:
    assert _names_that_agree(study_of_numbers()) == _names("regression")


def test_what_a_resample_cannot_tell_is_no_number() -> None:
    case = case_of(study_of_two())
    answers = answers_of(case.study, case.fitted, case.held)
    only_yes = (answers.truth == "yes").astype(float)[None, :]
    assert np.isnan(Weighing(answers, only_yes).score("roc_auc")).all()
    assert np.isnan(Weighing(answers, only_yes).score("pr_auc")).all()
    assert percentiles(np.array([np.nan, np.nan, 1.0]), confidence=0.9) == (None, None)


def test_rows_of_a_group_are_drawn_together() -> None:
    study = study_of_two()
    rows = np.arange(40)
    grouped = replace(study, groups=np.repeat(np.arange(study.rows // 4), 4))
    for weights in draws(grouped, rows):
        of_groups = weights.reshape(len(weights), 10, 4)
        assert (of_groups == of_groups[:, :, :1]).all()
        assert (of_groups[:, :, 0].sum(axis=1) == 10).all()


def test_of_very_many_rows_there_are_fewer_resamples() -> None:
    assert resamples(100) == 1_000
    assert resamples(250_000) == 400
    assert resamples(10_000_000) == 200


def _names_that_agree(study: Study) -> set[str]:
    case = case_of(study)
    answers = answers_of(case.study, case.fitted, case.held)
    weights = next(draws(study, answers.rows))[:LOOKED_AT]
    weighing = Weighing(answers, weights)
    agreed = set()
    for at, times in enumerate(weights):
        drawn = answers.only(np.repeat(np.arange(len(times)), times.astype(int)))
        for name, value in scores(study, drawn.truth, drawn.answers, drawn.odds).items():
            assert weighing.score(name)[at] == pytest.approx(value, rel=1e-12, abs=1e-12), name
            agreed.add(name.partition(":")[0])
    return agreed


def _names(task: str) -> set[str]:
    return {name for name, measure in MEASURES.items() if measure.task == task}
