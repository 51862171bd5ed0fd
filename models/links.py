"""From scores to probabilities and means, as scikit-learn computes them, without scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[Any]


def logistic(scores: Scores) -> Scores:
    """1 / (1 + exp(-x)) of each score; scipy.special.expit."""
    answers: Scores = 1 / (1 + np.exp(-scores))
    return answers


def softmax(scores: Scores) -> Scores:
    """exp(x) over its sum in each row; sklearn.utils.extmath.softmax."""
    raised: Scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    raised /= raised.sum(axis=1, keepdims=True)
    return raised


def two_columns(second: Scores) -> Scores:
    """The probabilities of both classes from those of the second."""
    answers = np.empty((len(second), 2), second.dtype)
    answers[:, 0] = 1 - second
    answers[:, 1] = second
    return answers


def logarithm(probabilities: Scores) -> Scores:
    """The natural logarithm; minus infinity of zero."""
    answers: Scores = np.log(probabilities)
    return answers
