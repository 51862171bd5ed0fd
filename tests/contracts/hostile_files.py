"""Honest model files, altered to do harm: each with what its refusal says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper

from models.soundness.ubjson import read_ubjson
from tests.models.files import archive_of, members_of


@dataclass(frozen=True)
class Hostile:
    """How an honest file is made hostile, and words of the reason for which it is refused."""

    format: str
    name: str
    make: Callable[[bytes], bytes]
    says: str
    of: str = ""  # the name of the honest file, else the first of its format


def _graph(change: Callable[[ModelProto], None]) -> Callable[[bytes], bytes]:
    def make(data: bytes) -> bytes:
        model = onnx.load_model_from_string(data)
        change(model)
        return bytes(model.SerializeToString())

    return make


def _outside(tensor: TensorProto) -> TensorProto:
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    return tensor


def _tensor(name: str = "outside", *, length: int = 2) -> TensorProto:
    return helper.make_tensor(name, TensorProto.FLOAT, [length], [0.0] * length)


def _external_initializer(model: ModelProto) -> None:
    model.graph.initializer.append(_outside(_tensor()))


def _external_sparse(model: ModelProto) -> None:
    sparse = helper.make_sparse_tensor(
        _outside(_tensor()), helper.make_tensor("i", TensorProto.INT64, [2], [0, 1]), [9]
    )
    model.graph.sparse_initializer.append(sparse)


def _external_constant(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=_outside(_tensor())))


def _external_nested(model: ModelProto) -> None:
    inner = helper.make_node("Constant", [], ["inner"], value=_outside(_tensor()))
    output = helper.make_tensor_value_info("inner", TensorProto.FLOAT, [2])
    branch = helper.make_graph([inner], "branch", [], [output])
    node = helper.make_node("If", ["flag"], ["out"], then_branch=branch, else_branch=branch)
    model.graph.node.append(node)


def _function(model: ModelProto) -> None:
    node = helper.make_node("Identity", ["a"], ["b"])
    opset = [helper.make_opsetid("", 21)]
    model.functions.append(helper.make_function("own", "F", ["a"], ["b"], [node], opset))


def _training(model: ModelProto) -> None:
    model.training_info.add().initialization.initializer.append(_outside(_tensor()))


def _own_domain(model: ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("evil.example", 1))


def _own_operator(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("LoadLibrary", ["X"], ["y"]))


def _random(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("RandomNormal", [], ["r"], shape=[2]))


def _future(model: ModelProto) -> None:
    model.opset_import[0].version = 10_000


def _allocation(model: ModelProto) -> None:
    tensor = _tensor()
    del tensor.dims[:]
    tensor.dims.extend([2**20, 2**10])
    model.graph.initializer.append(tensor)


def _tree_graph(values: dict[str, list[int]]) -> Callable[[bytes], bytes]:
    """A graph of one tree with three nodes, some of its attributes replaced."""
    attributes: dict[str, Any] = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_values": [0.5, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "target_ids": [0, 0],
        "target_nodeids": [1, 2],
        "target_treeids": [0, 0],
        "target_weights": [1.0, 2.0],
        "n_targets": 1,
    }
    node: NodeProto = helper.make_node(
        "TreeEnsembleRegressor", ["X"], ["y"], domain="ai.onnx.ml", **(attributes | values)
    )
    rows = helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 4])
    answers = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    graph = helper.make_graph([node], "trees", [rows], [answers])
    data = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return lambda _: data


def _booster(change: Callable[[Any], None]) -> Callable[[bytes], bytes]:
    """XGBoost's document with a change, written as JSON."""

    def make(data: bytes) -> bytes:
        document = read_ubjson(data)
        change(document["learner"])
        return json.dumps(document, default=np.ndarray.tolist).encode()

    return make


def _tree(**values: list[int] | dict[str, str]) -> Callable[[bytes], bytes]:
    """The first tree becomes one of three nodes, some of its lists replaced."""
    tree = {
        "base_weights": [0.0] * 3,
        "categories": [],
        "categories_nodes": [],
        "categories_segments": [],
        "categories_sizes": [],
        "default_left": [0, 0, 0],
        "id": 0,
        "left_children": [1, -1, -1],
        "loss_changes": [0.0] * 3,
        "parents": [2**31 - 1, 0, 0],
        "right_children": [2, -1, -1],
        "split_conditions": [0.5, 1.0, 2.0],
        "split_indices": [0, 0, 0],
        "split_type": [0, 0, 0],
        "sum_hessian": [1.0] * 3,
        "tree_param": {
            "num_deleted": "0",
            "num_feature": "4",
            "num_nodes": "3",
            "size_leaf_vector": "1",
        },
    }

    def change(learner: Any) -> None:
        learner["gradient_booster"]["model"]["trees"][0] = tree | values

    return _booster(change)


def _groups(learner: Any) -> None:
    learner["gradient_booster"]["model"]["tree_info"][0] = 77


def _deep(_: bytes) -> bytes:
    return b"{L\0\0\0\0\0\0\0\x07learner" + b"[" * 100_000


def _text(before: str, after: str) -> Callable[[bytes], bytes]:
    """LightGBM's text with the first line that begins so replaced."""

    def make(data: bytes) -> bytes:
        lines = data.decode().split("\n")
        at = next(at for at, line in enumerate(lines) if line.startswith(before))
        lines[at] = after or lines[at] + " 7"
        return "\n".join(lines).encode()

    return make


