"""The Open Inference Protocol for one model: its tensors, by their names, types and shapes."""

from __future__ import annotations

from typing import Any, Final

from models.requests.binding import INPUT
from models.signature import Kind, Output, Part, spans
from service.model_documents.columns import ROW
from service.model_documents.facts import (
    JSON,
    Call,
    Described,
    Facts,
    closed,
    listed,
    opened,
    refer,
)
from service.model_documents.outputs import element
from service.open_inference.datatypes import DATATYPES as EVERY
from service.open_inference.metadata import OF_ANSWERS, OF_COLUMNS
from service.open_inference.shapes import COUNT, NAME, PARAMETERS
from service.schemas.messages import VERSION as NUMBER

NUMERIC: Final = [name for name in EVERY if name != "BYTES"]
MODEL: Final = "/v2/models/{model}/infer"
VERSION: Final = "/v2/models/{model}/versions/{version}/infer"


def describe(facts: Facts) -> list[Call]:
    """The calls of the dialect."""
    within = "" if facts.reference is None else f"/versions/{facts.reference}"
    example, answered = {}, None
    if facts.worked.row is not None:
        example = {JSON: {"inputs": _given(facts, facts.worked.row)}}
        answered = _answered(facts, facts.worked.answer)
    return [
        Call(
            general=VERSION if within else MODEL,
            path=f"/v2/models/{facts.model}{within}/infer",
            requests={JSON: _request(facts)},
            answer=_answer(facts),
            examples=example,
            answered=answered,
        )
    ]


def _request(facts: Facts) -> Described:
    names = list(_outputs(facts))
    wanted = opened(closed({"name": {"enum": names}, "parameters": PARAMETERS}, "name"))
    return {
        "description": "Tensors that agree on how many rows there are.",
        "type": "object",
        "properties": {
            "id": _id(facts)
            | {"description": "Comes back with the answer.", "type": ["string", "null"]},
            "parameters": PARAMETERS,
            "inputs": _inputs(facts),
            "outputs": listed(
                wanted, len(names), description="By default those of the first method."
            )
            | {"type": ["array", "null"], "minItems": 0},
        },
        "required": ["inputs"],
    }


def _inputs(facts: Facts) -> Described:
    columns = {
        "description": "A tensor for each column, by its name.",
        "type": "array",
        "minItems": 1 if facts.signature.missing else facts.signature.columns,
        "maxItems": facts.signature.columns,
        "items": {"oneOf": [_column(facts, at) for at in range(facts.signature.columns)]},
    }
    forms = [*_own_inputs(facts), columns]
    if not facts.signature.numbers_alone:
        return {"anyOf": forms}
    rows = {"description": "The elements, flat or row by row.", "anyOf": _elements(facts)}
    matrix = _tensor(NAME, NUMERIC, rows)
    sole = listed(matrix, 1, description="One tensor of rows [-1, columns].")
    return {"anyOf": [sole, *forms]}


def _own_inputs(facts: Facts) -> list[Described]:
    """Those of the model's graph, if it names any."""
    inputs = facts.signature.inputs
    if not inputs:
        return []
    places = spans(inputs)
    own = {
        "description": "A tensor for each input of the graph, by its name.",
        "type": "array",
        "minItems": 1 if facts.signature.missing else len(inputs),
        "maxItems": len(inputs),
        "items": {"oneOf": [_own_input(facts, p, places[p.name].start) for p in inputs]},
    }
    return [own]


def _own_input(facts: Facts, part: Part, start: int) -> Described:
    kind, cell = _cell(facts, start)
    most, width = facts.bounds.max_rows, part.columns
    row = listed(cell, width) | {"minItems": width}
    data = {"anyOf": [listed(cell, most * width), listed(row, most)]}
    return _tensor({"const": part.name}, ["BYTES"] if kind == "text" else NUMERIC, data)


def _elements(facts: Facts) -> list[Described]:
    most = facts.bounds.max_rows
    number = {"type": ["number", "null"] if facts.signature.missing else "number"}
    return [listed(refer(ROW), most), listed(number, most * facts.signature.columns)]


def _cell(facts: Facts, position: int) -> tuple[Kind, Described]:
    kind: Kind = facts.signature.column_kinds[position]
    cell: Described = {"type": "number"}
    if kind == "text":
        cell = {"type": "string", "format": "text", "maxLength": facts.bounds.max_bytes}
    if facts.signature.missing:
        cell["type"] = [cell["type"], "null"]
    return kind, cell


def _column(facts: Facts, position: int) -> Described:
    kind, cell = _cell(facts, position)
    most = facts.bounds.max_rows
    name = {"const": facts.signature.column(position)}
    datatypes = ["BYTES"] if kind == "text" else NUMERIC
    wrapped = listed(cell, 1)
    return _tensor(name, datatypes, {"anyOf": [listed(cell, most), listed(wrapped, most)]})


def _tensor(name: Described, datatypes: list[str], data: Described) -> Described:
    members = {
        "name": name,
        "shape": listed(COUNT, 2),
        "datatype": {"enum": datatypes},
        "parameters": PARAMETERS,
        "data": data,
    }
    return opened(closed(members, "name", "shape", "datatype", "data"))


def _id(facts: Facts) -> Described:
    return {"type": "string", "format": "text", "maxLength": facts.bounds.max_bytes}


def _answer(facts: Facts) -> Described:
    outputs = [_output(name, output, facts) for name, output in _outputs(facts).items()]
    members: Described = {
        "model_name": {"const": facts.model},
        "model_version": NUMBER,
        "id": _id(facts),
        "outputs": listed({"oneOf": outputs}, len(outputs)),
    }
    return closed(members, "model_name", "model_version", "outputs")


def _outputs(facts: Facts) -> dict[str, Output]:
    """What can be asked for: each method, and the outputs of the graph that it is made of."""
    methods = facts.signature.methods
    own = {p.name: Output(o.dtype, p.width) for o in methods.values() for p in o.parts}
    return own | dict(methods)


def _output(name: str, output: Output, facts: Facts) -> Described:
    elements = facts.bounds.max_rows * (output.width or 1)
    return closed(
        {
            "name": {"const": name},
            "shape": listed(COUNT, 2),
            "datatype": {"const": OF_ANSWERS[output.dtype]},
            "parameters": PARAMETERS,
            "data": listed(element(output), elements),
        },
        "name",
        "shape",
        "datatype",
    )


def _given(facts: Facts, row: list[Any]) -> list[Described]:
    if facts.signature.numbers_alone:
        shape = [1, facts.signature.columns]
        return [{"name": INPUT, "shape": shape, "datatype": "FP64", "data": row}]
    pairs = zip(facts.signature.names, facts.signature.column_kinds, row, strict=True)
    return [
        {"name": name, "shape": [1], "datatype": OF_COLUMNS[kind], "data": [cell]}
        for name, kind, cell in pairs
    ]


def _answered(facts: Facts, answer: Any) -> Described:
    method = facts.signature.default_method
    output = facts.signature.methods[method]
    data = [answer] if output.width is None else answer
    parts = output.parts or (Part(method, output.width),)
    places = spans(parts)
    tensors = [
        {
            "name": part.name,
            "shape": [1] if part.width is None else [1, part.width],
            "datatype": OF_ANSWERS[output.dtype],
            "data": data[places[part.name]],
        }
        for part in parts
    ]
    return {"model_name": facts.model, "model_version": str(facts.number), "outputs": tensors}
