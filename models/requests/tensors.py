"""From the bytes of a request to the rows that it asks about: strict, bounded, without copies.

orjson parses. Rows of numbers, by far the most common, go into one float64 matrix without a Python
loop: `struct` writes all of them in one call and, unlike numpy, takes nothing for a number but
int, float and bool. Rows with texts, missing values or names wait for their model as they are
(models.requests.binding). Whatever is not well-formed is looked at again, slowly, to say what is
wrong and where.
"""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final, NoReturn

import numpy as np
import orjson

from models.errors import InputRefused
from models.names import MODEL_NAME, Reference, read_reference
from models.requests.binding import Named, Positional, Records, Rows, bind
from models.requests.bounds import STRING, Bounds, bounded_outline
from models.requests.faults import (
    may_be_inexact,
    refuse_fault,
    refuse_large_integer,
    refuse_unparsable,
)
from models.requests.pieces import read_plain
from models.requests.places import step
from models.signature import Signature
from models.tables import Features, Matrix

ROWS: Final = ("features", "records", "columns")
MEMBERS: Final = frozenset({*ROWS, "model", "version", "method"})
METHOD: Final = re.compile(r"[a-z_]{1,32}")
LONG_BYTES: Final = 8192  # from here on a body is first taken for rows of plain numbers


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """What a caller asks: rows, of which model and version, and by which of its methods.

    A matrix is C-contiguous and finite; other rows get their form from the model's signature.
    """

    rows: Matrix | Rows
    model: str | None
    version: Reference
    method: str | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def methods(self, signature: Signature) -> tuple[str, ...]:
        """The one method asked for, or the model's first."""
        return (signature.check_method(self.method),)

    def bound(self, signature: Signature) -> Features:
        """The rows as the model takes them; raises InputRefused where they do not fit."""
        if isinstance(self.rows, np.ndarray):
            signature.check(self.rows)
            return self.rows
        features = bind(self.rows, signature)
        signature.check(features)
        return features


def read_prediction_request(body: bytes, bounds: Bounds) -> PredictionRequest:
    """Read the native dialect's request; raises InputRefused.

    `{"features": [...] or [[...], ...]}`, or `{"records": [{name: value, ...}, ...]}`, or
    `{"columns": {name: [...], ...}}`, with `model`, `version` and `method` as one likes.
    """
    plain = read_plain(body, bounds) if len(body) >= LONG_BYTES else None
    if plain is not None:
        with suppress(InputRefused):  # in which case the whole of it says why
            return replace(_read_whole(plain.rest, bounds), rows=plain.matrix)
    return _read_whole(body, bounds)


def _read_whole(body: bytes, bounds: Bounds) -> PredictionRequest:
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
    method = _read_method(envelope)
    rows = _read_rows(body, outline, envelope, bounds)
    members = len(envelope)
    if not isinstance(rows, np.ndarray):
        outline = STRING.sub(b"", outline)
        members += _members(rows)
        refuse_large_integer(STRING.sub(b"", body))
    # No name that was accepted holds a colon, so that every colon ends a member's name.
    if outline.count(b":") != members:
        _refuse_duplicate(body, envelope)
    return PredictionRequest(rows, model, version, method)


def _read_rows(
    body: bytes, outline: bytes, envelope: dict[str, Any], bounds: Bounds
) -> Matrix | Rows:
    given = [name for name in ROWS if name in envelope]
    if len(given) > 1:
        raise InputRefused(f"/{given[1]}", f"given beside {given[0]}; give the rows once")
    if given == ["records"]:
        return read_records(envelope["records"], bounds)
    if given == ["columns"]:
        return read_columns(envelope["columns"], bounds)
    return _read_features(body, outline, envelope, bounds)


def read_records(records: Any, bounds: Bounds) -> Records:
    """Rows as objects, not looked into; raises InputRefused at a place in `/records`."""
    if type(records) is not list or not records:
        raise InputRefused("/records", "not a list of objects, one for each row")
    if len(records) > bounds.max_rows:
        raise InputRefused("/records", f"more than {bounds.max_rows} rows")
    for index, record in enumerate(records):
        if type(record) is not dict:
            raise InputRefused(f"/records/{index}", "not an object")
    return Records(records)


