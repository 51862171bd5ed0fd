"""ONNX graphs, looked through before a runtime reads them.

Every tensor is within the file and as long as it says (CVE-2022-25882, CVE-2024-27318 and their
successors read files of the server by a tensor's location); every operator is one of the standard
that answers the same each time; every tree is a tree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from models.errors import FormatRefused
from models.soundness.onnx_trees import check_tree_ensemble

MOST_BYTES: Final = 2**31 - 1  # protobuf's own limit
MOST_NODES: Final = 100_000
MOST_DEPTH: Final = 16
MOST_ELEMENTS: Final = 2**31 - 1
DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
OLDEST_OPSET: Final = {"": 7, "ai.onnx": 7, "ai.onnx.ml": 1}
REFUSED: Final = {
    **dict.fromkeys(
        (
            "Bernoulli",
            "Multinomial",
            "RandomNormal",
            "RandomNormalLike",
            "RandomUniform",
            "RandomUniformLike",
        ),
        "answers differ from one time to the next",
    ),
    "ImageDecoder": "images are not taken",
    "TreeEnsemble": "its trees are of a kind that is not checked yet",
}
TREES: Final = frozenset({"TreeEnsembleClassifier", "TreeEnsembleRegressor"})
# By type: the field that holds a tensor's values where raw_data does not, and bytes in raw_data.
STORAGE: Final[dict[int, tuple[str, int]]] = {
    TensorProto.FLOAT: ("float_data", 4),
    TensorProto.DOUBLE: ("double_data", 8),
    TensorProto.INT64: ("int64_data", 8),
    TensorProto.UINT64: ("uint64_data", 8),
    TensorProto.UINT32: ("uint64_data", 4),
    TensorProto.INT32: ("int32_data", 4),
    TensorProto.INT16: ("int32_data", 2),
    TensorProto.UINT16: ("int32_data", 2),
    TensorProto.INT8: ("int32_data", 1),
    TensorProto.UINT8: ("int32_data", 1),
    TensorProto.BOOL: ("int32_data", 1),
    TensorProto.FLOAT16: ("int32_data", 2),
    TensorProto.BFLOAT16: ("int32_data", 2),
    TensorProto.STRING: ("string_data", 0),
}


def read_graph(data: bytes) -> ModelProto:
    """Parse and check a model; raises FormatRefused saying what it holds that it may not."""
    if len(data) > MOST_BYTES:
        raise FormatRefused(f"it has more than {MOST_BYTES} bytes")
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:
        raise FormatRefused("it is no ONNX model") from error
    _check_opsets(model)
    if model.functions or model.training_info:
        raise FormatRefused("it has functions of its own, or tells how it is trained")
    _check_graph(model.graph)
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        raise FormatRefused(f"it is not sound: {error}"[:300]) from error
    _check_trees(model)
    return model


def nodes_of(graph: GraphProto) -> Iterator[NodeProto]:
    """The nodes of a graph and of every graph within it."""
    for inner in _graphs(graph):
        yield from inner.node


def attributes_of(node: NodeProto) -> dict[str, Any]:
    """The attributes of a node as plain values; tensors as arrays."""
    return {each.name: _plain(onnx.helper.get_attribute_value(each)) for each in node.attribute}


def _plain(value: Any) -> Any:
    return onnx.numpy_helper.to_array(value) if isinstance(value, TensorProto) else value


def _check_opsets(model: ModelProto) -> None:
    newest = {"": onnx.defs.onnx_opset_version(), "ai.onnx": onnx.defs.onnx_opset_version()}
    for each in model.opset_import:
        if each.domain not in DOMAINS:
            raise FormatRefused(
                f"it uses operators of {each.domain[:80]!r}", "only those of the standard are taken"
            )
        most = newest.get(each.domain, _newest_of(each.domain))
        if not OLDEST_OPSET[each.domain] <= each.version <= most:
            raise FormatRefused(
                f"it is of opset {each.version} of {each.domain or 'ai.onnx'!r}",
                f"export it with {OLDEST_OPSET[each.domain]} to {most}",
            )


def _newest_of(domain: str) -> int:
    return max(s.since_version for s in onnx.defs.get_all_schemas() if s.domain == domain)


def _graphs(graph: GraphProto, depth: int = 0) -> Iterator[GraphProto]:
    if depth > MOST_DEPTH:
        raise FormatRefused("its graphs are nested too deep")
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.initializer or inner.sparse_initializer:
                    yield from _graphs(inner, depth + 1)


def _check_graph(graph: GraphProto) -> None:
    known = {(s.domain, s.name) for s in onnx.defs.get_all_schemas()}
    nodes = 0
    for inner in _graphs(graph):
        nodes += len(inner.node)
        if nodes > MOST_NODES:
            raise FormatRefused(f"it has more than {MOST_NODES} nodes")
        for tensor in _tensors(inner):
            _check_tensor(tensor)
        for node in inner.node:
            _check_operator(node, known)


def _check_operator(node: NodeProto, known: set[tuple[str, str]]) -> None:
    domain = "" if node.domain == "ai.onnx" else node.domain
    if (domain, node.op_type) not in known:
        raise FormatRefused(f"it uses an operator {node.domain}{node.op_type!r}"[:120])
    if node.op_type in REFUSED:
        raise FormatRefused(f"it uses {node.op_type}: {REFUSED[node.op_type]}")


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from _tensors_of(attribute)


def _tensors_of(attribute: AttributeProto) -> Iterator[TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors
    sparse = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
    for each in (*sparse, *attribute.sparse_tensors):
        yield from (each.values, each.indices)


def _check_tensor(tensor: TensorProto) -> None:
    name = tensor.name[:80]
    if tensor.data_location != TensorProto.DEFAULT or tensor.external_data:
        raise FormatRefused(
            f"the tensor {name!r} lies outside of the file", "save the model with its data inside"
        )
    storage = STORAGE.get(tensor.data_type)
    if storage is None or tensor.HasField("segment"):
        raise FormatRefused(f"the tensor {name!r} is of a type that is not taken")
    elements = math.prod(tensor.dims)
    if any(length < 0 for length in tensor.dims) or elements > MOST_ELEMENTS:
        raise FormatRefused(f"the tensor {name!r} has an impossible shape")
    field, size = storage
    raw = tensor.HasField("raw_data")
    held = len(tensor.raw_data) if raw else len(getattr(tensor, field))
    if held != elements * (size if raw else 1):
        raise FormatRefused(f"the tensor {name!r} is not as long as its shape says")


def _check_trees(model: ModelProto) -> None:
    trees = [node for node in nodes_of(model.graph) if node.op_type in TREES]
    if not trees:
        return
    widths = _widths(model)
    for node in trees:
        check_tree_ensemble(attributes_of(node), columns=widths.get(node.input[0]))


def _widths(model: ModelProto) -> dict[str, int]:
    """How wide the matrices in a graph are, as far as it can be told without running it."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model).graph
    except Exception as error:
        raise FormatRefused(f"its shapes do not fit: {error}"[:300]) from error
    widths = {}
    for value in (*inferred.input, *inferred.value_info):
        dimensions = value.type.tensor_type.shape.dim
        if len(dimensions) == 2 and dimensions[1].dim_value > 0:
            widths[value.name] = int(dimensions[1].dim_value)
    return widths
