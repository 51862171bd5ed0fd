"""The native dialect for one model: `POST /predict`."""

from __future__ import annotations

from typing import Any

from service.model_documents.columns import COLUMNS, RECORD, ROW
from service.model_documents.facts import JSON, Call, Described, Facts, listed, refer
from service.model_documents.outputs import any_answers
from service.schemas.predictions import VERSION


def describe(facts: Facts) -> list[Call]:
    """The calls of the dialect."""
    request, example, answered = _request(facts), {}, None
    if facts.worked.row is not None:
        example = {JSON: {"features": [facts.worked.row], **_asked(facts)}}
        answered = {
            "prediction": [facts.worked.answer],
            "model": facts.model,
            "version": facts.number,
        }
    return [
        Call(
            general="/predict",
            path="/predict",
            requests={JSON: request},
            answer=_answer(facts),
            examples=example,
            answered=answered,
        )
    ]


def _request(facts: Facts) -> Described:
    most = facts.bounds.max_rows
    rows = {
        "features": {
            "description": "Rows in the order of the columns, or one row.",
            "anyOf": [refer(ROW), listed(refer(ROW), most)],
        },
        "records": listed(refer(RECORD), most, description="Rows by the names of the columns."),
        "columns": refer(COLUMNS),
    }
    method = {
        "description": "By default the first.",
        "type": "string",
        "enum": list(facts.signature.methods),
    }
    named = {name: {"const": value} for name, value in _asked(facts).items()}
    return {
        "description": "Rows, given once: as features, records or columns.",
        "type": "object",
        "properties": rows | {"method": method} | named,
        "required": [name for name in named if name != "model" or not facts.is_default],
        "additionalProperties": False,
        "oneOf": [{"required": [name]} for name in rows],
    }


def _asked(facts: Facts) -> dict[str, Any]:
    version: dict[str, Any] = {} if facts.reference is None else {"version": facts.reference}
    return {"model": facts.model} | version


def _answer(facts: Facts) -> Described:
    members: Described = {
        "prediction": any_answers(facts),
        "model": {"const": facts.model},
        "version": VERSION if facts.reference is None else {"const": facts.number},
    }
    return {
        "type": "object",
        "properties": members,
        "required": list(members),
        "additionalProperties": False,
    }
