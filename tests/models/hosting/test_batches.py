"""Batches are of what waits and is alike; every call gets its own answer, or its own failure."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.hosting.batches import MOST_ROWS, Queue, Waiting, alike, answer_each
from models.hosting.page import MOST_CALLS
from models.tables import Features, Table

BAD = -1.0


def rows_of(values: list[float]) -> NDArray[np.float64]:
    return np.array(values).reshape(-1, 1)


def doubled(features: Features) -> NDArray[Any]:
    assert not isinstance(features, Table)
    if (features == BAD).any():
        raise ValueError("a bad row")
    return np.asarray(features[:, 0] * 2)


@given(st.lists(st.lists(st.sampled_from([BAD, 1.0, 2.0, 3.0]), min_size=1), min_size=1))
def test_each_call_has_its_own_answer_and_only_bad_ones_fail(calls: list[list[float]]) -> None:
    outcomes = answer_each(doubled, [rows_of(values) for values in calls])

    for values, outcome in zip(calls, outcomes, strict=True):
        if BAD in values:
            assert isinstance(outcome, ValueError)
        else:
            assert not isinstance(outcome, Exception)
            assert outcome.tolist() == [value * 2 for value in values]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3000)), max_size=40))
def test_batches_hold_what_is_alike_in_the_order_of_arrival(calls: list[tuple[str, int]]) -> None:
    queue: Queue[tuple[int, str, int]] = Queue()
    for number, (kind, rows) in enumerate(calls):
        queue.add(Waiting((kind,), rows, (number, kind, rows)))

    batches = []
    while len(queue):
        batches.append(queue.next_batch())

    assert sorted(call for batch in batches for call in batch) == [
        (number, kind, rows) for number, (kind, rows) in enumerate(calls)
    ]
    for batch in batches:
        assert len({kind for _, kind, _ in batch}) == 1
        assert len(batch) == 1 or sum(rows for _, _, rows in batch) <= MOST_ROWS
    for kind in "abc":
        order = [number for batch in batches for number, own, _ in batch if own == kind]
        assert order == sorted(order)
    firsts = [batch[0][0] for batch in batches]
    assert firsts == sorted(firsts)


def test_a_batch_has_no_more_calls_than_the_page_has_room_for() -> None:
    queue: Queue[int] = Queue()
    for number in range(MOST_CALLS + 1):
        queue.add(Waiting(("same",), 1, number))

    assert len(queue.next_batch()) == MOST_CALLS
    assert queue.next_batch() == [MOST_CALLS]


def test_calls_of_another_version_method_or_form_are_not_alike() -> None:
    matrix, wider = np.ones((1, 2)), np.ones((1, 3))
    numbers = Table((np.ones(1), np.ones(1)))
    mixed = Table((np.ones(1), np.array(["a"], dtype=object)))
    seen = [
        alike(b"v", 0, matrix),
        alike(b"w", 0, matrix),
        alike(b"v", 1, matrix),
        alike(b"v", 0, wider),
        alike(b"v", 0, numbers),
        alike(b"v", 0, mixed),
    ]

    assert len(set(seen)) == len(seen)
    assert alike(b"v", 0, np.zeros((5, 2))) == alike(b"v", 0, matrix)


def test_a_model_that_does_not_answer_each_row_fails() -> None:
    (outcome,) = answer_each(lambda _features: np.ones(3), [rows_of([1.0, 2.0])])

    assert isinstance(outcome, Exception)
