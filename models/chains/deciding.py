"""Many labels from deciders between two, thresholds, and probabilities that were calibrated."""

from __future__ import annotations

from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.chains.asking import score
from models.chains.pipelines import averaged
from models.errors import ArraysMalformed
from models.layouts import (
    Field,
    Floats,
    choice,
    flags,
    floats,
    indices,
    integers,
    labels,
    layout,
    optional,
)
from models.parts import Part, shared
from models.tables import Features, row_count

RESPONSES: Final = Field(
    "U", ("parts",), among=frozenset({"decision_function", "predict_proba", "predict"})
)
EPSILON = 1e-12


class _Deciders(Part):
    """Parts that score whether a row has the second of two labels."""

    def prepare(self) -> None:
        self._asked = tuple(zip(self.children, self.arrays["methods"].tolist(), strict=True))
        for part, method in self._asked:
            self.need([part], method)
        self._middle = 0.0 if self._asked[0][1] == "decision_function" else 0.5

    def scores(self, features: Features) -> list[Floats]:
        """The score of each part."""
        return [score(part, method, features) for part, method in self._asked]


class EachAgainstRest(_Deciders):
    """One decider for each label."""

    LAYOUT = layout(methods=RESPONSES, classes=labels("classes"))
    CHILDREN = "parts"

    def prepare(self) -> None:
        super().prepare()
        self._two = len(self.children) == 1 and self.lengths["classes"] == 2
        if not self._two and len(self.children) != self.lengths["classes"]:
            raise ArraysMalformed("there are not as many deciders as labels")

    def offered(self) -> frozenset[str]:
        return (shared(self.children) & {"decision_function", "predict_proba"}) | {"predict"}

    def predict(self, features: Features) -> NDArray[Any]:
        """The label whose decider is surest, the first of equal ones."""
        scores = self.scores(features)
        if self._two:
            chosen = (scores[0] > self._middle).astype(np.intp)
        else:
            chosen = np.array(scores).argmax(axis=0)
        label: NDArray[Any] = self.arrays["classes"][chosen]
        return label

    def decision_function(self, features: Features) -> Floats:
        """One score for each label; of two labels one score."""
        if len(self.children) == 1:
            return self.children[0].answer("decision_function", features)
        each = [part.answer("decision_function", features).ravel() for part in self.children]
        return np.array(each).T

    def predict_proba(self, features: Features) -> Floats:
        """Each label's probability, of all 1."""
        likely = np.array([p.answer("predict_proba", features)[:, 1] for p in self.children]).T
        if len(self.children) == 1:
            likely = np.concatenate(((1 - likely), likely), axis=1)
        total = np.sum(likely, axis=1)[:, np.newaxis]
        np.divide(likely, total, out=likely, where=total != 0)
        return likely


class EachAgainstEach(_Deciders):
    """One decider for each pair of labels, which vote."""

    LAYOUT = layout(methods=RESPONSES, classes=labels("classes"))
    CHILDREN = "parts"

    def prepare(self) -> None:
        super().prepare()
        self.need(self.children, "predict")
        self._pairs = tuple(combinations(range(self.lengths["classes"]), 2))
        if len(self._pairs) != len(self.children):
            raise ArraysMalformed("there are not as many deciders as pairs of labels")

    def decision_function(self, features: Features) -> Floats:
        """Votes, and below 1/3 how confident they are; of two labels one number."""
        count = self.lengths["classes"]
        votes = np.zeros((row_count(features), count))
        confidence = np.zeros_like(votes)
        scores = zip(self._pairs, self.children, self.scores(features), strict=True)
        for (first, second), part, sure in scores:
            answers = part.answer("predict", features)
            confidence[:, first] -= sure
            confidence[:, second] += sure
            votes[:, first] += answers == 0
            votes[:, second] += answers == 1
        ranks: Floats = votes + confidence / (3 * (np.abs(confidence) + 1))
        return ranks[:, 1] if count == 2 else ranks

    def predict(self, features: Features) -> NDArray[Any]:
        """The label with the highest rank."""
        ranks = self.decision_function(features)
        above = (ranks > self._middle).astype(np.intp)
        chosen = above if ranks.ndim == 1 else ranks.argmax(axis=1)
        label: NDArray[Any] = self.arrays["classes"][chosen]
        return label


class CodedLabels(_Deciders):
    """The label whose code is nearest to what the deciders say."""

    LAYOUT = layout(methods=RESPONSES, codes=floats("classes", "parts"), classes=labels("classes"))
    CHILDREN = "parts"

    def prepare(self) -> None:
        super().prepare()
        codes = self.arrays["codes"]
        self._lengths = np.vecdot(codes, codes)

    def predict(self, features: Features) -> NDArray[Any]:
        """The nearest label, by the distances of scikit-learn's ArgKmin."""
        said = np.column_stack(self.scores(features))
        doubled = np.repeat(said, 2, axis=0) if len(said) == 1 else said
        products = (doubled @ self.arrays["codes"].T)[: len(said)]
        distances = np.vecdot(said, said)[:, np.newaxis] + -2 * products
        distances += self._lengths
        label: NDArray[Any] = self.arrays["classes"][np.fmax(distances, 0).argmin(axis=1)]
        return label


