"""What TensorFlow runs, as estimators: a function from the tensors of rows to those of answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import tensorflow as tf

from models.errors import FormatRefused
from models.runtimes.tensor_inputs import (
    Array,
    Input,
    Tags,
    columns_of_inputs,
    fed,
    flattened,
    input_of,
)

DTYPES: Final[dict[str, Any]] = {
    "float32": np.float32,
    "float64": np.float64,
    "float16": np.float16,
    "int64": np.int64,
    "int32": np.int32,
    "bool": np.bool_,
    "string": object,
}


class TensorFlowModel:
    """A function of TensorFlow's that answers `predict`, with the attributes of an estimator.

    What it answers are its outputs side by side; what they mean is its author's to know.
    """

    def __init__(
        self, inputs: Sequence[Input], function: Callable[..., Sequence[Any]], *, nbytes: int
    ) -> None:
        self.nbytes = nbytes
        self._inputs = inputs
        self._function = function
        self.columns_ = columns_of_inputs(inputs)
        self.n_features_in_ = self.columns_.count
        if self.columns_.names is not None:
            self.feature_names_in_ = np.array(self.columns_.names, dtype=object)

    def __sklearn_tags__(self) -> Tags:
        return Tags("regressor")

    def predict(self, rows: Any) -> Array:
        """Return the outputs for each row."""
        tensors = fed(self._inputs, rows)
        if any(each.single for each in self._inputs):
            single = [self._ask([t[at : at + 1] for t in tensors]) for at in range(len(rows))]
            return np.concatenate(single)
        return self._ask(tensors)

    def _ask(self, tensors: list[Array]) -> Array:
        outputs = self._function(*(tf.constant(tensor) for tensor in tensors))
        answers = [flattened(_array(output)) for output in outputs]
        return answers[0] if len(answers) == 1 else np.column_stack(answers)


def input_of_tensor(name: str, spec: Any) -> Input:
    """Describe an input by its TensorSpec; raises FormatRefused for one that rows cannot be."""
    dtype = DTYPES.get(spec.dtype.name)
    if dtype is None or spec.shape.rank is None:
        raise FormatRefused(f"its input {name[:80]!r} is of a type or shape that is not taken")
    return input_of(name, dtype, spec.shape.as_list())


def check_outputs(outputs: Sequence[Any]) -> None:
    """Raise FormatRefused unless outputs are tensors that can stand side by side."""
    kinds = [DTYPES.get(output.dtype.name) for output in outputs]
    if not kinds or None in kinds or (object in kinds and len(kinds) > 1):
        raise FormatRefused("its outputs are of types that are not taken")


def _array(output: Any) -> Array:
    array = output.numpy()
    if array.dtype == object:
        return np.array(
            [text.decode("utf-8", "replace") for text in array.ravel()], object
        ).reshape(array.shape)
    return np.asarray(array)
