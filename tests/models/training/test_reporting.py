"""The whole report: JSON that says everything, the same each time, and a page of some size."""

from __future__ import annotations

import json
from typing import Any

import pytest

from models.training.reporting import report
from models.training.study import Study
from tests.models.training.studies import case_of, evaluation_of, study_of_three


@pytest.fixture(scope="module")
def reported() -> tuple[dict[str, Any], bytes]:
    """A report of three classes."""
    return _report(study_of_three())


def test_the_evaluation_is_completed_and_is_json(reported: tuple[dict[str, Any], bytes]) -> None:
    evaluation, _ = reported
    given = evaluation_of(study_of_three())
    assert {name: evaluation[name] for name in given} == given
    added = {"holdout", "slices", "figures", "card", "notes"}
    assert set(evaluation) == set(given) | added
    stored = json.loads(json.dumps(evaluation, allow_nan=False))
    assert {name: stored[name] for name in added} == {name: evaluation[name] for name in added}
    assert evaluation["notes"] == []
    assert evaluation["figures"][0].keys() == {"name", "title", "about"}
    assert evaluation["card"].startswith("---\nlibrary_name: sklearn\n")


def test_the_baseline_is_fitted_to_the_rows_of_the_training(
    reported: tuple[dict[str, Any], bytes],
) -> None:
    holdout = reported[0]["holdout"]
    assert holdout["baseline"]["balanced_accuracy"]["value"] == pytest.approx(1 / 3)
    assert holdout["lead"]["low"] > 0


def test_the_same_training_has_the_same_report(reported: tuple[dict[str, Any], bytes]) -> None:
    assert _report(study_of_three()) == reported


def test_a_page_is_small_enough_to_be_sent(reported: tuple[dict[str, Any], bytes]) -> None:
    page = reported[1]
    assert 50_000 < len(page) < 400_000
    assert page.count(b"data:image/svg+xml;base64,") == len(reported[0]["figures"])


def _report(study: Study) -> tuple[dict[str, Any], bytes]:
    case = case_of(study)
    return report(study, [], [], case.fitted, case.train, case.held, evaluation_of(study))
