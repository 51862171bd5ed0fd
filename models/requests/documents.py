"""JSON documents as clients of other servers write them: any members, parsed as strictly as ours.

Nothing may be given twice, nest deep, or follow the document: two readers of one body must not see
two requests. NaN and Infinity, which are no JSON, are read where a dialect has them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from models.errors import InputRefused
from models.requests.bounds import STRING, Bounds, bounded_document
from models.requests.faults import refuse_large_integer, refuse_unparsable
from models.requests.places import step

NOT_FINITE: Final = re.compile(rb"NaN|Infinity")
NESTING: Final = frozenset({list, dict})


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON object with the bytes that it was read from."""

    members: dict[str, Any]
    body: bytes
    outline: bytes  # the body without its numerals and strings

    @property
    def may_hold_booleans(self) -> bool:
        """Whether there is a `true` or `false`, as far as the outline without `e` tells."""
        return b"tru" in self.outline or b"fals" in self.outline

    def refuse_large_integer(self) -> None:
        """Raise InputRefused at the first integer that a float64 might not hold exactly."""
        refuse_large_integer(STRING.sub(b'""', self.body))


def read_document(
    body: bytes, bounds: Bounds, *, not_finite: bool = False, wanted: str = "not a JSON object"
) -> Document:
    """Parse a body that is one JSON object; raises InputRefused, in `wanted` words for another.

    With `not_finite` NaN, Infinity and -Infinity are read as numbers.
    """
    outline = bounded_document(body, bounds)
    try:
        members = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if not not_finite or not NOT_FINITE.search(body):
            refuse_unparsable(body, error)
        members = _parse_slowly(body)
    if type(members) is not dict:
        raise InputRefused("", wanted)
    # Outside of strings every colon ends a member's name, of which the last alone was kept.
    written = outline.count(b":")
    if written != _plain_members(members) and written != _all_members(members):
        _parse_slowly(body)  # which says what is given twice
    return Document(members, body, outline)


def _plain_members(members: dict[str, Any]) -> int:
    """How many members there are, but for those of objects in places that no rows have."""
    count = len(members)
    for value in members.values():
        if type(value) is dict:
            count += len(value)
        elif type(value) is list and set(map(type, value)) == {dict}:
            count += sum(map(len, value))
    return count


def _all_members(members: dict[str, Any]) -> int:
    """How many members all objects have together; lists without any are passed over at once."""
    count, waiting = 0, [members]
    while waiting:
        current: Any = waiting.pop()
        inner: Iterable[Any] = current
        if type(current) is dict:
            count += len(current)
            inner = current.values()
        if not NESTING.isdisjoint(map(type, inner)):
            waiting += [value for value in inner if type(value) in NESTING]
    return count


def _parse_slowly(body: bytes) -> Any:
    """Parse with Python's own parser, which sees members given twice; the depth is bounded."""
    try:
        text = body.decode()
        value = json.loads(text, object_pairs_hook=_unique_members)
        if "\\u" in text:  # half a surrogate pair is no character, which orjson would say
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InputRefused("", "not JSON: a text holds half of a surrogate pair") from error
    except ValueError as error:
        raise InputRefused("", f"not JSON: {_reason(error)}") from error
    return value


def _reason(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return str(error)
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    return "a number of too many digits"


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for index, name in enumerate(names) if name in names[:index])
        written = repeated.encode(errors="backslashreplace").decode()
        raise InputRefused(f"/{step(written)}", "given more than once")
    return members
