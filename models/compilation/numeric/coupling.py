"""Probabilities of many labels from those of pairs, as libsvm couples them.

Wu, Lin and Weng, "Probability estimates for multi-class classification by pairwise coupling",
Journal of Machine Learning Research 5 (2004), the second method.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final

import numpy as np

from models.layouts import Floats

LEAST: Final = 1e-7
FEWEST_ROUNDS: Final = 100


def pairwise_probabilities(decisions: Floats, slopes: Floats, offsets: Floats) -> Floats:
    """Platt's sigmoid of each decision, kept off 0 and 1."""
    raised = decisions * slopes + offsets
    small = np.exp(-np.abs(raised))
    likely = np.where(raised >= 0, small / (1.0 + small), 1.0 / (1.0 + small))
    # As in C, where a comparison with NaN is false, so that NaN becomes the least.
    return np.fmin(np.fmax(likely, LEAST), 1 - LEAST)


def coupled(likely: Floats, count: int) -> Floats:
    """Each label's probability, all rows at once; a row that has converged is left alone."""
    forms = _forms(likely, count)
    result = np.full((len(likely), count), 1.0 / count)
    left = np.arange(len(likely))
    for _ in range(max(FEWEST_ROUNDS, count)):
        form, given = forms[left], result[left]
        products = _products(form, given)
        total = _added(given * products)
        going = np.abs(products - total[:, np.newaxis]).max(axis=1) >= 0.005 / count
        left = left[going]
        if not len(left):
            break
        result[left] = _step(form[going], given[going], products[going], total[going])
    return result


def _forms(likely: Floats, count: int) -> Floats:
    """The quadratic form of each row."""
    other = np.zeros((len(likely), count, count))
    for pair, (first, second) in enumerate(combinations(range(count), 2)):
        other[:, first, second] = likely[:, pair]
        other[:, second, first] = 1 - likely[:, pair]
    forms = -np.swapaxes(other, 1, 2) * other
    squares = other * other
    for label in range(count):
        forms[:, label, label] = _added(np.delete(squares[:, :, label], label, axis=1))
    return forms


def _products(forms: Floats, given: Floats) -> Floats:
    return _added(forms * given[:, np.newaxis])


def _step(forms: Floats, given: Floats, products: Floats, total: Floats) -> Floats:
    given, products = given.copy(), products.copy()
    for label in range(given.shape[1]):
        own = forms[:, label, label]
        change = (-products[:, label] + total) / own
        given[:, label] += change
        scale = 1 + change
        total = (total + change * (change * own + 2 * products[:, label])) / scale / scale
        products = (products + change[:, np.newaxis] * forms[:, label]) / scale[:, np.newaxis]
        given /= scale[:, np.newaxis]
    return given


def _added(terms: Floats) -> Floats:
    """Sums over the last axis, from first to last."""
    summed: Floats = np.add.accumulate(terms, axis=-1)[..., -1]
    return summed
