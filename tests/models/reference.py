"""The reader of prediction requests as its rules read: slow, plain, and what the fast one does."""

from __future__ import annotations

import json
import math
import re
from typing import Any

MODEL = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
ALIAS = re.compile(r"[a-z][a-z0-9_.-]{0,62}")
NUMBER = re.compile(r"[1-9][0-9]{0,14}")


class Refused(Exception):
    """Raised when the reference refuses."""


def read(body: bytes) -> tuple[list[list[float]], str | None, int | str | None]:
    """Return rows, model and version, or raise Refused."""
    try:
        value = json.loads(
            body.decode(), object_pairs_hook=_members, parse_constant=_constant, parse_float=_float
        )
    except (ValueError, RecursionError) as error:
        raise Refused from error
    _require(isinstance(value, dict) and value.keys() <= {"features", "model", "version"})
    _require("features" in value)
    model = value.get("model")
    _require("model" not in value or (isinstance(model, str) and bool(MODEL.fullmatch(model))))
    version = _version(value["version"]) if "version" in value else None
    return _rows(value["features"]), model, version


def _rows(features: Any) -> list[list[float]]:
    _require(isinstance(features, list) and bool(features))
    rows = features if isinstance(features[0], list) else [features]
    _require(all(isinstance(row, list) and row and len(row) == len(rows[0]) for row in rows))
    return [[_number(value) for value in row] for row in rows]


def _number(value: Any) -> float:
    _require(type(value) in (int, float))
    _require(type(value) is float or abs(value) <= 2**53)
    return float(value)


def _version(value: Any) -> int | str:
    if type(value) is int:
        _require(1 <= value < 10**15)
        return value
    _require(isinstance(value, str))
    if NUMBER.fullmatch(value):
        return int(value)
    _require(bool(ALIAS.fullmatch(value)))
    return str(value)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _require(len({name for name, _ in pairs}) == len(pairs))
    return dict(pairs)


def _float(text: str) -> float:
    value = float(text)
    _require(math.isfinite(value))
    return value


def _constant(_text: str) -> None:
    raise Refused


def _require(holds: bool) -> None:
    if not holds:
        raise Refused
