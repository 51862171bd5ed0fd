"""Naive Bayes: all five."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.numeric.rows import chosen, in_blocks, log_sum_exp
from models.compilation.numeric.taking import Taken, Taker, floats_of, single
from models.errors import ArraysMalformed, EstimatorNotHeld, RowsRefused
from models.labels import plain_labels
from models.layouts import Floats, Integers, floats, integers, labels, layout, optional
from models.parts import Part, matrix
from models.tables import Features


class _NaiveBayes(Part):
    """Answers from the joint logarithmic likelihood of each class."""

    def joint(self, rows: Floats) -> Floats:
        """The joint likelihood of each row and class."""
        raise NotImplementedError

    def predict(self, features: Features) -> NDArray[Any]:
        """The likeliest label."""
        return chosen(self.arrays["classes"], self.joint(matrix(features)))

    def predict_log_proba(self, features: Features) -> Floats:
        """The logarithm of each label's probability."""
        joint = self.joint(matrix(features))
        return joint - log_sum_exp(joint)[:, np.newaxis]

    def predict_proba(self, features: Features) -> Floats:
        """Each label's probability."""
        return np.exp(self.predict_log_proba(features))


class GaussianNaiveBayes(_NaiveBayes):
    """Columns that are normally distributed within each class."""

    LAYOUT = layout(
        theta=floats("classes", "columns"),
        var=floats("classes", "columns"),
        prior=floats("classes"),
        classes=labels("classes"),
    )

    def prepare(self) -> None:
        var = self.arrays["var"]
        self._offset = np.log(self.arrays["prior"])
        self._sum = np.array([-0.5 * np.sum(np.log(2.0 * np.pi * one)) for one in var])

    def joint(self, rows: Floats) -> Floats:
        theta, var = self.arrays["theta"], self.arrays["var"]

        def block(rows: Floats) -> Floats:
            spread: Floats = (((rows[:, np.newaxis] - theta) ** 2) / var).sum(axis=2)
            joint: Floats = self._offset + (self._sum - 0.5 * spread)
            return joint

        return in_blocks(rows, theta.size, block)


class LinearNaiveBayes(_NaiveBayes):
    """Multinomial, complement and Bernoulli: one product with the features' likelihoods."""

    LAYOUT = layout(
        weights=floats("classes", "columns"),
        offset=floats("classes"),
        threshold=optional(floats(1)),
        classes=labels("classes"),
    )

    def joint(self, rows: Floats) -> Floats:
        if "threshold" in self.arrays:
            rows = (rows > self.arrays["threshold"][0]).astype(np.float64)
        joint: Floats = rows @ self.arrays["weights"].T
        joint += self.arrays["offset"]
        return joint


class CategoricalNaiveBayes(_NaiveBayes):
    """Columns that are categories, numbered from 0."""

    LAYOUT = layout(
        likelihood=floats("categories", "classes"),
        ends=integers("columns", least=1),
        prior=floats("classes"),
        classes=labels("classes"),
    )

    def prepare(self) -> None:
        ends: Integers = self.arrays["ends"]
        self._counts = np.diff(ends, prepend=0)
        self._starts = ends - self._counts
        if (self._counts < 1).any() or ends[-1] != self.lengths["categories"]:
            raise ArraysMalformed("the columns' categories are not one after another")

    def joint(self, rows: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            categories = rows.astype(np.int64)
        if rows.shape[1] != len(self._counts):
            raise RowsRefused("another number of columns")
        if (categories < 0).any() or (categories >= self._counts).any():
            raise RowsRefused("a category that the model does not know")
        found = self.arrays["likelihood"][(categories + self._starts).T]
        joint: Floats = np.add.reduce(found, axis=0) + self.arrays["prior"]
        return joint


def _gaussian(estimator: Any) -> Taken:
    return "gaussian_bayes", {
        "theta": floats_of(estimator.theta_),
        "var": floats_of(estimator.var_),
        "prior": floats_of(estimator.class_prior_),
        "classes": plain_labels(estimator.classes_),
    }


def _linear(estimator: Any, weights: Floats, offset: Any) -> Taken:
    return "linear_bayes", {
        "weights": floats_of(weights),
        "offset": floats_of(offset),
        "classes": plain_labels(estimator.classes_),
    }


def _multinomial(estimator: Any) -> Taken:
    return _linear(estimator, estimator.feature_log_prob_, estimator.class_log_prior_)


def _complement(estimator: Any) -> Taken:
    single_class = len(estimator.classes_) == 1
    offset = estimator.class_log_prior_ if single_class else np.zeros(len(estimator.classes_))
    return _linear(estimator, estimator.feature_log_prob_, offset)


def _bernoulli(estimator: Any) -> Taken:
    likelihood = estimator.feature_log_prob_
    absent = np.log(1 - np.exp(likelihood))
    offset = estimator.class_log_prior_ + absent.sum(axis=1)
    kind, arrays = _linear(estimator, likelihood - absent, offset)
    if estimator.binarize is not None:
        arrays["threshold"] = single(estimator.binarize)
    return kind, arrays


def _categorical(estimator: Any) -> Taken:
    likelihoods = estimator.feature_log_prob_
    if not likelihoods:
        raise EstimatorNotHeld("it has no columns")
    return "categorical_bayes", {
        "likelihood": floats_of(np.concatenate([one.T for one in likelihoods])),
        "ends": np.cumsum([one.shape[1] for one in likelihoods], dtype=np.int64),
        "prior": floats_of(estimator.class_log_prior_),
        "classes": plain_labels(estimator.classes_),
    }


KINDS: Final[dict[str, type[Part]]] = {
    "gaussian_bayes": GaussianNaiveBayes,
    "linear_bayes": LinearNaiveBayes,
    "categorical_bayes": CategoricalNaiveBayes,
}
TAKERS: Final[dict[str, Taker]] = {
    "GaussianNB": _gaussian,
    "MultinomialNB": _multinomial,
    "ComplementNB": _complement,
    "BernoulliNB": _bernoulli,
    "CategoricalNB": _categorical,
}