class Threshold(Part):
    """Two labels by a threshold of one's score."""

    LAYOUT = layout(
        method=choice("decision_function", "predict_proba"),
        column=indices(1, below=2),
        mirrored=flags(1),
        threshold=floats(1),
        pair=labels(2),  # below the threshold, and from it on
    )
    CHILDREN = 1

    def prepare(self) -> None:
        self._method = str(self.arrays["method"][0])
        self.need(self.children, self._method)

    def offered(self) -> frozenset[str]:
        passed = {"predict_proba", "predict_log_proba", "decision_function"}
        return frozenset({"predict"}) | (self.children[0].methods & passed)

    def respond(self, method: str, features: Features) -> NDArray[Any]:
        if method != "predict":
            return self.children[0].answer(method, features)
        scores = self.children[0].answer(self._method, features)
        if self._method == "predict_proba":
            scores = scores[:, self.arrays["column"][0]]
        elif self.arrays["mirrored"][0]:
            scores = -1 * scores
        above = (scores >= self.arrays["threshold"][0]).astype(np.intp)
        label: NDArray[Any] = self.arrays["pair"][above]
        return label


class Calibrated(Part):
    """An estimator whose scores sigmoids turn into probabilities, or lines, or a temperature."""

    LAYOUT = layout(
        method=choice("decision_function", "predict_proba"),
        form=choice("sigmoid", "isotonic", "temperature"),
        places=indices("calibrators", below="classes"),
        slopes=optional(floats("calibrators")),
        offsets=optional(floats("calibrators")),
        cold=optional(floats(1)),
        classes=integers("classes"),
    )
    CHILDREN = None

    def prepare(self) -> None:
        self._method = str(self.arrays["method"][0])
        self._form = str(self.arrays["form"][0])
        self.need(self.children[:1], self._method)
        self.need(self.children[1:], "predict")
        wanted = self.lengths["calibrators"] if self._form == "isotonic" else 0
        given = {
            "sigmoid": {"slopes", "offsets"} <= self.arrays.keys(),
            "isotonic": True,
            "temperature": "cold" in self.arrays,
        }
        if len(self.children) != 1 + wanted or not given[self._form]:
            raise ArraysMalformed("the calibrators are not there")

    def predict_proba(self, features: Features) -> Floats:
        """Each label's probability."""
        scores = self.children[0].answer(self._method, features)
        two = self.lengths["classes"] == 2
        if two and scores.ndim == 2:
            scores = scores[:, 1]
        scores = scores.reshape(-1, 1) if scores.ndim == 1 else scores
        tempered = self._form == "temperature"
        likely = self._tempered(scores) if tempered else self._calibrated(scores)
        likely[(likely > 1.0) & (likely <= 1.0 + 1e-5)] = 1.0
        return likely

    def _calibrated(self, scores: Floats) -> Floats:
        count = self.lengths["classes"]
        likely = np.zeros((len(scores), count))
        for at, place in enumerate(self.arrays["places"].tolist()):
            column = scores[:, at]
            if self._form == "sigmoid":
                bent = self.arrays["slopes"][at] * column + self.arrays["offsets"][at]
                likely[:, place] = 1.0 / (1.0 + np.exp(bent))
            else:
                likely[:, place] = self.children[1 + at].answer("predict", column.reshape(-1, 1))
        if count == 2:
            likely[:, 0] = 1.0 - likely[:, 1]
            return likely
        total = np.sum(likely, axis=1)[:, np.newaxis]
        even = np.full_like(likely, 1 / count)
        np.divide(likely, total, out=even, where=total != 0)
        return even

    def _tempered(self, scores: Floats) -> Floats:
        if scores.shape[1] == 1 and self._method == "predict_proba":
            scores = np.concatenate([1 - scores, scores], axis=1)
        if scores.shape[1] == 1:
            scores = np.concatenate([-scores, scores], axis=1)
        elif _probable(scores):
            scores = np.log(scores + EPSILON)
        scores = self.arrays["cold"][0] * scores
        scores -= scores.max(axis=1).reshape(-1, 1)
        likely: Floats = np.exp(scores)
        likely /= likely.sum(axis=1).reshape(-1, 1)
        return likely


class CalibratedMean(Part):
    """The mean of several calibrated estimators."""

    LAYOUT = layout(classes=labels("classes"))
    CHILDREN = None

    def prepare(self) -> None:
        self.need(self.children, "predict_proba")

    def predict_proba(self, features: Features) -> Floats:
        """The mean of the probabilities."""
        return averaged([part.answer("predict_proba", features) for part in self.children])

    def predict(self, features: Features) -> NDArray[Any]:
        """The likeliest label."""
        chosen = self.predict_proba(features).argmax(axis=1)
        label: NDArray[Any] = self.arrays["classes"][chosen]
        return label


def _probable(scores: Floats) -> bool:
    between = bool(np.all((scores >= 0) & (scores <= 1)))
    return between and bool(np.all(np.isclose(np.sum(scores, axis=1), 1.0)))
