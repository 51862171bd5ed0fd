"""Folds: scikit-learn's own, the same for the same seed, and no row is on both sides of one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import (
    KFold,
    RepeatedStratifiedKFold,
    TimeSeriesSplit,
    train_test_split,
)

from models.errors import DataRefused
from models.training.folds import folds_of, holdout_of, inner_folds_of, splitting_of
from tests.models.training.by_hand import ROWS, study

DAYS = np.datetime64("2024-01-01") + np.random.default_rng(1).permutation(ROWS)
HOUSES = np.arange(ROWS) // 6


def test_splitting_is_chosen_by_what_is_known_of_the_rows() -> None:
    assert splitting_of(study()) == "stratified"
    assert splitting_of(study("regression")) == "plain"
    assert splitting_of(study(groups=HOUSES)) == "grouped"
    assert splitting_of(study(times=DAYS)) == "time"
    assert splitting_of(study(validation={"kind": "plain"})) == "plain"


def test_folds_are_those_of_scikit_learn() -> None:
    rows = np.arange(10, ROWS)
    own = study(seed=5, validation={"folds": 3, "repeats": 2})
    splitter = RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=5)

    expected = list(splitter.split(rows, own.target[rows]))

    for (train, test), (its_train, its_test) in zip(folds_of(own, rows), expected, strict=True):
        assert np.array_equal(train, rows[its_train])
        assert np.array_equal(test, rows[its_test])


def test_plain_folds_are_those_of_scikit_learn() -> None:
    own = study("regression", seed=5, validation={"folds": 4})
    rows = np.arange(ROWS)

    expected = list(KFold(4, shuffle=True, random_state=5).split(rows))

    for (train, test), (its_train, its_test) in zip(folds_of(own, rows), expected, strict=True):
        assert np.array_equal(train, its_train)
        assert np.array_equal(test, its_test)


def test_rows_held_out_are_those_of_scikit_learn() -> None:
    own = study(seed=9, validation={"holdout": 0.25})
    rows = np.arange(ROWS)
    _, expected = train_test_split(rows, test_size=0.25, random_state=9, stratify=own.target)

    train, held = holdout_of(own)

    assert held.tolist() == sorted(expected.tolist())
    assert sorted([*train, *held]) == rows.tolist()


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_no_group_is_on_both_sides(task: str) -> None:
    own = study(task, groups=HOUSES, validation={"folds": 3, "repeats": 2})  # type: ignore[arg-type]
    train, held = holdout_of(own)
    folds = folds_of(own, train)

    assert len(folds) == 6
    for one, other in [(train, held), *folds, *inner_folds_of(own, train)]:
        assert not set(HOUSES[one]) & set(HOUSES[other])
    assert not all(np.array_equal(folds[at][1], folds[at + 3][1]) for at in range(3))


def test_by_time_nothing_is_judged_by_what_was_before() -> None:
    own = study(times=DAYS, validation={"folds": 4, "repeats": 3, "holdout": 0.2})
    train, held = holdout_of(own)

    folds = folds_of(own, train)

    assert len(held) == 24
    for earlier, later in [(train, held), *folds]:
        assert DAYS[earlier].max() < DAYS[later].min()
    order = train[np.argsort(DAYS[train])]
    expected = [order[test] for _, test in TimeSeriesSplit(4).split(order)]
    assert [sorted(test) for _, test in folds] == [sorted(test) for test in expected]


def test_rows_of_one_moment_stay_together() -> None:
    weeks = DAYS.astype("datetime64[W]")
    own = study(times=weeks, validation={"folds": 3})
    train, held = holdout_of(own)

    for one, other in [(train, held), *folds_of(own, train)]:
        assert not set(weeks[one].tolist()) & set(weeks[other].tolist())


def test_too_few_rows_are_refused_in_words() -> None:
    alone = study()
    alone.target[:] = "bad"
    alone.target[0] = "good"
    with pytest.raises(DataRefused, match=r"cannot be split.*more rows"):
        holdout_of(alone)
    moments = np.full(ROWS, np.datetime64("2024-01-01"))
    with pytest.raises(DataRefused, match="of one time"):
        holdout_of(study(times=moments))
    with pytest.raises(DataRefused, match="of 1 different times"):
        folds_of(study(times=moments), np.arange(ROWS))
