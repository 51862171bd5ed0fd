"""MLflow's scoring protocol for one model: data frames, tensors and CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

from config import prose
from models.signature import Signature
from service.mlflow.requests import FORMS
from service.model_documents.columns import LOOSE_RECORD, ROW, inputs, instances
from service.model_documents.facts import (
    JSON,
    Call,
    Described,
    Facts,
    closed,
    listed,
    refer,
)
from service.model_documents.outputs import any_answers
from service.schemas.predictions import VERSION, WORD

CSV = "text/csv"
SHOWN = 8


def describe(facts: Facts) -> list[Call]:
    """The calls of the dialect; a version is named in the query."""
    example: dict[str, Any] = {}
    answered = None
    if facts.worked.row is not None:
        split = {"columns": list(facts.signature.names), "data": [facts.worked.row]}
        example = {JSON: {"dataframe_split": split}, CSV: _csv_of(facts)}
        answered = {"predictions": [facts.worked.answer]}
    return [
        Call(
            general="/models/{model}/invocations",
            path=f"/models/{facts.model}/invocations",
            requests={JSON: _request(facts), CSV: _csv(facts)},
            answer=closed({"predictions": any_answers(facts, finite=False)}, "predictions"),
            examples=example,
            answered=answered,
            parameters=_parameters(facts),
        )
    ]


def _parameters(facts: Facts) -> tuple[Described, ...]:
    if facts.reference is None:
        return ()
    return (
        {
            "in": "query",
            "name": "version",
            "required": True,
            "description": "The version that this document is about.",
            "schema": (VERSION if isinstance(facts.reference, int) else WORD)
            | {"enum": [facts.reference]},
        },
    )


def _request(facts: Facts) -> Described:
    most = facts.bounds.max_rows
    record = refer(LOOSE_RECORD)
    split = closed(
        {
            "columns": _names(facts.signature),
            "index": {
                "description": "Labels of rows, which are not looked at.",
                "type": ["array", "null"],
                "maxItems": most,
            },
            "data": listed(refer(ROW), most),
        },
        "data",
    )
    method = {"type": "string", "enum": list(facts.signature.methods)}
    return {
        "description": "Exactly one of the four forms of rows.",
        "type": "object",
        "properties": {
            "dataframe_split": split,
            "dataframe_records": listed(record, most),
            "instances": instances(facts),
            "inputs": inputs(facts),
            "params": closed({"method": method}) | {"type": ["object", "null"]},
        },
        "oneOf": [{"required": [form]} for form in FORMS],
    }


def _csv_of(facts: Facts) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([facts.signature.names, facts.worked.row or ()])
    return text.getvalue()


def _names(signature: Signature) -> Described:
    """The names of a frame's columns: in any order where that makes no difference to a schema."""
    names = list(signature.names)
    if not signature.numbers_alone:
        return {"enum": [names, None]}
    return {
        "type": ["array", "null"],
        "minItems": len(names),
        "maxItems": len(names),
        "items": {"enum": names},
        "uniqueItems": True,
    }


def _csv(facts: Facts) -> Described:
    names = prose.listed(facts.signature.names, SHOWN)
    return {
        "description": f"A line of names ({names}), then rows.",
        "type": "string",
        "format": "csv",
        "maxLength": facts.bounds.max_bytes,
    }