def read_columns(columns: Any, bounds: Bounds) -> Named:
    """Columns of equal length, not looked into; raises InputRefused at a place in `/columns`."""
    if type(columns) is not dict or not columns:
        raise InputRefused("/columns", "not an object with a list for each column")
    lengths = set()
    for name, cells in columns.items():
        if type(cells) is not list or not cells:
            raise InputRefused(f"/columns/{step(name)}", "not a list of values")
        lengths.add(len(cells))
        if len(lengths) > 1:
            raise InputRefused(f"/columns/{step(name)}", "longer or shorter than the others")
    if max(lengths) > bounds.max_rows:
        raise InputRefused("/columns", f"more than {bounds.max_rows} rows")
    return Named(columns)


def _members(rows: Rows) -> int:
    """How many members the objects within the rows have."""
    if isinstance(rows, Records):
        return sum(map(len, rows.rows))
    return len(rows.lists) if isinstance(rows, Named) else 0


def _read_model(envelope: dict[str, Any]) -> str | None:
    if "model" not in envelope:
        return None
    model = envelope["model"]
    if type(model) is not str or not MODEL_NAME.fullmatch(model):
        raise InputRefused("/model", "not the name of a model")
    return model


def _read_version(envelope: dict[str, Any]) -> Reference:
    if "version" not in envelope:
        return None
    version = read_reference(envelope["version"])
    if version is None:
        raise InputRefused("/version", "neither a version's number, from 1, nor an alias")
    return version


def _read_method(envelope: dict[str, Any]) -> str | None:
    if "method" not in envelope:
        return None
    method = envelope["method"]
    if type(method) is not str or not METHOD.fullmatch(method):
        raise InputRefused("/method", "not the name of a method")
    return method


def _read_features(
    body: bytes, outline: bytes, envelope: dict[str, Any], bounds: Bounds
) -> Matrix | Positional:
    features = envelope.get("features")
    if type(features) is not list or not features:
        _refuse_features(envelope)
    flat = type(features[0]) is not list
    matrix = _one_row(features, bounds) if flat else read_matrix(features, bounds)
    if matrix is None:
        return Positional([features] if flat else features, flat)
    # What is left of `true` and `false` without numerals, which struct would take for 1 and 0.
    if b"tru" in outline or b"fals" in outline:
        refuse_fault(features)
    if may_be_inexact(matrix):
        refuse_large_integer(body)
    return matrix


def _one_row(row: list[Any], bounds: Bounds) -> Matrix | None:
    """The row, or None if it holds texts or missing values."""
    if len(row) > bounds.max_columns:
        raise InputRefused("/features", f"more than {bounds.max_columns} columns")
    matrix = np.empty((1, len(row)))
    try:
        struct.pack_into(f"{len(row)}d", matrix.data, 0, *row)
    except struct.error:
        refuse_fault(row)
        return None
    return matrix


def read_matrix(rows: list[Any], bounds: Bounds) -> Matrix | None:
    """The rows, or None if they hold texts or missing values; true and false pass as 1 and 0.

    Raises InputRefused at a place in `/features` for what no row may hold.
    """
    count, columns = len(rows), len(rows[0])
    if count > bounds.max_rows:
        raise InputRefused("/features", f"more than {bounds.max_rows} rows")
    if columns > bounds.max_columns:
        raise InputRefused("/features/0", f"more than {bounds.max_columns} columns")
    try:
        if not columns or set(map(len, rows)) != {columns}:
            refuse_fault(rows)
        matrix = np.empty((count, columns))
        struct.pack_into(f"{count * columns}d", matrix.data, 0, *chain.from_iterable(rows))
    except (TypeError, struct.error):
        refuse_fault(rows)
        return None
    return matrix


def _refuse_features(envelope: dict[str, Any]) -> NoReturn:
    if "features" not in envelope:
        raise InputRefused("/features", "missing; give features, records or columns")
    if envelope["features"] == []:
        raise InputRefused("/features", "empty; give at least one row")
    raise InputRefused("/features", "neither a row nor a list of rows")


def _refuse_unknown(envelope: dict[str, Any]) -> NoReturn:
    name = next(name for name in envelope if name not in MEMBERS)
    raise InputRefused(
        f"/{step(name)}",
        "unknown field; known are features, records, columns, model, version, method",
    )


def _refuse_duplicate(body: bytes, envelope: dict[str, Any]) -> NoReturn:
    seen = [name for name in envelope if body.count(b'"%s"' % name.encode()) > 1]
    path = f"/{seen[0]}" if len(seen) == 1 else ""
    raise InputRefused(path, "given more than once" if path else "a field is given more than once")
