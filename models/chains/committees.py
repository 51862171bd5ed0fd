"""Committees: votes, averages, boosting and stacks of any estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.chains.asking import picked
from models.chains.pipelines import averaged, ragged_places
from models.errors import ArraysMalformed
from models.layouts import (
    Floats,
    flags,
    floats,
    integers,
    labels,
    layout,
    optional,
    texts,
)
from models.parts import Child, Part, matrix, shared
from models.tables import Features, row_count


class SoftVote(Part):
    """The label whose probability is highest on average."""

    LAYOUT = layout(weights=optional(floats("parts")), flat=flags(1), classes=labels("classes"))
    CHILDREN = None

    def prepare(self) -> None:
        self.need(self.children, "predict_proba")
        if len(self.arrays.get("weights", self.children)) != len(self.children):
            raise ArraysMalformed("there are not as many weights as voters")

    def withheld(self) -> frozenset[str]:
        return frozenset() if self.arrays["flat"][0] else frozenset({"transform"})

    def _each(self, features: Features) -> list[Floats]:
        return [part.answer("predict_proba", features) for part in self.children]

    def predict_proba(self, features: Features) -> Floats:
        """The weighted mean of the voters' probabilities."""
        each = np.asarray(self._each(features))
        mean: Floats = np.average(each, axis=0, weights=self.arrays.get("weights"))
        return mean

    def predict(self, features: Features) -> NDArray[Any]:
        """The likeliest label."""
        picked: NDArray[Any] = self.arrays["classes"][self.predict_proba(features).argmax(axis=1)]
        return picked

    def transform(self, features: Features) -> Floats:
        """Each voter's probabilities, side by side."""
        return np.hstack(self._each(features))


class HardVote(Part):
    """The label that most voters give, who answer with its place."""

    LAYOUT = layout(weights=floats("parts"), classes=labels("classes"))
    CHILDREN = "parts"

    def prepare(self) -> None:
        self.need(self.children, "predict")

    def transform(self, features: Features) -> NDArray[np.int64]:
        """Each voter's answer."""
        answers = np.column_stack([part.answer("predict", features) for part in self.children])
        return answers.astype(np.int64)

    def predict(self, features: Features) -> NDArray[Any]:
        """The label with the most votes, the first of equal ones."""
        answers = self.transform(features)
        votes = np.zeros((len(answers), self.lengths["classes"]))
        every = np.arange(len(answers))
        for voter, weight in enumerate(self.arrays["weights"]):
            votes[every, answers[:, voter]] += weight
        picked: NDArray[Any] = self.arrays["classes"][votes.argmax(axis=1)]
        return picked


class Average(Part):
    """The weighted mean of numbers."""

    LAYOUT = layout(weights=optional(floats("parts")))
    CHILDREN = None

    def prepare(self) -> None:
        self.need(self.children, "predict")
        if len(self.arrays.get("weights", self.children)) != len(self.children):
            raise ArraysMalformed("there are not as many weights as parts")

    def transform(self, features: Features) -> Floats:
        """Each part's number."""
        return np.asarray([part.answer("predict", features) for part in self.children]).T

    def predict(self, features: Features) -> Floats:
        """Their mean."""
        weights = self.arrays.get("weights")
        mean: Floats = np.average(self.transform(features), axis=1, weights=weights)
        return mean


class Bag(Part):
    """The mean of parts that see some columns each; with classes a classifier."""

    LAYOUT = layout(
        places=integers("places", least=0),
        ends=integers("parts", least=1),
        columns=integers(1, least=1),
        voting=flags(1),
        logarithmic=flags(1),  # the parts answer predict_log_proba
        classes=optional(labels("classes")),
    )
    CHILDREN = "parts"

    def prepare(self) -> None:
        self._voting = bool(self.arrays["voting"][0])
        probable = "classes" in self.arrays and not self._voting
        self.need(self.children, "predict_proba" if probable else "predict")
        self._places = ragged_places(self.arrays, int(self.arrays["columns"][0]))
        self._logarithmic = bool(self.arrays["logarithmic"][0])
        if self._logarithmic:
            self.need(self.children, "predict_log_proba")

    def offered(self) -> frozenset[str]:
        if "classes" not in self.arrays:
            return frozenset({"predict"})
        own = frozenset({"predict", "predict_proba", "predict_log_proba"})
        return own | (shared(self.children) & {"decision_function"})

    def _each(self, method: str, features: Features) -> list[NDArray[Any]]:
        parts = zip(self.children, self._places, strict=True)
        return [part.answer(method, picked(features, own)) for part, own in parts]

    def predict(self, features: Features) -> NDArray[Any]:
        """The likeliest label, or the mean of the numbers."""
        if "classes" not in self.arrays:
            return averaged(self._each("predict", features))
        chosen = self.predict_proba(features).argmax(axis=1)
        label: NDArray[Any] = self.arrays["classes"][chosen]
        return label

    def predict_proba(self, features: Features) -> Floats:
        """The mean of the probabilities, or of the votes of parts that have none."""
        if not self._voting:
            return averaged(self._each("predict_proba", features))
        shares = np.zeros((row_count(features), self.lengths["classes"]))
        every = np.arange(len(shares))
        for answers in self._each("predict", features):
            shares[every, answers] += 1
        shares /= len(self.children)
        return shares

    def predict_log_proba(self, features: Features) -> Floats:
        """The logarithm of the mean of the probabilities."""
        if not self._logarithmic:
            return np.log(self.predict_proba(features))
        each = self._each("predict_log_proba", features)
        total = np.full_like(each[0], -np.inf)
        for one in each:
            total = np.logaddexp(total, one)
        total -= np.log(len(each))
        return total

    def decision_function(self, features: Features) -> Floats:
        """The mean of the scores."""
        return averaged(self._each("decision_function", features))


