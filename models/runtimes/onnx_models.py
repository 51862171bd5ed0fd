"""ONNX graphs as estimators: rows become a graph's inputs, its outputs become methods."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import onnxruntime
from onnx import ModelProto, numpy_helper

from models.errors import FormatRefused
from models.runtimes.tensor_inputs import (
    Array,
    Input,
    Tags,
    columns_of_inputs,
    fed,
    flattened,
    input_of,
    parts_of_outputs,
)
from models.soundness.onnx_graphs import attributes_of, nodes_of

DTYPES: Final[dict[str, Any]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": object,
}
FLOATS: Final = (np.float32, np.float64, np.float16)
LABELS: Final = frozenset({"tensor(int64)", "tensor(string)"})
ENCODERS: Final = {"LabelEncoder": "keys_strings", "OneHotEncoder": "cats_strings"}
PASSING: Final = frozenset({"Cast", "Gather", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
MAPS: Final = frozenset({"seq(map(int64,tensor(float)))", "seq(map(string,tensor(float)))"})
CLASSES: Final = re.compile(r"classes[0-9]*")
TRIALS: Final = (1.0, 0.5, 0.0)
NEAR_ONE: Final = 1e-3


class OnnxModel:
    """A graph that answers the methods which its outputs stand for.

    The attributes are those of an estimator of scikit-learn; `proto` is the graph itself, and
    `parts_` are its outputs by the method that answers them.
    """

    def __init__(self, proto: ModelProto, data: bytes) -> None:
        self.proto = proto
        self.nbytes = 2 * len(data)
        self._session = _session(data)
        self._inputs = [_input(each) for each in self._session.get_inputs()]
        self.columns_ = columns_of_inputs(self._inputs, known=known_texts(proto))
        self.n_features_in_ = self.columns_.count
        if self.columns_.names is not None:
            self.feature_names_in_ = np.array(self.columns_.names, dtype=object)
        self._name_methods(self._session.get_outputs())

    def __sklearn_tags__(self) -> Tags:
        return Tags(self._kind)

    def _name_methods(self, outputs: Sequence[Any]) -> None:
        labelled = len(outputs) == 2 and outputs[0].type in LABELS
        self.parts_ = {"predict": parts_of_outputs({o.name: o.shape for o in outputs})}
        self._kind: str | None = None
        if labelled and outputs[1].type in MAPS | {"tensor(float)", "tensor(double)"}:
            self._name_scores(outputs[0], outputs[1])
        else:
            unfit = [each.type for each in outputs if each.type not in DTYPES]
            if unfit or (len(outputs) > 1 and any(DTYPES[o.type] is object for o in outputs)):
                raise FormatRefused(f"it has outputs {', '.join(o.type for o in outputs)[:200]}")
            names = [each.name for each in outputs]
            self.predict = self._asking(names)
            self._kind = "regressor" if DTYPES[outputs[0].type] in FLOATS else None

    def _name_scores(self, label: Any, scores: Any) -> None:
        self.predict = self._asking([label.name])
        known = class_labels(self.proto)
        if scores.type in MAPS and known is None:
            raise FormatRefused("its second output is a map of labels that are not named")
        if known is not None:
            self.classes_ = known
        ask = self._asking([scores.name])
        if scores.type in MAPS or self._sums_to_one(ask, "prob" in scores.name.lower()):
            self.predict_proba = ask
        else:
            self.decision_function = ask
        probable = hasattr(self, "predict_proba")
        method = "predict_proba" if probable else "decision_function"
        told = {"predict": label} | ({} if scores.type in MAPS else {method: scores})
        self.parts_ = {name: parts_of_outputs({o.name: o.shape}) for name, o in told.items()}
        self._kind = "classifier" if known is not None or probable else None

    def _sums_to_one(self, ask: Callable[[Any], Array], likely: bool) -> bool:
        """Whether scores are probabilities, by their answers to plain rows; else by their name."""
        if "text" in self.columns_.kinds:
            return likely
        for value in TRIALS:
            try:
                answers = ask(np.full((1, self.n_features_in_), value))
            except Exception:  # noqa: BLE001, S112  a graph may refuse a row outside its domain
                continue
            within = answers.ndim == 2 and bool((answers >= 0).all())
            return within and bool(np.allclose(answers.sum(axis=1), 1, atol=NEAR_ONE))
        return likely

    def _asking(self, names: list[str]) -> Callable[[Any], Array]:
        def ask(rows: Any) -> Array:
            answers = [self._answer(output) for output in self._run(names, rows)]
            return answers[0] if len(answers) == 1 else np.column_stack(answers)

        return ask

    def _run(self, names: list[str], rows: Any) -> list[Any]:
        feeds = dict(
            zip([each.name for each in self._inputs], fed(self._inputs, rows), strict=True)
        )
        if not any(each.single for each in self._inputs):
            return list(self._session.run(names, feeds))
        parts = [
            self._session.run(names, {name: array[row : row + 1] for name, array in feeds.items()})
            for row in range(len(rows))
        ]
        return [_joined(several) for several in zip(*parts, strict=True)]

    def _answer(self, output: Any) -> Array:
        if isinstance(output, list):  # one map of labels to probabilities for each row
            return np.array([[row[label] for label in self.classes_.tolist()] for row in output])
        return flattened(np.asarray(output))


def class_labels(proto: ModelProto) -> Array | None:
    """The labels that a classifying graph names, in the order of its scores."""
    for node in reversed(list(nodes_of(proto.graph))):
        attributes = attributes_of(node)
        for name in ("classlabels_int64s", "classlabels_ints"):
            if attributes.get(name):
                return np.array(attributes[name], np.int64)
        if attributes.get("classlabels_strings"):
            return np.array([text.decode() for text in attributes["classlabels_strings"]])
    return _labels_by_name(proto)


def known_texts(proto: ModelProto) -> dict[str, tuple[str, ...]]:
    """The texts that encoders know of a graph's inputs, by the input's name."""
    made_by = {output: node for node in proto.graph.node for output in node.output}
    found = {}
    for node in proto.graph.node:
        if node.op_type in ENCODERS:
            texts = attributes_of(node).get(ENCODERS[node.op_type], ())
            name = node.input[0]
            while name in made_by and made_by[name].op_type in PASSING:
                name = made_by.pop(name).input[0]  # a circle would come to its end
            found[name] = tuple(text.decode("utf-8", "replace") for text in texts)
    return found


def _labels_by_name(proto: ModelProto) -> Array | None:
    """What skl2onnx calls `classes`, where no operator names them."""
    for tensor in proto.graph.initializer:
        if CLASSES.fullmatch(tensor.name) and len(tensor.dims) == 1:
            labels = numpy_helper.to_array(tensor)
            if labels.dtype.kind in "iO":
                texts = labels.dtype == object
                return labels.astype(np.str_) if texts else labels.astype(np.int64)
    return None


def _session(data: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False  # a host has many models; what one needed once is freed
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise FormatRefused(f"ONNX Runtime does not take it: {error}"[:300]) from error


def _input(told: Any) -> Input:
    if told.type not in DTYPES:
        raise FormatRefused(f"its input {told.name[:80]!r} is of the type {told.type}")
    # A length that may differ is a name, or None.
    shape = [length if isinstance(length, int) else None for length in told.shape or ()]
    return input_of(told.name, DTYPES[told.type], shape)


def _joined(several: Sequence[Any]) -> Any:
    if isinstance(several[0], list):
        return [row for part in several for row in part]
    return np.concatenate(several)
