"""The choice of a champion: the best, unless one as good is much cheaper to serve."""

from __future__ import annotations

from typing import Any

import pytest

from models.errors import TrainingFailed
from models.training.choice import Choice, choose
from models.training.entries import Entry, Ranking
from models.training.serving_cost import Serving

RANKING = Ranking("accuracy", 0.25, 0.95)


def _entry(
    title: str, scores: list[float], milliseconds: float, engine: str = "chain", **more: Any
) -> Entry:
    return Entry(
        algorithm=title.lower(),
        title=title,
        scores=[{"accuracy": score} for score in scores],
        serving=Serving(engine, milliseconds, milliseconds, 1),
        **more,
    )


FOREST = _entry("Forest", [0.93, 0.95, 0.91, 0.96], 8.0)
LINE = _entry("Line", [0.94, 0.92, 0.90, 0.95], 0.05)
WORSE = _entry("Worse", [0.83, 0.86, 0.80, 0.86], 0.01)
GUESS = _entry("Guess", [0.5, 0.5, 0.5, 0.5], 0.001, baseline=True)


def _choose(*entries: Entry, most: float = 0.0) -> Choice:
    return choose(entries, RANKING, most_serving_ms=most)


def test_as_good_and_much_cheaper_is_chosen_and_the_reason_is_said() -> None:
    chosen = _choose(GUESS, LINE, FOREST, WORSE)

    assert chosen.entry is LINE
    assert chosen.why == (
        "Forest has the best accuracy of the folds, 0.9375. Its lead of 0.01 over Line is not "
        "significant (p = 0.45), and that serves a row in 0.05 ms by the engine chain instead of "
        "in 8 ms by the engine chain: it is chosen."
    )


def test_significant_lead_is_worth_its_cost() -> None:
    assert _choose(GUESS, FOREST, WORSE).entry is FOREST


def test_little_cheaper_is_no_reason() -> None:
    nearly = _entry("Nearly", [0.94, 0.92, 0.90, 0.95], 5.0)
    tiny = _entry("Tiny", [0.93, 0.95, 0.91, 0.96], 0.2)

    assert _choose(FOREST, nearly).entry is FOREST
    assert _choose(tiny, LINE).entry is tiny


def test_what_workers_answer_themselves_is_cheaper_than_what_needs_a_host() -> None:
    hosted = _entry("Hosted", [0.94, 0.92, 0.90, 0.95], 0.02, engine="native")
    tiny = _entry("Tiny", [0.93, 0.95, 0.91, 0.96], 0.1)
    slow = _entry("Slow", [0.93, 0.95, 0.91, 0.97], 0.1, engine="graph")

    assert _choose(tiny, hosted).entry is tiny
    assert _choose(slow, LINE, hosted).entry is LINE


def test_one_fold_is_no_proof_that_two_are_alike() -> None:
    one = _entry("One", [0.9], 8.0)
    other = _entry("Other", [0.89], 0.05)

    assert _choose(other, one).entry is one


def test_too_slow_is_shown_and_not_chosen() -> None:
    chosen = _choose(FOREST, WORSE, most=1.0)

    assert chosen.entry is WORSE
    assert "Too slow for 1 ms a row: Forest." in chosen.why


def test_less_is_better_of_an_error() -> None:
    ranking = Ranking("rmse", 0.25, 0.95)
    high = Entry(algorithm="high", title="High", scores=[{"rmse": 5.0}])
    low = Entry(algorithm="low", title="Low", scores=[{"rmse": 1.0}])

    assert choose([high, low], ranking, most_serving_ms=0.0).entry is low


def test_champion_no_better_than_the_baseline_is_told_to_be_so() -> None:
    poor = _entry("Poor", [0.52, 0.49, 0.51, 0.49], 0.01)

    assert _choose(GUESS, poor).entry is poor
    assert "not significantly better than the baseline" in _choose(GUESS, poor).why
    better = _entry("Guess", [0.6, 0.6, 0.6, 0.6], 0.001, baseline=True)
    assert "The baseline is no worse (-0.0" in _choose(better, poor).why
    assert "baseline" not in _choose(GUESS, FOREST).why


def test_where_none_can_be_chosen_the_training_fails_with_the_reasons() -> None:
    broken = Entry(algorithm="broken", title="Broken", failed="fold 1: it is singular")

    with pytest.raises(TrainingFailed, match="Broken: fold 1: it is singular"):
        _choose(GUESS, broken)
    with pytest.raises(TrainingFailed, match=r"within 0.001 ms; Worse takes 0.01 ms"):
        _choose(GUESS, WORSE, FOREST, most=0.001)