class BoostedLabels(Part):
    """AdaBoost of any classifiers: weighted votes."""

    LAYOUT = layout(weights=floats("parts"), classes=labels("classes"))
    CHILDREN = "parts"

    def prepare(self) -> None:
        self.need(self.children, "predict")
        if self.lengths["classes"] < 2:
            raise ArraysMalformed("there is one label only")

    def decision_function(self, features: Features) -> Floats:
        """The votes over their weights; of two labels one number."""
        classes, weights = self.arrays["classes"], self.arrays["weights"]
        votes = np.zeros((row_count(features), len(classes)))
        for part, weight in zip(self.children, weights, strict=True):
            agreed = part.answer("predict", features) == classes[:, np.newaxis]
            votes += np.where(agreed.T, weight, -1 / (len(classes) - 1) * weight)
        votes /= weights.sum()
        if len(classes) > 2:
            return votes
        votes[:, 0] *= -1
        summed: Floats = votes.sum(axis=1)
        return summed

    def predict(self, features: Features) -> NDArray[Any]:
        """The label with the most votes."""
        votes = self.decision_function(features)
        chosen = (votes > 0).astype(np.intp) if votes.ndim == 1 else votes.argmax(axis=1)
        label: NDArray[Any] = self.arrays["classes"][chosen]
        return label

    def predict_proba(self, features: Features) -> Floats:
        """The softmax of the votes."""
        votes = self.decision_function(features)
        if votes.ndim == 1:
            votes = np.vstack([-votes, votes]).T / 2
        else:
            votes = votes / (self.lengths["classes"] - 1)
        votes -= votes.max(axis=1).reshape(-1, 1)
        votes = np.exp(votes)
        votes /= votes.sum(axis=1).reshape(-1, 1)
        return votes

    def predict_log_proba(self, features: Features) -> Floats:
        """Their logarithms."""
        return np.log(self.predict_proba(features))


class BoostedNumbers(Part):
    """AdaBoost of any regressors: the weighted median."""

    LAYOUT = layout(weights=floats("parts"))
    CHILDREN = "parts"

    def prepare(self) -> None:
        self.need(self.children, "predict")

    def predict(self, features: Features) -> Floats:
        """The median of the parts' numbers."""
        each = np.array([part.answer("predict", features) for part in self.children]).T
        order = np.argsort(each, axis=1)
        reached = np.cumsum(self.arrays["weights"][order], axis=1)
        middle = (reached >= 0.5 * reached[:, -1][:, np.newaxis]).argmax(axis=1)
        every = np.arange(len(each))
        median: Floats = each[every, order[every, middle]]
        return median


class Stack(Part):
    """A last estimator over the answers of others; `classes` name those of the last one."""

    LAYOUT = layout(
        methods=texts("parts"),
        drops=flags(1),
        passes=flags(1),
        classes=optional(labels("classes")),
    )
    CHILDREN = None

    def prepare(self) -> None:
        self._methods = self.arrays["methods"].tolist()
        if len(self._methods) != len(self.children) - 1:
            raise ArraysMalformed("there are not as many parts as methods to ask them for")
        self._asked: tuple[tuple[Child, str], ...] = tuple(
            zip(self.children[:-1], self._methods, strict=True)
        )
        for part, method in self._asked:
            self.need([part], method)

    def offered(self) -> frozenset[str]:
        passed = {"predict", "predict_proba", "decision_function"}
        return (self.children[-1].methods & passed) | {"transform"}

    def transform(self, features: Features) -> Any:
        """The answers of the parts, side by side."""
        made = []
        for part, method in self._asked:
            answers = part.answer(method, features)
            if answers.ndim == 1:
                made.append(answers.reshape(-1, 1))
            else:
                drops = method == "predict_proba" and self.arrays["drops"][0]
                made.append(answers[:, 1:] if drops else answers)
        if self.arrays["passes"][0]:
            made.append(matrix(features))
        return np.hstack(made)

    def respond(self, method: str, features: Features) -> NDArray[Any]:
        made = self.transform(features)
        if method == "transform":
            return np.asarray(made)
        answers = self.children[-1].answer(method, made)
        if method == "predict" and "classes" in self.arrays:
            named: NDArray[Any] = self.arrays["classes"][answers]
            return named
        return answers
