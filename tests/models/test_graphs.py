"""Graphs: what is kept of an ONNX file, and what is refused before a runtime sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import orjson
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from models.arrays import pack_arrays, unpack_arrays
from models.compilation import Unsuitable
from models.compilation.graph.engine import GraphEngine
from models.errors import ArraysMalformed, RowsRefused
from models.runtimes.onnx_models import OnnxModel

RANDOM = np.random.default_rng(5)
ROWS = RANDOM.normal(size=(40, 3))
LARGE = 2**30
Told = dict[str, Any]


def _model(nodes: list[Any], tensors: dict[str, NDArray[Any]], **options: Any) -> OnnxModel:
    """A file of one graph from `rows` to `answer`."""
    type_ = options.get("type", TensorProto.DOUBLE)
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("rows", type_, ["n", 3])],
        [helper.make_tensor_value_info("answer", options.get("answers", type_), None)],
        [onnx.numpy_helper.from_array(values, name) for name, values in tensors.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return OnnxModel(proto, proto.SerializeToString())


def _network(type_: int = TensorProto.DOUBLE) -> OnnxModel:
    dtype = helper.tensor_dtype_to_np_dtype(type_)
    tensors = {
        "w1": RANDOM.normal(size=(3, 8)).astype(dtype),
        "b1": RANDOM.normal(size=8).astype(dtype),
        "w2": RANDOM.normal(size=(8, 2)).astype(dtype),
    }
    nodes = [
        helper.make_node("Gemm", ["rows", "w1", "b1"], ["hidden"]),
        helper.make_node("Tanh", ["hidden"], ["bent"]),
        helper.make_node("MatMul", ["bent", "w2"], ["answer"]),
    ]
    return _model(nodes, tensors, type=type_)


def _arrays() -> dict[str, NDArray[Any]]:
    arrays = GraphEngine().compile(_network())
    assert not isinstance(arrays, Unsuitable), arrays
    return unpack_arrays(pack_arrays(arrays))


@pytest.mark.parametrize("type_", [TensorProto.DOUBLE, TensorProto.FLOAT])
def test_uploaded_graph_answers_in_the_worker_as_in_its_host(type_: int) -> None:
    model = _network(type_)
    arrays = GraphEngine().compile(model)
    assert not isinstance(arrays, Unsuitable), arrays

    answers = GraphEngine().load(unpack_arrays(pack_arrays(arrays))).answer("predict", ROWS)

    own = model.predict(ROWS)
    assert answers.dtype == own.dtype
    np.testing.assert_allclose(answers, own, rtol=1e-6 if type_ == TensorProto.FLOAT else 1e-12)


def test_nothing_of_the_file_but_numbers_and_allowed_words_is_kept() -> None:
    text = _arrays()["graph"].tobytes().decode()

    assert "hidden" not in text
    assert "w1" not in text
    assert orjson.loads(text).keys() == {"opset", "tensors", "nodes", "input", "methods"}


def test_rows_of_another_width_are_refused() -> None:
    with pytest.raises(RowsRefused):
        GraphEngine().load(_arrays()).answer("predict", ROWS[:, :2])


@pytest.mark.parametrize(
    ("operator", "tensors", "answers"),
    [
        pytest.param("Unique", {}, TensorProto.DOUBLE, id="as large as its data say"),
        pytest.param("RandomNormalLike", {}, TensorProto.DOUBLE, id="random"),
        pytest.param("Expand", {"s": np.array([LARGE, 3])}, TensorProto.DOUBLE, id="too large"),
        pytest.param("Size", {}, TensorProto.INT64, id="not on the list"),
    ],
)
def test_operator_that_a_worker_must_not_run_is_refused(
    operator: str, tensors: dict[str, NDArray[Any]], answers: int
) -> None:
    node = helper.make_node(operator, ["rows", *tensors], ["answer"])

    assert isinstance(GraphEngine().compile(_model([node], tensors, answers=answers)), Unsuitable)


def test_graph_within_a_graph_is_refused() -> None:
    branch = helper.make_graph(
        [helper.make_node("Neg", ["rows"], ["x"])],
        "branch",
        [],
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, None)],
    )
    node = helper.make_node("If", ["yes"], ["answer"], then_branch=branch, else_branch=branch)
    model = _model([node], {"yes": np.array(True)})

    refusal = GraphEngine().compile(model)

    assert isinstance(refusal, Unsuitable)
    assert "If" in refusal.reason


def test_values_that_grow_with_the_square_of_the_rows_are_refused() -> None:
    nodes = [
        helper.make_node("Transpose", ["rows"], ["turned"]),
        helper.make_node("MatMul", ["rows", "turned"], ["all"]),
        helper.make_node("ReduceSum", ["all", "axis"], ["answer"]),
    ]

    refusal = GraphEngine().compile(_model(nodes, {"axis": np.array([1])}))

    assert isinstance(refusal, Unsuitable)
    assert "outgrow" in refusal.reason


def _node(told: Told) -> list[Any]:
    node: list[Any] = told["nodes"][0]
    return node


CHANGES: dict[str, Callable[[Told], Any]] = {
    "an unknown member": lambda told: told.update(functions=[]),
    "no member": lambda told: told.pop("methods"),
    "an unknown operator": lambda told: _node(told).__setitem__(0, "Loop"),
    "an operator of another domain": lambda told: _node(told).__setitem__(0, "ai.onnx.ml.Scaler"),
    "an operator that is no word": lambda told: _node(told).__setitem__(0, ["Add"]),
    "a later opset": lambda told: told.update(opset=99),
    "a circle": lambda told: _node(told)[1].__setitem__(0, told["nodes"][-1][2][0]),
    "a value made twice": lambda told: _node(told).__setitem__(2, told["nodes"][1][2]),
    "a value named otherwise": lambda told: told["input"].__setitem__(0, "../../etc/passwd"),
    "an attribute that is a file": lambda told: _node(told)[3].update({"../x": 1}),
    "an attribute that is an object": lambda told: _node(told)[3].update({"alpha": {"g": 1}}),
    "an attribute that is endless": lambda told: _node(told)[3].update(alpha=[0.5] * 5_000),
    "an attribute of mixed types": lambda told: _node(told)[3].update(alpha=[1, "x"]),
    "an attribute that the operator lacks": lambda told: _node(told)[3].update(axis=1),
    "an impossible shape": lambda told: told["tensors"][0].__setitem__(2, [-3, -8]),
    "a shape larger than its values": lambda told: told["tensors"][0].__setitem__(2, [3, 9]),
    "a shape that overflows": lambda told: told["tensors"][0].__setitem__(2, [2**30] * 8),
    "too many dimensions": lambda told: told["tensors"][0].__setitem__(2, [1] * 9),
    "a type that is not held": lambda told: told["tensors"][0].__setitem__(1, "complex128"),
    "a tensor too few": lambda told: told["tensors"].pop(),
    "an input that is a text": lambda told: told["input"].__setitem__(1, "string"),
    "a method that is none": lambda told: told["methods"].update(fit=["v9", "double", True]),
    "a method of no value": lambda told: told["methods"]["predict"].__setitem__(0, "v99"),
    "no nodes": lambda told: told.update(nodes=[]),
    "too many nodes": lambda told: told.update(nodes=told["nodes"] * 3_000),
}


@pytest.mark.parametrize("change", CHANGES)
def test_description_with_something_else_in_it_is_refused(change: str) -> None:
    arrays = _arrays()
    told = orjson.loads(arrays["graph"].tobytes())
    CHANGES[change](told)
    text = np.frombuffer(orjson.dumps(told), np.uint8)

    with pytest.raises(ArraysMalformed):
        GraphEngine().load(arrays | {"graph": text})


def test_base_of_these_changes_is_taken() -> None:
    assert GraphEngine().load(_arrays()).methods == {"predict"}


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"{}" * 10])
def test_text_that_describes_no_graph_is_refused(text: bytes) -> None:
    padded = np.frombuffer(text or b" ", np.uint8)

    with pytest.raises(ArraysMalformed):
        GraphEngine().load(_arrays() | {"graph": padded})
