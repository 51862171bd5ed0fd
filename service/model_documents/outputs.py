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


# NaN and Infinity are no JSON; who reads them all the same reads null or a number.
LOOSE_KINDS: Final = KINDS | {
    "number": {
        "description": "NaN, Infinity and -Infinity are written so.",
        "type": ["number", "null"],
    }
}


def output_schemas(signature: Signature) -> dict[str, Described]:
    """The answer to one row by each method, by its name; also where numbers may be no numbers."""
    finite = {method: _answer(signature, method, KINDS) for method in signature.methods}
    loose = {
        _loose(method): _answer(signature, method, LOOSE_KINDS) for method in signature.methods
    }
    return finite | loose


def any_answers(facts: Facts, *, finite: bool = True) -> Described:
    """One answer for each row, by any of the methods.

    Dialects that write NaN and Infinity as such have answers that are not `finite`.
    """
    methods = facts.signature.methods
    kinds = [refer(method if finite else _loose(method)) for method in methods]
    return {
        "description": "One answer for each row, in their order.",
        "type": "array",
        "maxItems": facts.bounds.max_rows,
        "items": kinds[0] if len(kinds) == 1 else {"anyOf": kinds},
    }


def _loose(method: str) -> str:
    return f"{method}.loose"


def _answer(signature: Signature, method: str, kinds: dict[str, Described]) -> Described:
    output = signature.methods[method]
    value = kinds[output.dtype]
    if method == "predict" and signature.classes is not None and output.width is None:
        value = value | {"description": "A class.", "enum": list(signature.classes)}
    if output.width is None:
        return value | {"description": f"What `{method}` says to a row."}
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
