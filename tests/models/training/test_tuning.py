"""Searches: the draws of scikit-learn, their ends, and tuned candidates that have no advantage."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.model_selection import RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier

from models.training import fitting
from models.training.algorithms import ALGORITHMS
from models.training.comparison import compare
from models.training.entries import Ranking, share_judged_by
from models.training.fitting import Trial
from models.training.folds import Rows, folds_of, inner_folds_of
from models.training.parallel import SEQUENTIAL, Workers
from models.training.tuning import arena as arenas
from models.training.tuning.arena import Arena, Found
from models.training.tuning.nesting import SEARCHES, Tuned, tune
from tests.models.training.by_hand import Listener, study

ALONE = Workers(SEQUENTIAL, 1)
ROWS = np.arange(100)
METHODS = sorted(SEARCHES)


def _search(
    method: str,
    *,
    algorithm: str = "tree",
    listener: Listener | None = None,
    rows: Rows = ROWS,
    **said: Any,
) -> Found:
    own = study(rows=len(rows) + 20, seed=5, tune={"method": method, **said})
    listener = listener or Listener()
    arena = Arena(
        study=own,
        algorithm=ALGORITHMS["classification"][algorithm],
        metric="accuracy",
        folds=inner_folds_of(own, rows),
        workers=ALONE,
        reporting=listener.reporting,
        key=f"tune/{algorithm}/all",
        left=listener.left,
    )
    return SEARCHES[method](arena)


def _told(found: Found) -> list[tuple[int, Mapping[str, Any], float | None, int]]:
    """All but the times."""
    return [(each.number, each.params, each.score, each.rows) for each in found.trials]


def test_random_search_draws_and_scores_as_scikit_learn_does() -> None:
    own = study(seed=5)
    space = ALGORITHMS["classification"]["tree"].space
    theirs = RandomizedSearchCV(
        Pipeline(
            [("same", FunctionTransformer()), ("model", DecisionTreeClassifier(random_state=5))]
        ),
        {f"model__{name}": each.drawn_from() for name, each in space.items()},
        n_iter=6,
        cv=inner_folds_of(own, ROWS),
        scoring="accuracy",
        random_state=5,
        refit=False,
    ).fit(own.features, own.target)

    found = _search("random", trials=7)

    assert found.trials[0].params == {}  # the defaults come before what is drawn
    drawn = [{f"model__{n}": v for n, v in each.params.items()} for each in found.trials[1:]]
    assert drawn == theirs.cv_results_["params"]
    assert [t.score for t in found.trials[1:]] == theirs.cv_results_["mean_test_score"].tolist()


@pytest.mark.parametrize("method", METHODS)
def test_search_ends_with_the_best_of_its_trials_and_the_same_one_each_time(method: str) -> None:
    found = _search(method, trials=9)

    last = max(each.rows for each in found.trials)
    finals = [each for each in found.trials if each.rows == last]
    best = max(finals, key=lambda each: each.score or 0.0)
    assert found.params == best.params
    assert found.stopped == "trials"
    assert _told(_search(method, trials=9)) == _told(found)


def _by_params(score: Callable[[Mapping[str, Any]], float]) -> Callable[..., Any]:
    """What judges trials by their parameters alone."""

    def judged(_study: Any, trials: Sequence[Trial], *_: Any) -> Iterator[dict[str, Any]]:
        for trial in trials:
            scores = {"accuracy": score(trial.params)}
            yield {"scores": scores, "seconds": 0.0, "unconverged": False}

    return judged


def test_halving_gives_ever_fewer_trials_ever_more_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    leaves = _by_params(lambda params: params.get("min_samples_leaf", 0))
    monkeypatch.setattr(arenas, "judge_all", leaves)
    found = _search("halving", rows=np.arange(405), trials=9)
    rungs = [list(own) for _, own in itertools.groupby(found.trials, lambda each: each.rows)]

    assert [(own[0].rows, len(own)) for own in rungs] == [(30, 9), (90, 3), (270, 1)]
    for before, after in itertools.pairwise(rungs):
        best = sorted(before, key=lambda each: (-(each.score or 0.0), each.number))
        assert {each.number for each in after} == {each.number for each in best[: len(after)]}


def test_halving_draws_rows_that_keep_the_shares_of_the_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = study(rows=405, seed=5)
    seen: list[float] = []

    def judged(_: Any, trials: Sequence[Trial], *rest: Any) -> Any:
        seen.extend(float(np.mean(own.target[trial.fold[0]] == "bad")) for trial in trials)
        return _by_params(lambda _: 0.5)(own, trials)

    monkeypatch.setattr(arenas, "judge_all", judged)
    _search("halving", rows=np.arange(385), trials=9)

    assert np.allclose(seen, np.mean(own.target[:385] == "bad"), atol=0.03)


def test_bayesian_search_learns_from_what_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missed(params: Mapping[str, Any]) -> float:
        return abs(math.log10(params.get("C", 1.0)) - 2)

    monkeypatch.setattr(arenas, "judge_all", _by_params(lambda params: -missed(params)))
    found = _search("bayesian", trials=24, algorithm="logistic")

    assert found.trials[0].params == {}
    assert len({str(each.params) for each in found.trials}) == 24
    early = np.mean([missed(each.params) for each in found.trials[1:9]])
    late = np.mean([missed(each.params) for each in found.trials[-8:]])
    assert late < early / 2


@pytest.mark.parametrize("method", ["random", "bayesian"])
def test_search_without_a_better_trial_ends_by_patience(method: str) -> None:
    found = _search(method, trials=40, patience=3, algorithm="knn")

    best = max(found.trials, key=lambda each: (each.score or 0.0, -each.number)).number
    assert found.stopped == "patience"
    assert best + 3 < len(found.trials) <= best + 4 + arenas.BATCH


@pytest.mark.parametrize("method", METHODS)
def test_search_whose_time_is_over_ends_with_what_it_has(method: str) -> None:
    first = Listener(left=lambda: 0.0)
    found = _search(method, trials=9, listener=first)

    assert found.stopped == "seconds"
    assert len(found.trials) == arenas.BATCH
    # Who goes on from there ends there as well, whatever time there is.
    again = _search(method, trials=9, listener=Listener(known=first.kept))
    assert _told(again) == _told(found)
    assert again.stopped == "seconds"


def test_trial_that_fails_is_kept_with_its_reason_and_is_never_the_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def judged(_study: Any, trials: Sequence[Trial], *_: Any) -> Any:
        for trial in trials:
            if not trial.params:
                yield {"failed": "ValueError: no"}
            else:
                yield {"scores": {"accuracy": 0.5}, "seconds": 0.0, "unconverged": False}

    monkeypatch.setattr(arenas, "judge_all", judged)

    for method in METHODS:
        found = _search(method, trials=5)
        assert found.trials[0].failed == "ValueError: no"
        assert found.trials[0].score is None
        assert found.params == found.trials[1].params


def _tuned(listener: Listener, **said: Any) -> Tuned:
    own = study(
        seed=2,
        compare={"algorithms": ["tree"]},
        validation={"folds": 3},
        tune={"trials": 5, **said},
    )
    ranking = Ranking("balanced_accuracy", share_judged_by(folds_of(own, ROWS)), 0.95)
    entries = compare(own, ROWS, ALONE, Listener().reporting)
    return tune(own, ROWS, entries, ranking, ALONE, listener.reporting)


def test_tuned_candidate_is_judged_on_rows_that_its_search_never_saw(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, set[int]] = {}
    judge_all = fitting.judge_all

    def watched(own: Any, trials: Sequence[Trial], *rest: Any) -> Any:
        for trial in trials:
            where = "/".join(trial.key.split("/")[:3])
            seen.setdefault(where, set()).update(*(side.tolist() for side in trial.fold))
        return judge_all(own, trials, *rest)

    monkeypatch.setattr(arenas, "judge_all", watched)
    tuned = _tuned(Listener())

    own = study(seed=2, validation={"folds": 3})
    for at, (train, test) in enumerate(folds_of(own, ROWS)):
        assert seen[f"tune/tree/fold-{at}"] == set(train.tolist())
        assert not seen[f"tune/tree/fold-{at}"] & set(test.tolist())
    assert seen["tune/tree/all"] == set(ROWS.tolist())
    (entry,) = tuned.entries
    assert entry.tuned
    assert len(entry.scores) == 3
    assert entry.serving is not None


def test_scores_of_a_tuned_candidate_are_those_of_its_params_on_each_fold() -> None:
    (entry,) = _tuned(Listener()).entries
    assert len({str(params) for params in entry.fold_params}) > 1
    own = study(seed=2, validation={"folds": 3})

    for (train, test), params, scores in zip(
        folds_of(own, ROWS), entry.fold_params, entry.scores, strict=True
    ):
        tree = DecisionTreeClassifier(random_state=2, **params)
        tree.fit(own.features.iloc[train], own.target[train])
        odds = tree.predict_proba(own.features.iloc[test])
        assert log_loss(own.target[test], odds) == scores["log_loss"]


def test_baseline_and_what_has_nothing_to_tune_are_left_alone() -> None:
    tuned = _tuned(Listener(), best=5)

    assert [each.algorithm for each in tuned.entries] == ["tree"]
    assert _tuned(Listener(), method="none") == Tuned([], [], [])


def test_without_time_nothing_is_tuned_and_that_is_told() -> None:
    tuned = _tuned(Listener(left=lambda: 0.0))

    assert not tuned.entries
    assert tuned.left_out == ["Decision tree"]


def test_seconds_of_the_spec_end_every_search() -> None:
    tuned = _tuned(Listener(), seconds=1e-6)

    (search,) = tuned.searches
    assert search.is_cut
    assert [each.stopped for each in search.nested] == ["seconds"] * 3
    assert len(tuned.entries[0].scores) == 3
    assert search.as_json()["trials"][0]["params"] == {}
