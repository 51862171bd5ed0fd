"""Multilayer perceptrons."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.numeric.rows import chosen, logistic, softmax
from models.compilation.numeric.taking import Taken, Taker, floats_of, text
from models.errors import ArraysMalformed, EstimatorNotHeld
from models.labels import plain_labels
from models.layouts import Floats, choice, floats, integers, labels, layout, optional
from models.parts import Part, matrix
from models.tables import Features

HALF: Final = 0.5  # between the marks of a label that is absent and one that is there
ACTIVATIONS: Final[Mapping[str, Callable[[Floats], Floats]]] = MappingProxyType(
    {
        "identity": lambda numbers: numbers,
        "relu": lambda numbers: np.maximum(numbers, 0),
        "tanh": np.tanh,
        "logistic": logistic,
        "softmax": softmax,
        "exp": np.exp,
    }
)


class Perceptron(Part):
    """Layers of products and activations; with classes a classifier."""

    LAYOUT = layout(
        weights=floats("weights"),
        biases=floats("biases"),
        widths=integers("layers", least=1),
        hidden=choice("identity", "relu", "tanh", "logistic"),
        output=choice("identity", "logistic", "softmax", "exp"),
        classes=optional(labels("classes")),
        many=optional(labels("outputs")),
    )

    def prepare(self) -> None:
        widths = self.arrays["widths"].tolist()
        sizes = [a * b for a, b in itertools.pairwise(widths)]
        if sum(sizes) != self.lengths["weights"] or sum(widths[1:]) != self.lengths["biases"]:
            raise ArraysMalformed("the layers are not as wide as they say")
        parts = np.split(self.arrays["weights"], np.cumsum(sizes)[:-1])
        biases = np.split(self.arrays["biases"], np.cumsum(widths[1:])[:-1])
        shapes = itertools.pairwise(widths)
        weights = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
        self._layers = tuple(zip(weights, biases, strict=True))
        self._hidden = ACTIVATIONS[str(self.arrays["hidden"][0])]
        self._output = ACTIVATIONS[str(self.arrays["output"][0])]
        self._check_labels(widths[-1])

    def withheld(self) -> frozenset[str]:
        classifies = "classes" in self.arrays or "many" in self.arrays
        return frozenset() if classifies else frozenset({"predict_proba", "predict_log_proba"})

    def _check_labels(self, outputs: int) -> None:
        count = self.lengths.get("classes", self.lengths.get("outputs"))
        if count is not None and count != outputs and (count, outputs) != (2, 1):
            raise ArraysMalformed("there are not as many labels as outputs")
        if {"classes", "many"} <= self.arrays.keys():
            raise ArraysMalformed("it gives one label or many, not both")

    def _forward(self, features: Features) -> Floats:
        rows, last = matrix(features), len(self._layers) - 1
        for index, (weights, biases) in enumerate(self._layers):
            rows = rows @ weights
            rows += biases
            rows = (self._output if index == last else self._hidden)(rows)
        return rows

    def predict(self, features: Features) -> NDArray[Any]:
        """Labels, or numbers of a regressor."""
        outputs = self._forward(features)
        if "many" in self.arrays:
            return (outputs > HALF).astype(np.int64)
        if "classes" not in self.arrays:
            return outputs.ravel() if outputs.shape[1] == 1 else outputs
        classes = self.arrays["classes"]
        if outputs.shape[1] > 1:
            return chosen(classes, outputs)
        picked: NDArray[Any] = classes[(outputs.ravel() > HALF).astype(np.intp)]
        return picked

    def predict_proba(self, features: Features) -> Floats:
        """Each label's probability."""
        outputs = self._forward(features)
        if outputs.shape[1] == 1:
            likely = outputs.ravel()
            return np.vstack([1 - likely, likely]).T
        return outputs

    def predict_log_proba(self, features: Features) -> Floats:
        """The logarithm of each label's probability."""
        return np.log(self.predict_proba(features))


def _network(estimator: Any) -> Taken:
    weights = [floats_of(part) for part in estimator.coefs_]
    return "perceptron", {
        "weights": np.concatenate([part.ravel() for part in weights]),
        "biases": np.concatenate([floats_of(part) for part in estimator.intercepts_]),
        "widths": np.array([len(weights[0]), *(part.shape[1] for part in weights)], np.int64),
        "hidden": text(estimator.activation),
        "output": text(estimator.out_activation_),
    }


def _classifier(estimator: Any) -> Taken:
    kind, arrays = _network(estimator)
    binarizer = estimator._label_binarizer
    if binarizer.y_type_.startswith("multilabel"):
        arrays["many"] = plain_labels(np.asarray(binarizer.classes_))
    elif len(binarizer.classes_) < 2:
        raise EstimatorNotHeld("it has one label only")
    else:
        arrays["classes"] = plain_labels(binarizer.classes_)
    return kind, arrays


KINDS: Final[dict[str, type[Part]]] = {"perceptron": Perceptron}
TAKERS: Final[dict[str, Taker]] = {"MLPClassifier": _classifier, "MLPRegressor": _network}
