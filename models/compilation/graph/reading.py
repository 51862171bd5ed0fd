"""Reads a ModelProto: every value gets a plain name, and every constant becomes a tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.compilation.graph.description import Graph, Method, Operation, Tensor
from models.compilation.graph.rules import INPUTS, TYPES, check_operator, check_opset
from models.errors import EstimatorNotHeld

if TYPE_CHECKING:
    from onnx import ModelProto

STANDARD: Final = ("", "ai.onnx")
ZIPPED: Final = "float"  # what ZipMap names


class Reader:
    """One reading of one ModelProto; raises EstimatorNotHeld or ArraysMalformed."""

    def __init__(self, proto: ModelProto) -> None:
        from onnx import TensorProto, helper, numpy_helper

        self._proto, self._helper, self._numpy = proto, helper, numpy_helper
        self._types = {
            TensorProto.DOUBLE: "double",
            TensorProto.FLOAT: "float",
            TensorProto.INT64: "int64",
            TensorProto.INT32: "int32",
            TensorProto.BOOL: "bool",
            TensorProto.STRING: "string",
        }
        self._names: dict[str, str] = {"": ""}
        self._tensors: list[Tensor] = []

    def graph(self, methods: dict[str, tuple[int, bool]]) -> Graph:
        """Take the graph whose outputs, by their places, answer methods."""
        own = self._proto.graph
        if own.sparse_initializer or self._proto.functions:
            raise EstimatorNotHeld("it has sparse tensors or functions of its own")
        held = {each.name for each in own.initializer}
        inputs = [each for each in own.input if each.name not in held]
        if len(inputs) != 1:
            raise EstimatorNotHeld(f"it has {len(inputs)} inputs")
        given, type_, shape = self._input(inputs[0])
        for each in own.initializer:
            self._tensor(each.name, each)
        nodes = [made for node in own.node for made in self._node(node)]
        answers = {
            name: Method(self._named(own.output[place].name), self._type(own.output[place]), flat)
            for name, (place, flat) in methods.items()
        }
        opsets = [e.version for e in self._proto.opset_import if e.domain in STANDARD]
        return Graph(
            check_opset(max(opsets, default=0)), self._tensors, nodes, given, type_, shape, answers
        )

    def _named(self, name: str) -> str:
        return self._names.setdefault(name, f"v{len(self._names)}")

    def _input(self, told: Any) -> tuple[str, str, tuple[int, ...]]:
        tensor = told.type.tensor_type
        type_ = self._types.get(tensor.elem_type)
        lengths = [each.dim_value for each in tensor.shape.dim]
        if type_ not in INPUTS or len(lengths) < 2 or not all(n > 0 for n in lengths[1:]):
            raise EstimatorNotHeld("its input is not rows of numbers of one width")
        if lengths[0] > 0:
            raise EstimatorNotHeld("its input takes a fixed number of rows")
        return self._named(told.name), type_, tuple(lengths[1:])

    def _type(self, told: Any) -> str:
        if told.type.HasField("sequence_type"):
            return ZIPPED
        type_ = self._types.get(told.type.tensor_type.elem_type)
        if type_ is None:
            raise EstimatorNotHeld("an output is of a type that is not held")
        return type_

    def _tensor(self, name: str, tensor: Any) -> None:
        type_ = self._types.get(tensor.data_type)
        if type_ is None or tensor.external_data:
            raise EstimatorNotHeld("a tensor is of a type that is not held, or lies elsewhere")
        values = self._numpy.to_array(tensor)
        if TYPES[type_][0] == "texts":
            texts = [each.decode() if isinstance(each, bytes) else each for each in values.ravel()]
            values = np.array(texts, np.str_).reshape(values.shape)
        elif values.dtype.kind == "f" and not np.isfinite(values).all():
            raise EstimatorNotHeld("a tensor has a number that is not finite")
        self._tensors.append(Tensor(self._named(name), type_, values))

    def _node(self, node: Any) -> list[Operation]:
        values = {each.name: self._helper.get_attribute_value(each) for each in node.attribute}
        if node.op_type == "ZipMap":  # the same numbers, named one by one
            self._names[node.output[0]] = self._named(node.input[0])
            return []
        if node.op_type == "Constant" and "value" in values:
            self._tensor(node.output[0], values["value"])
            return []
        inputs = [self._named(name) for name in node.input]
        outputs = [self._named(name) for name in node.output]
        if node.op_type == "ArrayFeatureExtractor":
            return self._extracted(*inputs, *outputs)
        if node.domain not in STANDARD:
            raise EstimatorNotHeld(f"it uses {node.op_type} of {node.domain!r}"[:120])
        check_operator(node.op_type)
        attributes = {name: _plain(value) for name, value in values.items()}
        return [Operation(node.op_type, inputs, outputs, attributes)]

    def _extracted(self, source: str, places: str, made: str) -> list[Operation]:
        """What ArrayFeatureExtractor does, by operators whose shapes can be told."""
        flat, found = self._fresh(), self._fresh()
        parts = [
            Operation("Reshape", [places, self._lengths([-1])], [flat], {}),
            Operation("Gather", [source, flat], [found], {"axis": -1}),
        ]
        single = any(t.name == source and t.values.ndim == 1 for t in self._tensors)
        last = [found, self._lengths([1, -1])] if single else [found]
        return [*parts, Operation("Reshape" if single else "Identity", last, [made], {})]

    def _fresh(self) -> str:
        return self._named(f"a value of this reader's own {len(self._names)}")

    def _lengths(self, lengths: list[int]) -> str:
        name = self._fresh()
        self._tensors.append(Tensor(name, "int64", np.array(lengths, np.int64)))
        return name


def _plain(value: Any) -> Any:
    """An attribute as JSON holds it."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, int | float | str):
        return value
    if hasattr(value, "__iter__") and not hasattr(value, "DESCRIPTOR"):
        return [_plain(each) for each in value]
    raise EstimatorNotHeld("an attribute is a tensor or a graph")
