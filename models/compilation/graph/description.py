"""A graph as plain data: read off a ModelProto, or read back from arrays.

The data are JSON, and the tensors' values lie one after another in one array for each type:

    {"opset": version, "tensors": [[name, type, shape]...],
     "nodes": [[operator, inputs, outputs, {attribute: value}]...],
     "input": [name, type, shape of one row], "methods": {method: [value, type, flat]}}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from models.compilation.graph.rules import (
    INPUTS,
    MOST_NODES,
    TYPES,
    check_attribute,
    check_names,
    check_operator,
    check_opset,
    check_shape,
)
from models.errors import ArraysMalformed
from models.signature import METHODS

MEMBERS: Final = frozenset({"opset", "tensors", "nodes", "input", "methods"})
SOURCES: Final = frozenset(source for source, _ in TYPES.values())
MOST_BYTES: Final = 4 * 1024 * 1024
DTYPES: Final = {"doubles": "f8", "singles": "f4", "longs": "i8"}

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value that is part of the graph."""

    name: str
    type: str
    values: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """A node of the graph."""

    operator: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Method:
    """Which value answers a method, and whether one column is answered as one number."""

    value: str
    type: str
    flat: bool


@dataclass(frozen=True, slots=True)
class Graph:
    """A whole graph of one input."""

    opset: int
    tensors: list[Tensor]
    nodes: list[Operation]
    given: str
    type: str
    shape: tuple[int, ...]
    methods: dict[str, Method]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The graph as arrays."""
        text = orjson.dumps(
            {
                "opset": self.opset,
                "tensors": [[t.name, t.type, list(t.values.shape)] for t in self.tensors],
                "nodes": [[n.operator, n.inputs, n.outputs, n.attributes] for n in self.nodes],
                "input": [self.given, self.type, list(self.shape)],
                "methods": {name: [m.value, m.type, m.flat] for name, m in self.methods.items()},
            }
        )
        arrays: dict[str, NDArray[Any]] = {"graph": np.frombuffer(text, np.uint8)}
        for source in sorted(SOURCES):
            parts = [t.values.ravel() for t in self.tensors if TYPES[t.type][0] == source]
            joined = np.concatenate(parts) if parts else np.zeros(0)
            if joined.size:
                arrays[source] = joined.astype(DTYPES.get(source, np.str_))
        return arrays


def graph_of(arrays: Arrays) -> Graph:
    """Read a graph back; raises ArraysMalformed for what it may not hold."""
    if not {"graph"} <= arrays.keys() <= SOURCES | {"graph"}:
        raise ArraysMalformed("a graph has values and a description, and nothing else")
    text = arrays["graph"]
    if text.dtype != np.uint8 or text.ndim != 1 or text.size > MOST_BYTES:
        raise ArraysMalformed("the description of a graph is no text, or too long")
    for source, kind in DTYPES.items():
        if source in arrays and arrays[source].dtype != np.dtype(kind):
            raise ArraysMalformed(f"{source} have the dtype {arrays[source].dtype}")
    try:
        told = orjson.loads(text.tobytes())
    except orjson.JSONDecodeError as error:
        raise ArraysMalformed("the description of a graph is no JSON") from error
    if type(told) is not dict or told.keys() != MEMBERS:
        raise ArraysMalformed("the description of a graph lacks a part")
    tensors = _tensors(told["tensors"], arrays)
    given, type_, shape = _input(told["input"])
    nodes = _nodes(told["nodes"], {given, *(tensor.name for tensor in tensors)})
    made = {name for node in nodes for name in node.outputs}
    methods = _methods(told["methods"], made)
    return Graph(check_opset(told["opset"]), tensors, nodes, given, type_, shape, methods)


def _tensors(listed: object, arrays: Arrays) -> list[Tensor]:
    if type(listed) is not list:
        raise ArraysMalformed("the tensors are no list")
    places = dict.fromkeys(SOURCES, 0)
    tensors = []
    for each in listed:
        match each:
            case [str(name), str(type_), list(lengths)] if type_ in TYPES:
                shape = check_shape(lengths)
            case _:
                raise ArraysMalformed("a tensor is not name, type and shape")
        source, dtype = TYPES[type_]
        start, count = places[source], math.prod(shape)
        values = arrays.get(source, np.zeros(0))[start : start + count]
        if len(values) != count:
            raise ArraysMalformed("a tensor has more values than there are")
        places[source] += count
        check_names([name])
        own = values if dtype == "str" else values.astype(dtype)
        tensors.append(Tensor(name, type_, own.reshape(shape)))
    if any(place != len(arrays.get(source, ())) for source, place in places.items()):
        raise ArraysMalformed("there are values of no tensor")
    return tensors


def _input(told: object) -> tuple[str, str, tuple[int, ...]]:
    match told:
        case [str(name), str(type_), list(lengths)] if type_ in INPUTS:
            check_names([name])
            return name, type_, check_shape(lengths)
        case _:
            raise ArraysMalformed("the input is not name, type and shape")


def _nodes(listed: object, known: set[str]) -> list[Operation]:
    """Nodes in their order: each takes what is there before it, so that none goes in a circle."""
    if type(listed) is not list or not 0 < len(listed) <= MOST_NODES:
        raise ArraysMalformed("there are no nodes, or too many")
    nodes = []
    for each in listed:
        if type(each) is not list or len(each) != 4 or type(each[3]) is not dict:
            raise ArraysMalformed("a node is not operator, inputs, outputs and attributes")
        operator, inputs, outputs, attributes = each
        check_operator(operator)
        for name, value in attributes.items():
            check_attribute(name, value)
        if not known.union({""}).issuperset(check_names(inputs)):
            raise ArraysMalformed("a node takes a value that is not there before it")
        fresh = {name for name in check_names(outputs) if name}
        if not fresh or fresh & known or len(fresh) != sum(map(bool, outputs)):
            raise ArraysMalformed("a node makes no value, or one that is already there")
        known |= fresh
        nodes.append(Operation(operator, inputs, outputs, attributes))
    return nodes


def _methods(told: object, made: set[str]) -> dict[str, Method]:
    if type(told) is not dict or not told or not told.keys() <= set(METHODS):
        raise ArraysMalformed("the graph answers no method")
    methods = {}
    for name, method in told.items():
        match method:
            case [str(value), str(type_), bool(flat)] if value in made and type_ in TYPES:
                methods[name] = Method(value, type_, flat)
            case _:
                raise ArraysMalformed("a method is answered by no value")
    return methods
