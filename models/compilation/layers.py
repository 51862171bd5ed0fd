"""Dense networks of Keras in numpy: in float32 as TensorFlow computes them, but for rounding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation import Predictor, Unsuitable
from models.errors import ArraysMalformed, EstimatorNotHeld, MethodUnknown, RowsRefused
from models.tables import Features, Table

Singles = NDArray[np.float32]
Arrays = dict[str, NDArray[Any]]

PASSING: Final = frozenset(
    {"InputLayer", "Dropout", "GaussianNoise", "GaussianDropout", "Identity"}
)
ALPHA_OF_SELU: Final = np.float32(1.6732632423543772)
SCALE_OF_SELU: Final = np.float32(1.0507009873554805)
ONE: Final = np.float32(1)


def _softmax(numbers: Singles) -> Singles:
    raised = np.exp(numbers - numbers.max(axis=1, keepdims=True))
    answers: Singles = raised / raised.sum(axis=1, keepdims=True)
    return answers


def _elu(numbers: Singles) -> Singles:
    return np.where(numbers > 0, numbers, np.expm1(np.minimum(numbers, 0)))


def _selu(numbers: Singles) -> Singles:
    answers: Singles = SCALE_OF_SELU * np.where(numbers > 0, numbers, ALPHA_OF_SELU * _elu(numbers))
    return answers


ACTIVATIONS: Final[Mapping[str, Callable[[Singles], Singles]]] = MappingProxyType(
    {
        "linear": lambda numbers: numbers,
        "relu": lambda numbers: np.maximum(numbers, 0),
        "sigmoid": lambda numbers: ONE / (ONE + np.exp(-numbers)),
        "tanh": np.tanh,
        "softmax": _softmax,
        "softplus": lambda numbers: np.logaddexp(numbers, np.float32(0)),
        "elu": _elu,
        "selu": _selu,
        "exponential": np.exp,
    }
)


class LayersPredictor:
    """Products, sums and activations, layer after layer."""

    methods = frozenset({"predict"})

    def __init__(self, layers: list[tuple[Singles, Singles, str]]) -> None:
        self._layers = layers
        self.size = sum(weights.nbytes + biases.nbytes for weights, biases, _ in layers)

    def answer(self, method: str, features: Features) -> NDArray[Any]:
        """Answer each row as float32; raises MethodUnknown."""
        if method not in self.methods:
            raise MethodUnknown(method, tuple(self.methods))
        if isinstance(features, Table):
            raise RowsRefused("text, where numbers are taken")
        numbers = features.astype(np.float32)
        for weights, biases, activation in self._layers:
            # A layer of one row of weights scales each column by itself.
            numbers = numbers * weights if weights.ndim == 1 else numbers @ weights
            numbers = ACTIVATIONS[activation](numbers + biases)
        return numbers[:, 0] if numbers.shape[1] == 1 else numbers


class LayersEngine:
    """Serves Keras models that are one chain of dense layers and what comes between them."""

    name = "layers"

    def compile(self, estimator: object) -> Mapping[str, NDArray[Any]] | Unsuitable:
        """Return weights, biases and activation of each layer."""
        model = getattr(estimator, "model", None)
        if type(estimator).__name__ != "KerasModel" or model is None:
            return Unsuitable(f"{type(estimator).__name__} is no model of Keras", foreign=True)
        try:
            layers = [step for layer in _chain(model) for step in _steps(layer)]
        except EstimatorNotHeld as error:
            return Unsuitable(error.problem)
        if not layers:
            return Unsuitable("it has no layer with weights")
        arrays: Arrays = {"activations": np.array([name for _, _, name in layers])}
        for at, (weights, biases, _) in enumerate(layers):
            arrays[f"weights{at}"], arrays[f"biases{at}"] = weights, biases
        return arrays

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> Predictor:
        """Open layers; raises ArraysMalformed unless each fits the one before it."""
        names = arrays.get("activations")
        if names is None or names.dtype.kind != "U" or names.ndim != 1 or not len(names):
            raise ArraysMalformed("they are no layers")
        wanted = {f"{kind}{at}" for kind in ("weights", "biases") for at in range(len(names))}
        if arrays.keys() != wanted | {"activations"}:
            raise ArraysMalformed("there are not weights and biases for each layer")
        if not ACTIVATIONS.keys() >= set(names.tolist()):
            raise ArraysMalformed("an activation is not known")
        layers = [
            (arrays[f"weights{at}"], arrays[f"biases{at}"], str(name))
            for at, name in enumerate(names)
        ]
        _check(layers)
        return LayersPredictor(layers)


def _check(layers: list[tuple[Singles, Singles, str]]) -> None:
    width: int | None = None
    for weights, biases, _ in layers:
        if weights.dtype != np.float32 or biases.dtype != np.float32:
            raise ArraysMalformed("weights are not float32")
        if weights.ndim not in (1, 2) or not weights.size or biases.shape != weights.shape[-1:]:
            raise ArraysMalformed("the shapes of weights and biases do not fit")
        if width not in (None, weights.shape[0]):
            raise ArraysMalformed("a layer is not as wide as what the one before it gives")
        if not (np.isfinite(weights).all() and np.isfinite(biases).all()):
            raise ArraysMalformed("a weight is not finite")
        width = weights.shape[-1]


def _chain(model: Any) -> Iterator[Any]:
    """The layers of a model in order; raises EstimatorNotHeld where they are not one chain."""
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.inputs[0].shape) != 2:
        raise EstimatorNotHeld("it takes or gives more than one row of numbers")
    if type(model).__name__ == "Functional":
        _check_order(model.get_config()["layers"])
    elif type(model).__name__ != "Sequential":
        raise EstimatorNotHeld("it is neither Sequential nor Functional")
    yield from model.layers


def _check_order(layers: list[dict[str, Any]]) -> None:
    """Each layer is asked once, about what the one before it gives."""
    for at, layer in enumerate(layers):
        calls = layer["inbound_nodes"]
        args = calls[0]["args"] if calls else ()
        wanted = [[layers[at - 1]["name"], 0, 0]] if at else []
        told = [arg["config"]["keras_history"] for arg in args if isinstance(arg, dict)]
        if len(calls) > 1 or len(args) != len(told) or told != wanted:
            raise EstimatorNotHeld("its layers are not one chain")


def _steps(layer: Any) -> Iterator[tuple[Singles, Singles, str]]:
    kind = type(layer).__name__
    if not type(layer).__module__.startswith("keras.src.layers."):
        raise EstimatorNotHeld(f"{kind} is no layer of Keras' own")
    if kind in PASSING or (kind == "Flatten" and len(layer.input.shape) == 2):
        return
    taker = TAKERS.get(kind)
    if taker is None or layer.dtype_policy.name != "float32":
        raise EstimatorNotHeld(f"{kind} is no layer that this engine knows")
    yield taker(layer)


def _dense(layer: Any) -> tuple[Singles, Singles, str]:
    kernel = _single(layer.kernel)
    biases = _single(layer.bias) if layer.use_bias else np.zeros(kernel.shape[1], np.float32)
    return kernel, biases, _activation(layer.activation)


def _normalization(layer: Any) -> tuple[Singles, Singles, str]:
    if layer.invert or tuple(layer.axis) not in {(-1,), (1,)}:
        raise EstimatorNotHeld("it normalizes other than column by column")
    mean, variance = _single(layer.mean).ravel(), _single(layer.variance).ravel()
    scale = ONE / np.maximum(np.sqrt(variance), np.float32(1e-7))
    return _single(scale), _single(-mean * scale), "linear"


def _batch_normalization(layer: Any) -> tuple[Singles, Singles, str]:
    scale = ONE / np.sqrt(_single(layer.moving_variance) + np.float32(layer.epsilon))
    if layer.scale:
        scale = scale * _single(layer.gamma)
    shift = _single(layer.beta) if layer.center else np.float32(0)
    return _single(scale), _single(shift - _single(layer.moving_mean) * scale), "linear"


def _alone(layer: Any) -> tuple[Singles, Singles, str]:
    """An activation as a layer that scales by one."""
    width = int(layer.input.shape[1])
    kind = type(layer).__name__
    if kind == "ReLU" and (layer.max_value is not None or layer.negative_slope or layer.threshold):
        raise EstimatorNotHeld("its rectifier is bent")
    name = {"ReLU": "relu", "Softmax": "softmax"}.get(kind) or _activation(layer.activation)
    return np.ones(width, np.float32), np.zeros(width, np.float32), name


def _activation(function: Any) -> str:
    name = getattr(function, "__name__", "")
    own = getattr(function, "__module__", "").startswith("keras.src.activations")
    if not own or name not in ACTIVATIONS:
        raise EstimatorNotHeld(f"the activation {name!r} is not known")
    return str(name)


def _single(weight: Any) -> Singles:
    array = np.asarray(weight)
    if array.dtype != np.float32:
        raise EstimatorNotHeld(f"weights are {array.dtype}")
    return np.ascontiguousarray(array)


TAKERS: Final[Mapping[str, Callable[[Any], tuple[Singles, Singles, str]]]] = MappingProxyType(
    {
        "Activation": _alone,
        "BatchNormalization": _batch_normalization,
        "Dense": _dense,
        "Normalization": _normalization,
        "ReLU": _alone,
        "Softmax": _alone,
    }
)
