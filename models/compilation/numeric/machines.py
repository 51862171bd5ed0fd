"""Support vector machines, as libsvm computes them: its kernels, sums, votes and probabilities."""

from __future__ import annotations

from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.numeric.coupling import coupled, pairwise_probabilities
from models.compilation.numeric.rows import in_blocks, sequential_sum
from models.compilation.numeric.taking import (
    Taken,
    Taker,
    flag,
    floats_of,
    single,
    text,
    whole,
)
from models.errors import ArraysMalformed, EstimatorNotHeld
from models.labels import plain_labels
from models.layouts import Floats, choice, flags, floats, integers, labels, layout, optional
from models.parts import Part, matrix
from models.tables import Features

MOST_DEGREE: Final = 64
_KERNEL: Final = {
    "vectors": floats("vectors", "columns"),
    "kernel": choice("linear", "poly", "rbf", "sigmoid"),
    "gamma": floats(1),
    "degree": integers(1, least=0),
    "shift": floats(1),
}


class _Machine(Part):
    """Sums of kernels between a row and the support vectors."""

    def prepare(self) -> None:
        self._kernel = str(self.arrays["kernel"][0])
        self._gamma = float(self.arrays["gamma"][0])
        self._degree = int(self.arrays["degree"][0])
        self._shift = float(self.arrays["shift"][0])
        if self._degree > MOST_DEGREE:
            raise ArraysMalformed(f"the degree is above {MOST_DEGREE}")

    def sums(self, rows: Floats, coefs: Floats, intercept: Floats) -> Floats:
        """For each row and list of coefficients, the sum of weighted kernels and the intercept."""
        vectors = self.arrays["vectors"]

        def block(rows: Floats) -> Floats:
            kernels = self._kernels(rows)
            return sequential_sum(kernels[:, np.newaxis] * coefs) + intercept

        return in_blocks(rows, max(vectors.size, coefs.size), block)

    def _kernels(self, rows: Floats) -> Floats:
        vectors, across = self.arrays["vectors"], rows[:, np.newaxis]
        if self._kernel == "rbf":
            apart = across - vectors
            close: Floats = np.exp(-self._gamma * np.vecdot(apart, apart))
            return close
        products: Floats = np.vecdot(across, vectors)
        if self._kernel == "linear":
            return products
        products = self._gamma * products + self._shift
        return _power(products, self._degree) if self._kernel == "poly" else np.tanh(products)


class VectorClassifier(_Machine):
    """One sum for each pair of labels, which vote; predict_proba by Platt's sigmoids."""

    LAYOUT = layout(
        **_KERNEL,
        coefs=floats("pairs", "vectors"),
        intercept=floats("pairs"),
        shape=choice("ovo", "ovr"),
        break_ties=flags(1),
        slopes=optional(floats("pairs")),
        offsets=optional(floats("pairs")),
        classes=labels("classes"),
    )

    def prepare(self) -> None:
        super().prepare()
        self._pairs = tuple(combinations(range(self.lengths["classes"]), 2))
        if len(self._pairs) != self.lengths["pairs"] or not self._pairs:
            raise ArraysMalformed("there are not as many sums as pairs of labels")
        if ("slopes" in self.arrays) != ("offsets" in self.arrays):
            raise ArraysMalformed("there are slopes or offsets, and not both")
        self._by_class = self.arrays["shape"][0] == "ovr" and len(self._pairs) > 1

    def withheld(self) -> frozenset[str]:
        probable = frozenset({"predict_proba", "predict_log_proba"})
        return frozenset() if "slopes" in self.arrays else probable

    def _decisions(self, features: Features) -> Floats:
        return self.sums(matrix(features), self.arrays["coefs"], self.arrays["intercept"])

    def predict(self, features: Features) -> NDArray[Any]:
        """The label with the most votes, the first of equal ones unless ties are broken."""
        decisions = self._decisions(features)
        if self.arrays["break_ties"][0] and self._by_class:
            ranks = _by_class(decisions, self.lengths["classes"])
        else:
            ranks = np.zeros((len(decisions), self.lengths["classes"]))
            for pair, (first, second) in enumerate(self._pairs):
                for_first = decisions[:, pair] > 0
                ranks[:, first] += for_first
                ranks[:, second] += ~for_first
        picked: NDArray[Any] = self.arrays["classes"][ranks.argmax(axis=1)]
        return picked

    def decision_function(self, features: Features) -> Floats:
        """Of two labels one number; of more, one for each label or pair of labels."""
        decisions = self._decisions(features)
        if len(self._pairs) == 1:
            return -decisions.ravel()
        return _by_class(decisions, self.lengths["classes"]) if self._by_class else decisions

    def predict_proba(self, features: Features) -> Floats:
        """Each label's probability."""
        decisions = self._decisions(features)
        likely = pairwise_probabilities(decisions, self.arrays["slopes"], self.arrays["offsets"])
        return coupled(likely, self.lengths["classes"])

    def predict_log_proba(self, features: Features) -> Floats:
        """The logarithm of each label's probability."""
        return np.log(self.predict_proba(features))


