"""JSON of the protocol's requests: bounded before it is parsed, no member given twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson

from models.errors import InputRefused
from models.requests.bounds import STRING, Bounds, bounded_document
from models.requests.faults import refuse_unparsable

NESTING = frozenset({list, dict})


def read_document(data: bytes, bounds: Bounds) -> dict[str, Any]:
    """A JSON object within the bounds; raises InputRefused.

    Every input is an object with a shape and a list, beside the rows that may be lists.
    """
    wider = replace(bounds, max_rows=bounds.max_rows + 4 * bounds.max_columns)
    outline = bounded_document(data, wider)
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        refuse_unparsable(data, error)
    if type(document) is not dict:
        raise InputRefused("", "not an object")
    # Outside of strings every colon ends a member's name, of which the last alone was kept.
    if STRING.sub(b"", outline).count(b":") != _members(document):
        raise InputRefused("", "a member is given more than once")
    return document


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


def _members(document: dict[str, Any]) -> int:
    """How many members all objects have together; lists without any are passed over at once."""
    count, waiting = 0, [document]
    while waiting:
        current: Any = waiting.pop()
        inner: Iterable[Any] = current
        if type(current) is dict:
            count += len(current)
            inner = current.values()
        if not NESTING.isdisjoint(map(type, inner)):
            waiting += [value for value in inner if type(value) in NESTING]
    return count
