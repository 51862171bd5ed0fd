"""The Open Inference Protocol for one model: its tensors, by their names, types and shapes."""

from __future__ import annotations

from typing import Any, Final

from models.requests.binding import INPUT
from models.signature import AnswerKind, Kind, Part, Signature, spans
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
from service.model_documents.outputs import KINDS
from service.open_inference.datatypes import DATATYPES as EVERY
from service.open_inference.metadata import OF_ANSWERS, inputs_of
from service.open_inference.shapes import COUNT, NAME, PARAMETERS
from service.schemas import PROSE
from service.schemas.messages import VERSION as NUMBER

NUMERIC: Final = [name for name in EVERY if name != "BYTES"]
MODEL: Final = "/v2/models/{model}/infer"
VERSION: Final = "/v2/models/{model}/versions/{version}/infer"


def describe(facts: Facts) -> list[Call]:
    """The calls of the dialect."""
    within = "" if facts.reference is None else f"/versions/{facts.reference}"
    example, answered = {}, None
    if facts.worked.row is not None:
        example = {JSON: {"inputs": _given(facts.signature, facts.worked.row)}}
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
    names = list(dict.fromkeys((*_parts(facts.signature), *facts.signature.methods)))
    wanted = opened(closed({"name": {"enum": names}, "parameters": PARAMETERS}, "name"))
    return {
        "description": "Tensors that agree on how many rows there are.",
        "type": "object",
        "properties": {
            "id": _id(facts)
            | {"description": "Comes back with the answer.", "type": ["string", "null"]},
            "parameters": PARAMETERS,
            "inputs": _inputs(facts),
            "outputs": {
                "description": "By default those of the first method.",
                "type": ["array", "null"],
                "maxItems": len(names),
                "items": wanted,
            },
        },
        "required": ["inputs"],
    }


def _inputs(facts: Facts) -> Described:
    """One tensor of rows of numbers, those that the model's graph names, or one for each column."""
    signature = facts.signature
    columns = range(signature.columns)
    needed = sum(not signature.may_lack(at) for at in columns)
    forms = [_several([_column(facts, at) for at in columns], needed)]
    if signature.inputs:
        inputs = [_input(facts, part) for part in signature.inputs]
        forms.insert(0, _several(inputs, 1 if signature.missing else len(inputs)))
    if signature.numbers_alone:
        rows = {"description": "The elements, flat or row by row.", "anyOf": _elements(facts)}
        forms.insert(0, listed(_tensor(NAME, NUMERIC, rows), 1, description="Rows of numbers."))
    return forms[0] if len(forms) == 1 else {"anyOf": forms}


def _several(tensors: list[Described], needed: int) -> Described:
    return {
        "description": "A tensor for each, by its name.",
        "type": "array",
        "minItems": max(1, needed),
        "maxItems": len(tensors),
        "items": {"oneOf": tensors},
    }


def _elements(facts: Facts) -> list[Described]:
    most = facts.bounds.max_rows
    return [
        listed(refer(ROW), most),
        listed(_cell(facts, "number"), most * facts.signature.columns),
    ]


def _column(facts: Facts, position: int) -> Described:
    kind = facts.signature.column_kinds[position]
    return _named(facts, Part(facts.signature.column(position)), kind)


def _input(facts: Facts, part: Part) -> Described:
    first = spans(facts.signature.inputs)[part.name].start
    return _named(facts, part, facts.signature.column_kinds[first])


def _named(facts: Facts, part: Part, kind: Kind) -> Described:
    """A tensor of one or several columns: flat, or row by row."""
    most, cell = facts.bounds.max_rows, _cell(facts, kind)
    row = listed(cell, part.columns) | {"minItems": part.columns}
    data = {"anyOf": [listed(cell, most * part.columns), listed(row, most)]}
    datatypes = ["BYTES"] if kind == "text" else NUMERIC
    return _tensor({"const": part.name}, datatypes, data)


def _cell(facts: Facts, kind: Kind) -> Described:
    cell: Described = {"type": "number"}
    if kind == "text":
        cell = {"type": "string", "format": PROSE, "maxLength": facts.bounds.max_bytes}
    if facts.signature.missing:
        cell["type"] = [cell["type"], "null"]
    return cell


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
    return {"type": "string", "format": PROSE, "maxLength": facts.bounds.max_bytes}


def _answer(facts: Facts) -> Described:
    outputs = [_output(part, kind, facts) for part, kind in _parts(facts.signature).values()]
    members: Described = {
        "model_name": {"const": facts.model},
        "model_version": NUMBER,
        "id": _id(facts),
        "outputs": listed({"oneOf": outputs}, len(outputs)),
    }
    return closed(members, "model_name", "model_version", "outputs")


def _parts(signature: Signature) -> dict[str, tuple[Part, AnswerKind]]:
    """Every output by its name: each method whole, and what its graph names of it."""
    return {
        part.name: (part, output.dtype)
        for method, output in signature.methods.items()
        for part in (*output.parts, Part(method, output.width))
    }


def _output(part: Part, kind: AnswerKind, facts: Facts) -> Described:
    return closed(
        {
            "name": {"const": part.name},
            "shape": listed(COUNT, 2),
            "datatype": {"const": OF_ANSWERS[kind]},
            "parameters": PARAMETERS,
            "data": listed(KINDS[kind], facts.bounds.max_rows * part.columns),
        },
        "name",
        "shape",
        "datatype",
    )


def _given(signature: Signature, row: list[Any]) -> list[Described]:
    """The worked row as the tensors that the model's metadata names."""
    parts = signature.inputs or tuple(map(Part, signature.names))
    if not signature.inputs and signature.numbers_alone:
        parts = (Part(INPUT, signature.columns),)
    columns = spans(parts)
    datatypes = {tensor["name"]: tensor["datatype"] for tensor in inputs_of(signature)}
    return [_filled(part, datatypes[part.name], row[columns[part.name]]) for part in parts]


def _answered(facts: Facts, answer: Any) -> Described:
    method = facts.signature.default_method
    output = facts.signature.methods[method]
    parts = output.parts or (Part(method, output.width),)
    values = [answer] if output.width is None else answer
    columns, datatype = spans(parts), OF_ANSWERS[output.dtype]
    return {
        "model_name": facts.model,
        "model_version": str(facts.number),
        "outputs": [_filled(part, datatype, values[columns[part.name]]) for part in parts],
    }


def _filled(part: Part, datatype: str, values: list[Any]) -> Described:
    shape = [1] if part.width is None else [1, part.width]
    return {"name": part.name, "shape": shape, "datatype": datatype, "data": values}
