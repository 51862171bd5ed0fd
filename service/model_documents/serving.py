"""TF Serving's REST API for one model: predict, and classify and regress where it can."""

from __future__ import annotations

from typing import Any

from models.names import Reference
from service.model_documents.columns import LOOSE_RECORD, inputs, instances
from service.model_documents.facts import (
    JSON,
    Call,
    Described,
    Facts,
    closed,
    listed,
    refer,
)
from service.model_documents.outputs import LOOSE_KINDS, any_answers
from service.schemas import described
from service.tensorflow_serving.signatures import (
    BYTES_SUFFIX,
    LONGEST,
    SERVING_DEFAULT,
    classifies,
    has_probabilities,
    regresses,
)


def describe(facts: Facts) -> list[Call]:
    """The calls of the dialect; where several versions have one name, a label names them."""
    calls = [_predict(facts)]
    if classifies(facts.signature):
        calls.append(_examples(facts, "classify", _classes(facts)))
    if regresses(facts.signature, facts.signature.default_method):
        calls.append(_examples(facts, "regress", _numbers(facts)))
    return calls


def _predict(facts: Facts) -> Call:
    example, answered = {}, None
    if facts.worked.row is not None:
        example = {JSON: {"instances": [_row(facts, facts.worked.row)]}}
        answered = {"predictions": [facts.worked.answer]}
    request = {
        "description": "Either `instances`, row by row, or `inputs`, by columns.",
        "type": "object",
        "properties": {
            "signature_name": _signature(facts),
            "instances": instances(facts),
            "inputs": inputs(facts),
        },
        "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
    }
    several = {
        "type": "array",
        "maxItems": facts.bounds.max_rows,
        "items": {"type": "object", "maxProperties": len(facts.signature.methods)},
    }
    answers = {"anyOf": [any_answers(facts, finite=False), several]}
    columnar = {"anyOf": [any_answers(facts, finite=False), {"type": "object"}]}
    return Call(
        general=f"{_general(facts.reference)}:predict",
        path=f"{_path(facts)}:predict",
        requests={JSON: request},
        answer=closed({"predictions": answers, "outputs": columnar}),
        examples=example,
        answered=answered,
    )


def _examples(facts: Facts, verb: str, results: Described) -> Call:
    most = facts.bounds.max_rows
    request = {
        "description": "Examples by the names of the columns; what all of them have may stand in "
        "`context` instead.",
        "type": "object",
        "properties": {"examples": listed(refer(LOOSE_RECORD), most)},
        "required": ["examples"],
    }
    example = {} if facts.worked.row is None else {JSON: {"examples": [facts.record()]}}
    return Call(
        general=f"{_general(facts.reference)}:{verb}",
        path=f"{_path(facts)}:{verb}",
        requests={JSON: request},
        answer=closed({"results": results}, "results"),
        examples=example,
    )


def _classes(facts: Facts) -> Described:
    labels = [str(label) for label in facts.signature.classes or ()]
    count = len(labels) if has_probabilities(facts.signature) else 1
    pair = {
        "description": "A class and its score.",
        "type": "array",
        "items": {"anyOf": [{"enum": labels}, LOOSE_KINDS["number"]]},
        "minItems": 2,
        "maxItems": 2,
    }
    scores = {"type": "array", "minItems": count, "maxItems": count, "items": pair}
    return {"type": "array", "maxItems": facts.bounds.max_rows, "items": scores}


def _numbers(facts: Facts) -> Described:
    return {"type": "array", "maxItems": facts.bounds.max_rows, "items": LOOSE_KINDS["number"]}


def _signature(facts: Facts) -> Described:
    methods = facts.signature.methods
    texts = [f"{name}{BYTES_SUFFIX}" for name, output in methods.items() if output.dtype == "text"]
    one = f"(?:{'|'.join([*methods, *texts])})"
    return {
        "description": "A method, or several separated by commas.",
        "type": "string",
        "examples": [SERVING_DEFAULT, *methods],
    } | described(f"(?:{SERVING_DEFAULT})?|{one}(?:,{one})*", LONGEST)


def _row(facts: Facts, row: list[Any]) -> Any:
    return row if facts.signature.numbers_alone else facts.record()


def _general(reference: Reference) -> str:
    if reference is None:
        return "/v1/models/{model}"
    kind = "versions/{version}" if isinstance(reference, int) else "labels/{label}"
    return f"/v1/models/{{model}}/{kind}"


def _path(facts: Facts) -> str:
    if facts.reference is None:
        return f"/v1/models/{facts.model}"
    kind = "versions" if isinstance(facts.reference, int) else "labels"
    return f"/v1/models/{facts.model}/{kind}/{facts.reference}"