class VectorRegressor(_Machine):
    """One sum, as a number."""

    LAYOUT = layout(**_KERNEL, coefs=floats(1, "vectors"), intercept=floats(1))

    def predict(self, features: Features) -> Floats:
        """The sum."""
        return self.sums(matrix(features), self.arrays["coefs"], self.arrays["intercept"]).ravel()


class VectorOutliers(_Machine):
    """One sum, which is below 0 for outliers."""

    LAYOUT = layout(**_KERNEL, coefs=floats(1, "vectors"), intercept=floats(1), offset=floats(1))

    def decision_function(self, features: Features) -> Floats:
        """The sum."""
        return self.sums(matrix(features), self.arrays["coefs"], self.arrays["intercept"]).ravel()

    def score_samples(self, features: Features) -> Floats:
        """The sum before the threshold was taken off."""
        scores: Floats = self.decision_function(features) + self.arrays["offset"][0]
        return scores

    def predict(self, features: Features) -> NDArray[Any]:
        """1 where the sum is above 0, else -1."""
        return np.where(self.decision_function(features) > 0, 1, -1)


def _power(base: Floats, times: int) -> Floats:
    """libsvm's `powi`: by squaring, so that its roundings are the same."""
    result, square = np.ones_like(base), base
    while times > 0:
        if times % 2 == 1:
            result = result * square
        square = square * square
        times //= 2
    return result


def _by_class(decisions: Floats, count: int) -> Floats:
    """scikit-learn's `_ovr_decision_function`: votes, and below 1/3 how confident they are."""
    votes = np.zeros((len(decisions), count))
    confidence = np.zeros_like(votes)
    for pair, (first, second) in enumerate(combinations(range(count), 2)):
        own = -decisions[:, pair]
        for_second = decisions[:, pair] < 0
        confidence[:, first] -= own
        confidence[:, second] += own
        votes[:, first] += ~for_second
        votes[:, second] += for_second
    ranks: Floats = votes + confidence / (3 * (np.abs(confidence) + 1))
    return ranks


def _machine(estimator: Any) -> dict[str, NDArray[Any]]:
    if not isinstance(estimator.kernel, str):
        raise EstimatorNotHeld("it has a kernel of its own")
    return {
        "vectors": floats_of(estimator.support_vectors_),
        "kernel": text(estimator.kernel),
        "gamma": single(estimator._gamma),
        "degree": whole(estimator.degree),
        "shift": single(estimator.coef0),
    }


def _classifier(estimator: Any) -> Taken:
    if estimator.break_ties and estimator.decision_function_shape == "ovo":
        raise EstimatorNotHeld("it breaks ties that its decision function does not show")
    counts = np.asarray(estimator._n_support)
    owner = np.repeat(np.arange(len(counts)), counts)
    dual = floats_of(estimator._dual_coef_)
    coefs = np.zeros((len(counts) * (len(counts) - 1) // 2, len(owner)))
    for pair, (first, second) in enumerate(combinations(range(len(counts)), 2)):
        coefs[pair, owner == first] = dual[second - 1, owner == first]
        coefs[pair, owner == second] = dual[first, owner == second]
    arrays = _machine(estimator) | {
        "coefs": coefs,
        "intercept": floats_of(estimator._intercept_),
        "shape": text(estimator.decision_function_shape),
        "break_ties": flag(estimator.break_ties),
        "classes": plain_labels(estimator.classes_),
    }
    if estimator._effective_probability and len(estimator._probA):
        arrays |= {"slopes": floats_of(estimator._probA), "offsets": floats_of(estimator._probB)}
    return "vector_classifier", arrays


def _sum(estimator: Any) -> dict[str, NDArray[Any]]:
    return _machine(estimator) | {
        "coefs": floats_of(estimator._dual_coef_),
        "intercept": floats_of(estimator._intercept_),
    }


def _regressor(estimator: Any) -> Taken:
    return "vector_regressor", _sum(estimator)


def _outliers(estimator: Any) -> Taken:
    return "vector_outliers", _sum(estimator) | {"offset": floats_of(np.ravel(estimator.offset_))}


KINDS: Final[dict[str, type[Part]]] = {
    "vector_classifier": VectorClassifier,
    "vector_regressor": VectorRegressor,
    "vector_outliers": VectorOutliers,
}
TAKERS: Final[dict[str, Taker]] = {
    "SVC": _classifier,
    "NuSVC": _classifier,
    "SVR": _regressor,
    "NuSVR": _regressor,
    "OneClassSVM": _outliers,
}
