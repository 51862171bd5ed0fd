"""Several targets, one after another or on their own, and targets that were transformed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ArraysMalformed
from models.layouts import Floats, choice, flags, indices, layout
from models.parts import Part, matrix, shared
from models.tables import Features


class Several(Part):
    """One estimator for each target."""

    LAYOUT = layout()
    CHILDREN = None

    def prepare(self) -> None:
        self.need(self.children, "predict")

    def predict(self, features: Features) -> NDArray[Any]:
        """The answers, side by side."""
        return np.asarray([part.answer("predict", features) for part in self.children]).T


class Succession(Part):
    """Estimators of one target each, which see the answers of those before."""

    LAYOUT = layout(
        places=indices("parts", below="parts"),  # of each target, which estimator answers it
        method=choice("predict", "predict_proba", "predict_log_proba", "decision_function"),
        classifies=flags(1),
    )
    CHILDREN = "parts"

    def prepare(self) -> None:
        self._method = str(self.arrays["method"][0])
        self.need(self.children, self._method, "predict")
        if len(set(self.arrays["places"].tolist())) != self.lengths["parts"]:
            raise ArraysMalformed("an estimator answers for two targets")

    def offered(self) -> frozenset[str]:
        if not self.arrays["classifies"][0]:
            return frozenset({"predict"})
        passed = shared(self.children) & {"predict_proba", "decision_function"}
        logarithms = {"predict_log_proba"} if "predict_proba" in passed else set()
        return frozenset({"predict"}) | passed | logarithms

    def respond(self, method: str, features: Features) -> Floats:
        if method == "predict_log_proba":
            return np.log(self.respond("predict_proba", features))
        rows = matrix(features)
        seen = np.zeros((len(rows), len(self.children)))
        said = np.zeros_like(seen)
        for at, part in enumerate(self.children):
            given = np.hstack((rows, seen[:, :at]))
            seen[:, at] = _single(part.answer(self._method, given))
            said[:, at] = (
                seen[:, at] if method == self._method else _single(part.answer(method, given))
            )
        return said[:, self.arrays["places"]]


class Restored(Part):
    """A regressor whose answers are transformed back."""

    LAYOUT = layout(squeezes=flags(1))
    CHILDREN = 2

    def prepare(self) -> None:
        self.need(self.children[:1], "predict")
        self.need(self.children[1:], "transform")

    def predict(self, features: Features) -> Floats:
        """The numbers, transformed back."""
        answers = self.children[0].answer("predict", features)
        made = self.children[1].answer(
            "transform", answers.reshape(-1, 1) if answers.ndim == 1 else answers
        )
        squeezed = self.arrays["squeezes"][0] and made.ndim == 2 and made.shape[1] == 1
        return made[:, 0] if squeezed else made


def _single(answers: NDArray[Any]) -> NDArray[Any]:
    """The score of the second of two labels."""
    return answers[:, 1] if answers.ndim == 2 else answers
