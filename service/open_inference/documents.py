"""JSON of the protocol's requests: bounded before it is parsed, no member given twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from models.errors import InputRefused
from models.requests import documents
from models.requests.bounds import Bounds


def read_document(data: bytes, bounds: Bounds) -> dict[str, Any]:
    """A JSON object within the bounds; raises InputRefused.

    Every input is an object with a shape and a list, beside the rows that may be lists.
    """
    wider = replace(bounds, max_rows=bounds.max_rows + 4 * bounds.max_columns)
    return documents.read_document(data, wider, wanted="not an object").members


def read_objects(value: object, where: str) -> list[dict[str, Any]]:
    """A list of objects, empty if there is none; raises InputRefused."""
    if value is None:
        return []
    if type(value) is not list:
        raise InputRefused(where, "not a list of objects")
    for index, item in enumerate(value):
        if type(item) is not dict:
            raise InputRefused(f"{where}/{index}", "not an object")
    return value