def _children(key: str, child: int) -> Callable[[bytes], bytes]:
    def make(data: bytes) -> bytes:
        lines = data.decode().split("\n")
        at = next(at for at, line in enumerate(lines) if line.startswith(f"{key}="))
        first, *others = lines[at].removeprefix(f"{key}=").split(" ")
        assert int(first) != child
        lines[at] = f"{key}={' '.join([str(child), *others])}"
        return "\n".join(lines).encode()

    return make


def _archived(**added: bytes) -> Callable[[bytes], bytes]:
    return lambda data: archive_of(members_of(data) | added)


def _stored_xgboost(data: bytes) -> bytes:
    """The booster's bytes within a skops file, its first tree a circle."""
    members = members_of(data)
    name = next(name for name in members if name.endswith(".bin"))
    snapshot = read_ubjson(members[name])
    tree = snapshot["Model"]["learner"]["gradient_booster"]["model"]["trees"][0]
    tree["left_children"] = [0, *tree["left_children"].tolist()[1:]]
    return archive_of(members | {name: json.dumps(snapshot, default=np.ndarray.tolist).encode()})


def _stored_lightgbm(before: str, after: str) -> Callable[[bytes], bytes]:
    """The booster's text within a skops file, one of its lines altered."""

    def make(data: bytes) -> bytes:
        members = members_of(data)
        schema = re.sub(before, after, members["schema.json"].decode(), count=1)
        return archive_of(members | {"schema.json": schema.encode()})

    return make


HOSTILE = (
    Hostile("skops", "a member with a path", _archived(**{"../x": b""}), "archive holds"),
    Hostile("skops", "a circle", _stored_xgboost, "not there", of="xgboost"),
    Hostile(
        "skops",
        "a circle of lightgbm's",
        _stored_lightgbm(r"left_child=-?[0-9]+", "left_child=0"),
        "no tree",
        of="lightgbm",
    ),
    Hostile(
        "skops",
        "offsets of lightgbm's",
        _stored_lightgbm(r"tree_sizes=", "tree_sizes=9"),
        "as long as it says",
        of="lightgbm",
    ),
    Hostile("onnx", "data outside", _graph(_external_initializer), "outside of the file"),
    Hostile("onnx", "sparse data outside", _graph(_external_sparse), "outside of the file"),
    Hostile("onnx", "a constant outside", _graph(_external_constant), "outside of the file"),
    Hostile("onnx", "data outside, nested", _graph(_external_nested), "outside of the file"),
    Hostile("onnx", "functions of its own", _graph(_function), "functions of its own"),
    Hostile("onnx", "training", _graph(_training), "how it is trained"),
    Hostile("onnx", "a domain of its own", _graph(_own_domain), "'evil.example'"),
    Hostile("onnx", "an unknown operator", _graph(_own_operator), "LoadLibrary"),
    Hostile("onnx", "answers by chance", _graph(_random), "differ from one time to the next"),
    Hostile("onnx", "an opset to come", _graph(_future), "opset 10000"),
    Hostile("onnx", "four gigabytes in ten bytes", _graph(_allocation), "as its shape says"),
    Hostile("onnx", "a circle", _tree_graph({"nodes_truenodeids": [0, 0, 0]}), "not there"),
    Hostile("onnx", "a node twice", _tree_graph({"nodes_falsenodeids": [1, 0, 0]}), "of two"),
    Hostile("onnx", "a child beyond", _tree_graph({"nodes_truenodeids": [9, 0, 0]}), "not there"),
    Hostile("onnx", "a column beyond", _tree_graph({"nodes_featureids": [4, 0, 0]}), "a column"),
    Hostile("onnx", "an output beyond", _tree_graph({"target_ids": [0, 1]}), "not there"),
    Hostile("xgboost", "a circle", _tree(left_children=[0, -1, -1]), "not there"),
    Hostile("xgboost", "a node twice", _tree(left_children=[2, -1, -1]), "of two"),
    Hostile("xgboost", "a child beyond", _tree(left_children=[2**30, -1, -1]), "not there"),
    Hostile("xgboost", "one child", _tree(left_children=[-1, -1, -1]), "one child"),
    Hostile("xgboost", "a column beyond", _tree(split_indices=[4, 0, 0]), "a column"),
    Hostile("xgboost", "fewer nodes", _tree(default_left=[0]), "default_left"),
    Hostile("xgboost", "categories beyond", _tree(split_type=[1, 0, 0]), "set of categories"),
    Hostile("xgboost", "a group beyond", _booster(_groups), "an output that is not there"),
    Hostile("xgboost", "no end of nesting", _deep, "nested too deep"),
    Hostile("lightgbm", "a circle", _children("left_child", 0), "no tree"),
    Hostile("lightgbm", "a child beyond", _children("right_child", 99), "no tree"),
    Hostile("lightgbm", "a leaf beyond", _children("left_child", -99), "no tree"),
    Hostile("lightgbm", "a column beyond", _children("split_feature", 4), "a column"),
    Hostile("lightgbm", "leaves beyond", _text("num_leaves", "num_leaves=999999"), "leaf_value"),
    Hostile("lightgbm", "linear leaves", _text("is_linear", "is_linear=1"), "linear"),
    Hostile("lightgbm", "no such categories", _text("decision_type", ""), "decision_type"),
    Hostile("lightgbm", "columns beyond", _text("max_feature_idx", "max_feature_idx=9"), "names"),
)
