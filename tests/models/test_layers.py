"""Layers as arrays: what the engine opens, answers and refuses. Its compiling needs TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.compilation import Unsuitable
from models.compilation.layers import LayersEngine
from models.errors import ArraysMalformed, MethodUnknown

Arrays = dict[str, NDArray[Any]]


def two_layers() -> Arrays:
    """Scales two columns, then sums them into three with a rectifier."""
    return {
        "activations": np.array(["linear", "relu"]),
        "weights0": np.array([2.0, 4.0], np.float32),
        "biases0": np.array([1.0, 0.0], np.float32),
        "weights1": np.array([[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]], np.float32),
        "biases1": np.array([0.0, 0.5, 0.0], np.float32),
    }


def test_layers_answer_one_after_another() -> None:
    predictor = LayersEngine().load(two_layers())

    answers = predictor.answer("predict", np.array([[1.0, 1.0], [0.0, -1.0]]))

    assert answers.dtype == np.float32
    assert answers.tolist() == [[3.0, 4.5, 0.0], [1.0, 0.0, 0.0]]
    assert predictor.size == 2 * 2 * 4 + (6 + 3) * 4


def test_one_output_is_one_number_for_each_row() -> None:
    arrays = two_layers()
    arrays["weights1"], arrays["biases1"] = arrays["weights1"][:, :1], arrays["biases1"][:1]

    answers = LayersEngine().load(arrays).answer("predict", np.array([[1.0, 1.0], [0.0, -1.0]]))

    assert answers.tolist() == [3.0, 1.0]


def test_probabilities_are_left_to_whoever_knows_the_labels() -> None:
    with pytest.raises(MethodUnknown):
        LayersEngine().load(two_layers()).answer("predict_proba", np.ones((1, 2)))


@pytest.mark.parametrize(
    "changed",
    [
        {"activations": np.array(["linear", "getattr"])},
        {"activations": np.array(["linear"])},
        {"activations": np.array([1.0, 2.0])},
        {"weights0": np.array([2.0, 4.0, 1.0], np.float32)},
        {"weights1": np.ones((3, 3), np.float32)},
        {"weights1": np.ones((2, 3))},
        {"weights1": np.full((2, 3), np.nan, np.float32)},
        {"biases1": np.ones(2, np.float32)},
        {"weights2": np.ones((3, 3), np.float32)},
    ],
)
def test_arrays_that_are_no_layers_are_refused(changed: Arrays) -> None:
    with pytest.raises(ArraysMalformed):
        LayersEngine().load(two_layers() | changed)


def test_only_models_of_keras_are_taken_apart() -> None:
    assert isinstance(LayersEngine().compile(object()), Unsuitable)
