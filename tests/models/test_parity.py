from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from models.parity import compare, drawn_rows

ROWS = drawn_rows(3, seed=5)


@dataclass
class Answers:
    """Answers a function of the rows."""

    function: Any

    def predict(self, features: Any) -> Any:
        """Apply the function."""
        return self.function(features)


def _compare(own: Any, other: Any) -> Any:
    return compare(Answers(own), Answers(other), ROWS, seed=5)


def test_rows_are_many_finite_and_the_same_for_the_same_seed() -> None:
    assert len(ROWS) >= 5000
    assert np.isfinite(ROWS).all()
    assert np.array_equal(ROWS, drawn_rows(3, seed=5))
    assert not np.array_equal(ROWS, drawn_rows(3, seed=6))
    assert np.abs(ROWS).max() < np.finfo(np.float32).max


def test_numbers_within_the_tolerance_agree() -> None:
    assert _compare(lambda x: x[:, 0], lambda x: x[:, 0] * (1 + 1e-12)).agrees


@pytest.mark.parametrize("function", [
    lambda x: x[:, 0] * (1 + 1e-8),
    lambda x: np.where(x[:, 0] > 1e30, 0.0, x[:, 0]),
    lambda x: np.where(x[:, 0] == 2.0**53, np.nan, x[:, 0]),
    lambda x: np.where(x[:, 0] == 2.0**53, np.inf, x[:, 0]),
    lambda x: x,
    lambda x: x[:, :1],
    lambda x: x[:, 0].astype(np.float32),
    lambda x: np.zeros(len(x), int),
])  # fmt: skip
def test_numbers_beyond_the_tolerance_do_not_agree(function: Any) -> None:
    assert not _compare(lambda x: x[:, 0], function).agrees


def test_both_overflowing_in_the_same_place_agree() -> None:
    def overflowing(x: Any) -> Any:
        return np.where(x[:, 0] > 1, np.inf, np.nan)

    assert _compare(overflowing, overflowing).agrees


def test_one_label_that_differs_is_one_too_many() -> None:
    def labels(x: Any) -> Any:
        return np.where(x[:, 0] > 0, "yes", "no")

    def others(x: Any) -> Any:
        return np.where(x[:, 0] >= 5e-324, "yes", np.where(x[:, 0] == 0, "yes", "no"))

    report = _compare(labels, others)

    assert report.labels_differing > 0
    assert not report.agrees


def test_labels_of_another_type_do_not_agree() -> None:
    assert not _compare(lambda x: x[:, 0] > 0, lambda x: (x[:, 0] > 0).astype(int)).agrees


def test_a_single_row_answered_otherwise_is_found() -> None:
    assert not _compare(lambda x: x[:, 0], lambda x: x[:, 0] * (1 if len(x) > 1 else 2)).agrees
