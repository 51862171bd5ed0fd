"""Builds a ModelProto from a graph that was read back, and runs it.

Nothing of the file that a tenant gave is in it: names, types and values are those of the checked
description. The shapes of all values are inferred before ONNX Runtime sees the graph, and have to
grow with the rows and with nothing else.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.graph.description import Graph, Operation
from models.compilation.graph.rules import DIVISIONS, TRAINED, TYPES
from models.errors import ArraysMalformed, MethodUnknown, RowsRefused
from models.parts import matrix
from models.tables import Features

IR_VERSION: Final = 8  # which all opsets that are taken can be written in
FEW, MANY = 1, 64
MOST_CELLS_PER_ROW: Final = 4_000_000
MOST_CELLS: Final = 64_000_000


class GraphPredictor:
    """Answers with a session of ONNX Runtime, which many threads may ask at once."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._session = _session(_built(graph, None).SerializeToString())
        self._dtype = np.dtype(TYPES[graph.type][1])
        self.methods = frozenset(graph.methods)
        self.size = 3 * sum(tensor.values.nbytes for tensor in graph.tensors)

    def answer(self, method: str, features: Features) -> NDArray[Any]:
        """Answer each row; raises RowsRefused for numbers that the graph's input does not hold."""
        if method not in self.methods:
            raise MethodUnknown(method, tuple(sorted(self.methods)))
        own = self._graph.methods[method]
        (answers,) = self._session.run([own.value], {self._graph.given: self._fed(features)})
        return _shaped(np.asarray(answers), flat=own.flat)

    def _fed(self, features: Features) -> NDArray[Any]:
        rows = matrix(features)
        if rows.shape[1] != math.prod(self._graph.shape):
            raise RowsRefused("another number of columns")
        with np.errstate(all="ignore"):
            cast: NDArray[Any] = np.ascontiguousarray(rows, self._dtype)
        if cast.dtype.kind in "ib" and not np.array_equal(cast, rows):
            raise RowsRefused(f"a number that is no {cast.dtype}")
        return cast.reshape((len(rows), *self._graph.shape))


def checked(graph: Graph) -> Graph:
    """Return the graph; raises ArraysMalformed unless it is sound and its values are bounded."""
    for node in graph.nodes:
        _refuse_training(node)
    few, many = (_cells(_built(graph, rows)) for rows in (FEW, MANY))
    if few > MOST_CELLS_PER_ROW or many > min(MANY * few, MOST_CELLS):
        raise ArraysMalformed("the graph's values are too large, or outgrow its rows")
    return graph


def _refuse_training(node: Operation) -> None:
    """Raise ArraysMalformed for an operator that would draw at random, or learn from rows."""
    # The third input of Dropout says whether it trains; what it is may depend on the rows.
    asked = node.operator == "Dropout" and len(node.inputs) > 2 and node.inputs[2]
    if node.operator in TRAINED and (asked or node.attributes.get("training_mode", 0) != 0):
        raise ArraysMalformed(f"the operator {node.operator} trains")


def _cells(proto: Any) -> int:
    """How many numbers all values of a graph have."""
    import onnx

    floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE}
    try:
        inferred = onnx.shape_inference.infer_shapes(
            proto, check_type=True, strict_mode=True, data_prop=True
        )
        onnx.checker.check_model(inferred)
    except Exception as error:
        raise ArraysMalformed(f"the graph is not sound: {error}"[:300]) from error
    told = inferred.graph
    shapes = {each.name: each.type.tensor_type for each in (*told.value_info, *told.output)}
    cells = 0
    for node in told.node:
        for name in filter(None, node.output):
            tensor = shapes.get(name)
            if tensor is None or not tensor.HasField("shape"):
                raise ArraysMalformed(f"nobody can tell how large a value of {node.op_type} is")
            if node.op_type in DIVISIONS and tensor.elem_type not in floats:
                raise ArraysMalformed("the graph divides integers")
            lengths = [each.dim_value for each in tensor.shape.dim]
            if not all(length > 0 for length in lengths):
                raise ArraysMalformed(f"nobody can tell how large a value of {node.op_type} is")
            cells += math.prod(lengths)
    return cells


def _built(graph: Graph, rows: int | None) -> Any:
    from onnx import TensorProto, helper

    types = {name: getattr(TensorProto, name.upper()) for name in TYPES}
    wanted = {method.value: types[method.type] for method in graph.methods.values()}
    tensors = [
        helper.make_tensor(t.name, types[t.type], t.values.shape, t.values.ravel().tolist())
        for t in graph.tensors
    ]
    own = helper.make_graph(
        [_node(node) for node in graph.nodes],
        "graph",
        [helper.make_tensor_value_info(graph.given, types[graph.type], [rows, *graph.shape])],
        [helper.make_tensor_value_info(name, type_, None) for name, type_ in wanted.items()],
        tensors,
    )
    opset = helper.make_opsetid("", graph.opset)
    return helper.make_model(own, opset_imports=[opset], ir_version=IR_VERSION)


def _node(node: Operation) -> Any:
    from onnx import helper

    made = helper.make_node(node.operator, node.inputs, node.outputs)
    for name, value in sorted(node.attributes.items()):
        made.attribute.append(helper.make_attribute(name, value))
    return made


def _session(data: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # No rewriting that may round otherwise.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.enable_cpu_mem_arena = False  # what one prediction needed is not kept for the next
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ArraysMalformed(f"ONNX Runtime does not run it: {error}"[:300]) from error


def _shaped(answers: NDArray[Any], *, flat: bool) -> NDArray[Any]:
    """One value, or one row of values, for each row; texts as numpy's."""
    if flat and answers.ndim > 1 and math.prod(answers.shape[1:]) == 1:
        answers = answers.reshape(len(answers))
    if answers.ndim > 2:
        answers = answers.reshape(len(answers), -1)
    return answers.astype(np.str_) if answers.dtype == object else answers
