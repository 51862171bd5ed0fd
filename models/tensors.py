"""From the bytes of a request to one float64 matrix: strict, bounded, and without a Python loop.

orjson parses; `struct` writes the numbers of all rows into the matrix in one call and, unlike
numpy, takes nothing for a number but int, float and bool. Whatever is not plainly well-formed is
looked at again, slowly, to say what is wrong and where.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, NoReturn

import numpy as np
import orjson
from numpy.typing import NDArray

from models.bounds import Bounds, bounded_outline
from models.errors import InputRefused
from models.faults import refuse_fault, refuse_large_integer, refuse_unparsable
from models.names import MODEL_NAME, read_reference

MEMBERS: Final = frozenset({"features", "model", "version"})
# Beyond it a float64 cannot tell an integer from its neighbours (RFC 8259, section 6).
LARGEST_INTEGER: Final = 2.0**53
SHOWN: Final = 64

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """What a caller asks: rows (C-contiguous, finite), and of which model and version."""

    features: Matrix
    model: str | None
    version: int | str | None


def read_prediction_request(body: bytes, bounds: Bounds) -> PredictionRequest:
    """Read `{"features": [...] or [[...], ...], "model"?, "version"?}`; raises InputRefused."""
    outline = bounded_outline(body, bounds)
    try:
        envelope = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        refuse_unparsable(body, error)
    if type(envelope) is not dict:
        raise InputRefused("", 'not an object like {"features": [[1, 2]]}')
    if not envelope.keys() <= MEMBERS:
        _refuse_unknown(envelope)
    model = _read_model(envelope)
    version = _read_version(envelope)
    features = _read_features(body, outline, envelope, bounds)
    # No name that was accepted holds a colon, so that every colon ends a member's name.
    if outline.count(b":") != len(envelope):
        _refuse_duplicate(body, envelope)
    return PredictionRequest(features, model, version)


def _read_model(envelope: dict[str, Any]) -> str | None:
    if "model" not in envelope:
        return None
    model = envelope["model"]
    if type(model) is not str or not MODEL_NAME.fullmatch(model):
        raise InputRefused("/model", "not the name of a model")
    return model


def _read_version(envelope: dict[str, Any]) -> int | str | None:
    if "version" not in envelope:
        return None
    version = read_reference(envelope["version"])
    if version is None:
        raise InputRefused("/version", "neither a version's number, from 1, nor an alias")
    return version


def _read_features(body: bytes, outline: bytes, envelope: dict[str, Any], bounds: Bounds) -> Matrix:
    features = envelope.get("features")
    if type(features) is not list or not features:
        _refuse_features(envelope)
    flat = type(features[0]) is not list
    matrix = _one_row(features, bounds) if flat else _many_rows(features, bounds)
    # What is left of `true` and `false` without numerals, which struct would take for 1 and 0.
    if b"tru" in outline or b"fals" in outline:
        refuse_fault(features)
    if flat:  # the built-ins beat numpy on one short row
        large = max(features) >= LARGEST_INTEGER or min(features) <= -LARGEST_INTEGER
    else:
        large = matrix.max() >= LARGEST_INTEGER or matrix.min() <= -LARGEST_INTEGER
    if large:
        refuse_large_integer(body)
    return matrix


def _one_row(row: list[Any], bounds: Bounds) -> Matrix:
    if len(row) > bounds.max_columns:
        raise InputRefused("/features", f"more than {bounds.max_columns} columns")
    matrix = np.empty((1, len(row)))
    try:
        struct.pack_into(f"{len(row)}d", matrix.data, 0, *row)
    except struct.error:
        _refuse(row)
    return matrix


def _many_rows(rows: list[Any], bounds: Bounds) -> Matrix:
    count, columns = len(rows), len(rows[0])
    if count > bounds.max_rows:
        raise InputRefused("/features", f"more than {bounds.max_rows} rows")
    if columns > bounds.max_columns:
        raise InputRefused("/features/0", f"more than {bounds.max_columns} columns")
    try:
        if not columns or set(map(len, rows)) != {columns}:
            _refuse(rows)
        matrix = np.empty((count, columns))
        struct.pack_into(f"{count * columns}d", matrix.data, 0, *chain.from_iterable(rows))
    except (TypeError, struct.error):
        _refuse(rows)
    return matrix


def _refuse(features: list[Any]) -> NoReturn:
    refuse_fault(features)
    raise InputRefused("/features", "not numbers")


def _refuse_features(envelope: dict[str, Any]) -> NoReturn:
    if "features" not in envelope:
        raise InputRefused("/features", "missing")
    if envelope["features"] == []:
        raise InputRefused("/features", "empty; give at least one row")
    raise InputRefused("/features", "neither a row nor a list of rows")


def _refuse_unknown(envelope: dict[str, Any]) -> NoReturn:
    name = next(name for name in envelope if name not in MEMBERS)
    step = name[:SHOWN].replace("~", "~0").replace("/", "~1")  # RFC 6901, section 3
    raise InputRefused(f"/{step}", "unknown field; known are features, model, version")


def _refuse_duplicate(body: bytes, envelope: dict[str, Any]) -> NoReturn:
    seen = [name for name in envelope if body.count(b'"%s"' % name.encode()) > 1]
    path = f"/{seen[0]}" if len(seen) == 1 else ""
    raise InputRefused(path, "given more than once" if path else "a field is given more than once")
