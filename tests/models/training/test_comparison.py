"""Candidates on the same folds: to the last digit as scikit-learn says, and none stops the rest."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.training import fitting
from models.training.algorithms import ALGORITHMS, Algorithm
from models.training.comparison import SPENT, compare
from models.training.entries import Entry, Ranking, share_judged_by
from models.training.folds import folds_of
from models.training.leaderboard import leaderboard
from models.training.parallel import SEQUENTIAL, Workers
from models.training.ranges import Among
from tests.models.training.by_hand import Listener, study

ALONE = Workers(SEQUENTIAL, 1)
ROWS = np.arange(100)
QUICK = ["logistic", "tree"]


class _Broken:
    """An estimator whose fit always fails."""

    def fit(self, *_: Any) -> None:
        raise ValueError("it is singular\nand more")

    def get_params(self, **_: Any) -> dict[str, Any]:
        return {}


@pytest.fixture
def with_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """An algorithm among the others that always fails."""
    broken = Algorithm(
        name="broken",
        title="Broken",
        task="classification",
        build=_Broken,
        space={"c": Among((1, 2))},
    )
    known = MappingProxyType({**ALGORITHMS["classification"], "broken": broken})
    both = MappingProxyType({**ALGORITHMS, "classification": known})
    for module in ("algorithms", "comparison", "fitting"):
        monkeypatch.setattr(f"models.training.{module}.ALGORITHMS", both)


def _compare(own: Any, listener: Listener | None = None) -> dict[str, Entry]:
    entries = compare(own, ROWS, ALONE, (listener or Listener()).reporting)
    return {each.algorithm: each for each in entries}


def test_scores_are_to_the_last_digit_those_of_scikit_learn() -> None:
    own = study(seed=3, compare={"algorithms": ["logistic"]}, validation={"folds": 4})
    measured = {"accuracy": "accuracy", "f1_macro": "f1_macro", "log_loss": "neg_log_loss"}
    expected = cross_validate(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)),
        own.features.iloc[ROWS],
        own.target[ROWS],
        cv=StratifiedKFold(4, shuffle=True, random_state=3),
        scoring=list(measured.values()),
    )

    found = _compare(own)["logistic"]

    for name, theirs in measured.items():
        sign = -1 if theirs.startswith("neg") else 1
        assert found.of(name) == (sign * expected[f"test_{theirs}"]).tolist()


def test_every_entry_says_what_it_costs_to_fit_and_to_serve() -> None:
    found = _compare(study(compare={"algorithms": QUICK}, validation={"folds": 2}))

    assert list(found) == ["dummy", "logistic", "tree"]
    for entry in found.values():
        assert entry.failed is None
        assert entry.serving is not None
        assert entry.serving.engine in {"chain", "graph-chain"}
        assert 0 < entry.serving.p50_ms <= entry.serving.p99_ms
        assert entry.serving.bytes > 0
        assert entry.fit_seconds is not None


@pytest.mark.usefixtures("with_broken")
def test_candidate_that_fails_is_shown_with_its_reason_and_ends_nothing() -> None:
    found = _compare(study(compare={"algorithms": ["broken", "tree"]}, validation={"folds": 2}))

    assert found["broken"].failed == "fold 1: ValueError: it is singular"
    assert found["tree"].failed is None


def test_candidate_without_probabilities_fails_a_metric_of_them() -> None:
    said = {"algorithms": ["ridge", "tree"], "metric": "roc_auc"}
    found = _compare(study(compare=said, validation={"folds": 2}))

    assert found["ridge"].failed is not None
    assert "no roc_auc" in found["ridge"].failed
    assert found["tree"].failed is None


def test_fit_that_did_not_converge_is_counted_and_raises_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hasty = replace(ALGORITHMS["classification"]["logistic"], settings={"max_iter": 1})
    known = MappingProxyType({**ALGORITHMS["classification"], "logistic": hasty})
    monkeypatch.setattr(fitting, "ALGORITHMS", MappingProxyType({"classification": known}))
    own = study(compare={"algorithms": QUICK}, validation={"folds": 3})

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = _compare(own)

    assert found["logistic"].unconverged == 3
    assert found["tree"].unconverged == 0


def test_without_time_the_baseline_and_one_candidate_are_compared_all_the_same() -> None:
    listener = Listener(left=lambda: 0.0)
    found = _compare(
        study(compare={"algorithms": [*QUICK, "knn"]}, validation={"folds": 2}), listener
    )

    assert {name: entry.failed for name, entry in found.items()} == {
        "dummy": None,
        "logistic": None,
        "tree": SPENT,
        "knn": SPENT,
    }


def test_algorithm_that_so_many_rows_would_keep_for_hours_is_tried_where_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = replace(ALGORITHMS["classification"]["svc"], most_rows=50)
    known = {name: ALGORITHMS["classification"][name] for name in ("dummy", "tree")}
    small = MappingProxyType({"classification": MappingProxyType({**known, "svc": few})})
    for module in ("algorithms", "comparison", "fitting"):
        monkeypatch.setattr(f"models.training.{module}.ALGORITHMS", small)

    left_alone = _compare(study(validation={"folds": 2}))["svc"]
    named = _compare(study(validation={"folds": 2}, compare={"algorithms": ["svc"]}))["svc"]

    assert left_alone.failed is not None
    assert "name it in compare.algorithms" in left_alone.failed
    assert named.failed is None


def test_attempt_that_knows_the_results_computes_nothing_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = study(compare={"algorithms": QUICK}, validation={"folds": 2})
    first = Listener()
    before = _compare(own, first)

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("it was fitted again")

    monkeypatch.setattr(fitting, "fit", never)
    monkeypatch.setattr("models.training.comparison.fit", never)
    second = Listener(known=first.kept, left=lambda: 0.0)

    assert _compare(own, second) == before
    assert not second.kept
    assert "compare/tree/fold-1" in first.kept


def test_attempt_after_a_crash_fits_what_is_missing_alone() -> None:
    own = study(compare={"algorithms": QUICK}, validation={"folds": 2})
    first = Listener()
    before = _compare(own, first)
    known = {k: v for k, v in first.kept.items() if k != "compare/tree/fold-1"}

    second = Listener(known=known)
    after = _compare(own, second)

    assert list(second.kept) == ["compare/tree/fold-1"]
    assert after["tree"].scores == before["tree"].scores


def test_progress_tells_each_candidate_as_it_is_done() -> None:
    listener = Listener()
    _compare(study(compare={"algorithms": QUICK}, validation={"folds": 2}), listener)

    assert [(each.done, each.total) for each in listener.told] == [(1, 3), (2, 3), (3, 3)]
    assert listener.told[1].note.startswith("Logistic regression: balanced_accuracy 0.")


def test_leaderboard_ranks_them_and_says_how_far_each_is_behind() -> None:
    own = study(compare={"algorithms": QUICK}, validation={"folds": 4})
    entries = list(_compare(own).values())
    failed = Entry(algorithm="knn", title="Neighbours", failed="it broke")
    ranking = Ranking("log_loss", share_judged_by(folds_of(own, ROWS)), 0.95)

    board = leaderboard([failed, *entries], ranking, entries[1])

    assert [each["rank"] for each in board] == [1, 2, 3, 4]
    means = [each["metrics"]["log_loss"]["mean"] for each in board[:3]]
    assert means == sorted(means)
    assert board[0]["behind"] is None
    assert board[1]["behind"]["difference"] == pytest.approx(means[1] - means[0])
    assert board[1]["behind"]["low"] < board[1]["behind"]["difference"]
    assert board[3]["failed"] == "it broke"
    assert [each["algorithm"] for each in board if each["chosen"]] == ["logistic"]
    assert _is_plain(board)


def _is_plain(value: Any) -> bool:
    match value:
        case Mapping():
            return all(type(name) is str and _is_plain(each) for name, each in value.items())
        case list():
            return all(map(_is_plain, value))
        case float():
            return math.isfinite(value)
    return type(value) in (str, int, bool, type(None))
