"""Answers that do not depend on more than one number: dummies and isotonic regression."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.numeric.taking import Taken, Taker, flag, floats_of, text
from models.errors import EstimatorNotHeld, RowsRefused
from models.labels import plain_labels
from models.layouts import Floats, choice, flags, floats, labels, layout, optional
from models.parts import Part, matrix
from models.tables import Features, row_count


class Constant(Part):
    """One answer to every row, and of a classifier one list of probabilities."""

    LAYOUT = layout(
        answer=labels("outputs"),
        many=flags(1),
        proba=optional(floats("classes")),
        score=optional(floats(1)),
    )

    def withheld(self) -> frozenset[str]:
        probable = frozenset({"predict_proba", "predict_log_proba"})
        withheld = frozenset() if "proba" in self.arrays else probable
        return withheld if "score" in self.arrays else withheld | {"decision_function"}

    def decision_function(self, features: Features) -> Floats:
        """The score."""
        return np.repeat(self.arrays["score"], row_count(features))

    def predict(self, features: Features) -> NDArray[Any]:
        """The answer."""
        repeated = np.repeat(self.arrays["answer"][np.newaxis], row_count(features), axis=0)
        return repeated if self.arrays["many"][0] else repeated[:, 0]

    def predict_proba(self, features: Features) -> Floats:
        """The probabilities."""
        return np.repeat(self.arrays["proba"][np.newaxis], row_count(features), axis=0)

    def predict_log_proba(self, features: Features) -> Floats:
        """Their logarithms."""
        return np.log(self.predict_proba(features))


class Isotonic(Part):
    """A line through points, of one column."""

    LAYOUT = layout(
        x=floats("points"),
        y=floats("points"),
        beyond=choice("nan", "clip", "raise"),
        range=floats(2),
    )

    def predict(self, features: Features) -> Floats:
        """The height of the line."""
        x, y = self.arrays["x"], self.arrays["y"]
        at, beyond = matrix(features)[:, 0], self.arrays["beyond"][0]
        if beyond == "clip":
            at = np.clip(at, *self.arrays["range"])
        if len(y) == 1:
            return np.repeat(y, len(at))
        height: Floats = np.interp(at, x, y)
        outside = (at < x[0]) | (at > x[-1])
        if beyond == "raise" and outside.any():
            raise RowsRefused("a number beyond those that the model was fitted to")
        height[outside] = np.nan
        return height

    def transform(self, features: Features) -> Floats:
        """The same."""
        return self.predict(features)


def _dummy_classifier(estimator: Any) -> Taken:
    strategy = estimator._strategy
    if strategy not in {"most_frequent", "prior", "constant"}:
        raise EstimatorNotHeld(f"its answers are drawn at random ({strategy})")
    if estimator.n_outputs_ != 1 or estimator.sparse_output_:
        raise EstimatorNotHeld("it has several outputs")
    row = np.zeros((1, estimator.n_features_in_ or 1))
    return "constant", {
        "answer": plain_labels(np.asarray(estimator.predict(row))),
        "many": flag(False),
        "proba": floats_of(estimator.predict_proba(row)[0]),
    }


def _decided(estimator: Any) -> Taken:
    """What decides between labels of which one occurs always, or never."""
    sure = float(np.ravel(estimator.y_)[0])
    return "constant", {
        "answer": np.array([int(sure)], np.int64),
        "many": flag(False),
        "proba": floats_of([1 - sure, sure]),
        "score": floats_of([sure]),
    }


def _dummy_regressor(estimator: Any) -> Taken:
    answer = np.ravel(estimator.constant_)
    if answer.dtype.kind not in "if":
        raise EstimatorNotHeld("its answer is no number")
    plain = answer.astype(np.int64 if answer.dtype.kind == "i" else np.float64)
    return "constant", {"answer": plain, "many": flag(estimator.n_outputs_ != 1)}


def _isotonic(estimator: Any) -> Taken:
    return "isotonic", {
        "x": floats_of(estimator.X_thresholds_),
        "y": floats_of(estimator.y_thresholds_),
        "beyond": text(estimator.out_of_bounds),
        "range": floats_of([estimator.X_min_, estimator.X_max_]),
    }


KINDS: Final[dict[str, type[Part]]] = {"constant": Constant, "isotonic": Isotonic}
TAKERS: Final[dict[str, Taker]] = {
    "DummyClassifier": _dummy_classifier,
    "DummyRegressor": _dummy_regressor,
    "_ConstantPredictor": _decided,
    "IsotonicRegression": _isotonic,
}
