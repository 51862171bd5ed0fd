"""What a version answers to a row by each of its methods, as JSON Schema has it."""

from __future__ import annotations

from typing import Final

from models.signature import Output, Signature
from service.model_documents.facts import Described, Facts, refer
from service.schemas import LARGEST, PROSE

KINDS: Final[dict[str, Described]] = {
    "number": {"type": "number"},
    "integer": {
        "type": "integer",
        "format": "int64",
        "minimum": -(2**63),
        "maximum": 2**63 - 1,
    },
    "boolean": {"type": "boolean"},
    "text": {"type": "string", "format": PROSE, "maxLength": LARGEST},
}
DATATYPES: Final = {"number": "FP64", "integer": "INT64", "boolean": "BOOL", "text": "BYTES"}


def output_schemas(signature: Signature) -> dict[str, Described]:
    """The answer to one row by each method, by its name."""
    return {method: _answer(signature, method) for method in signature.methods}


def any_answers(facts: Facts, methods: tuple[str, ...] = ()) -> Described:
    """One answer for each row, by whichever of the methods; by default of all."""
    kinds = [refer(method) for method in methods or facts.signature.methods]
    return {
        "description": "One answer for each row, in their order.",
        "type": "array",
        "maxItems": facts.bounds.max_rows,
        "items": kinds[0] if len(kinds) == 1 else {"anyOf": kinds},
    }


def element(output: Output) -> Described:
    """One value of an answer, whatever its meaning."""
    return KINDS[output.dtype]


def _answer(signature: Signature, method: str) -> Described:
    output = signature.methods[method]
    value = KINDS[output.dtype]
    if method == "predict" and signature.classes is not None and output.width is None:
        value = value | {"description": "A class.", "enum": list(signature.classes)}
    if output.width is None:
        return {"description": f"What `{method}` says to a row."} | value
    return {
        "description": f"What `{method}` says to a row{_classes(signature, output)}.",
        "type": "array",
        "minItems": output.width,
        "maxItems": output.width,
        "items": value,
    }


def _classes(signature: Signature, output: Output) -> str:
    if signature.classes is None or len(signature.classes) != output.width:
        return ""
    return ": a number for each class, in the order of the classes that `predict` may say"
