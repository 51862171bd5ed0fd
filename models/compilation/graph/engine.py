"""The engine of graphs: uploaded ones, and those that skl2onnx makes of estimators."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation import Predictor, Unsuitable
from models.compilation.graph.building import GraphPredictor, checked
from models.compilation.graph.description import graph_of
from models.compilation.graph.reading import Reader
from models.errors import ArraysMalformed, EstimatorNotHeld

OPSETS: Final = {"": 21, "ai.onnx.ml": 3}
SCORES: Final = ("predict_proba", "decision_function")

Methods = dict[str, tuple[int, bool]]


class GraphEngine:
    """Serves graphs of allowed operators in ONNX Runtime."""

    name = "graph"

    def compile(self, estimator: object) -> Mapping[str, NDArray[Any]] | Unsuitable:
        """Return the graph of an ONNX model, or of an estimator that has one in float64."""
        try:
            proto, methods = _taken(estimator)
            graph = Reader(proto).graph(methods)
            arrays = graph.arrays()
            GraphPredictor(checked(graph))
        except (EstimatorNotHeld, ArraysMalformed) as error:
            return Unsuitable(error.problem)
        return arrays

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> Predictor:
        """Check the description, build the graph anew and open it."""
        return GraphPredictor(checked(graph_of(arrays)))


def _taken(estimator: Any) -> tuple[Any, Methods]:
    proto = getattr(estimator, "proto", None)
    if proto is not None and type(proto).__name__ == "ModelProto":
        return proto, _methods_of_file(estimator, proto)
    if not type(estimator).__module__.startswith("sklearn."):
        raise EstimatorNotHeld(
            f"a {type(estimator).__name__} is neither a graph nor scikit-learn's"
        )
    methods = _methods_of_estimator(estimator)
    return _converted(estimator), methods


def _methods_of_file(model: Any, proto: Any) -> Methods:
    """Which outputs answer which methods, as the file's own handler sees them."""
    outputs = len(proto.graph.output)
    scores = [name for name in SCORES if hasattr(model, name)]
    if outputs == 1:
        return {"predict": (0, True)}
    if outputs == 2 and len(scores) == 1:
        return {"predict": (0, True), scores[0]: (1, True)}
    raise EstimatorNotHeld(f"it has {outputs} outputs that are answered together")


def _methods_of_estimator(estimator: Any) -> Methods:
    tags = getattr(estimator, "__sklearn_tags__", None)
    kind = tags().estimator_type if tags is not None else None
    if kind == "classifier" and hasattr(estimator, "predict_proba"):
        return {"predict": (0, True), "predict_proba": (1, False)}
    if kind in {"classifier", "clusterer"}:
        return {"predict": (0, True)}
    if kind == "outlier_detector":
        return {"predict": (0, True), "decision_function": (1, True)}
    if kind == "regressor":
        return {"predict": (0, True)}
    if hasattr(estimator, "transform"):
        return {"transform": (0, False)}
    raise EstimatorNotHeld("it answers no method that a graph has")


def _converted(estimator: Any) -> Any:
    """What skl2onnx makes of an estimator; raises EstimatorNotHeld."""
    columns = getattr(estimator, "n_features_in_", None)
    if not isinstance(columns, int | np.integer):
        raise EstimatorNotHeld("it does not say how many columns it takes")
    try:
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import DoubleTensorType

        probable = hasattr(estimator, "predict_proba") and hasattr(estimator, "classes_")
        logging.getLogger("skl2onnx").setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return convert_sklearn(
                estimator,
                initial_types=[("rows", DoubleTensorType([None, int(columns)]))],
                options={id(estimator): {"zipmap": False}} if probable else None,
                target_opset=OPSETS,
            )
    except Exception as error:
        told = " ".join(str(error).split())[:120]
        raise EstimatorNotHeld(f"skl2onnx has no float64 graph of it: {told}") from error
