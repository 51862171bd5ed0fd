"""What of a training's data is kept for later comparisons."""

from __future__ import annotations

import json

import numpy as np

from models.drift.reference import MOST_CATEGORIES, MOST_SAMPLE, MOST_TEXT, reference_of


def test_numbers_are_kept_by_their_deciles_and_a_sample() -> None:
    column = np.arange(1.0, 101.0)
    column[:5] = np.nan
    found = reference_of({"age": column})["features"]["age"]
    assert (found["rows"], found["missing"], found["kind"]) == (100, 5, "numbers")
    assert len(found["edges"]) == 9
    assert sum(found["counts"]) == 95
    assert max(found["counts"]) - min(found["counts"]) <= 1
    assert found["sample"] == column[5:].tolist()


def test_a_sample_is_bounded_and_always_the_same() -> None:
    column = np.random.default_rng(1).normal(size=MOST_SAMPLE * 3)
    first, second = (reference_of({"x": column})["features"]["x"]["sample"] for _ in range(2))
    assert len(first) == MOST_SAMPLE
    assert first == second == sorted(first)


def test_frequent_texts_are_kept_and_all_others_counted() -> None:
    texts = [*["red"] * 50, *["blue"] * 40, *(f"rare {at}" for at in range(60))]
    column = np.array([*texts, None], object)
    found = reference_of({"colour": column})["features"]["colour"]
    assert found["values"][:2] == [["red", 50], ["blue", 40]]
    assert len(found["values"]) == MOST_CATEGORIES
    assert (found["other"], found["missing"], found["rows"]) == (22, 1, 151)


def test_texts_that_hardly_repeat_are_kept_by_their_lengths() -> None:
    column = np.array([f"order {at}" for at in range(300)], object)
    found = reference_of({"note": column})["features"]["note"]
    assert found["kind"] == "lengths"
    assert found["sample"][0] == len("order 0")


def test_a_long_text_does_not_make_a_long_reference() -> None:
    column = np.array(["x" * 100_000] * 20, object)
    found = reference_of({"note": column})["features"]["note"]
    assert len(found["values"][0][0]) == MOST_TEXT + 1


def test_labels_are_categories_even_where_they_are_numbers() -> None:
    found = reference_of({}, predictions=np.array([0, 1, 1]))["predictions"]
    assert found["values"] == [["1", 2], ["0", 1]]
    assert reference_of({}, predictions=np.array([0.5]))["predictions"]["kind"] == "numbers"


def test_a_reference_is_plain_json() -> None:
    columns = {"a": np.array([np.inf, np.nan, 1.0]), "b": np.array([None, None], object)}
    columns |= {"c": np.array([True, False]), "d": np.zeros(0), "e": np.array([], object)}
    said = json.dumps(reference_of(columns), allow_nan=False)
    assert json.loads(said)["features"]["a"]["missing"] == 2
