"""Where something is in a body, as a JSON pointer (RFC 6901)."""

from __future__ import annotations

from typing import Any, Final

import orjson

from models.requests.bounds import NOT_BRACKETS, STRING

CLOSING: Final = bytes.maketrans(b"[{", b"]}")
DEEPEST: Final = 64  # the bounds permit fewer; a body that is deeper has no place named


def step(name: str) -> str:
    """A name as a step of a JSON pointer (RFC 6901, section 3), cut to a length."""
    return name[:64].replace("~", "~0").replace("/", "~1")


def place_of(text: str, position: int) -> str:
    """The path of the value that starts at a position of a body that is JSON up to there.

    What is before it is parsed again, with everything closed that is open: no loop over its cells.
    """
    before = text[:position].encode(errors="replace")
    opened = STRING.sub(b"", before).translate(None, NOT_BRACKETS)
    for _ in range(DEEPEST):
        opened, shorter = opened.replace(b"[]", b"").replace(b"{}", b""), opened
        if len(opened) == len(shorter):
            break
    try:
        value = orjson.loads(before + b"null" + opened.translate(CLOSING)[::-1])
    except orjson.JSONDecodeError:
        return ""
    return _path_of_last(value)


def _path_of_last(value: Any) -> str:
    path = ""
    while value:
        if isinstance(value, list):
            path += f"/{len(value) - 1}"
            value = value[-1]
        elif isinstance(value, dict):
            name = next(reversed(value))
            path += f"/{step(name)}"
            value = value[name]
        else:
            return ""  # a name given twice stands where it was first
    return path
