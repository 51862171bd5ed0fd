"""Rows as TF Serving and MLflow have them: instances one by one, or inputs by name.

A list of lists is rows by position; plain values are rows of one column; objects are rows by the
names of the columns. By name there are columns, or one tensor of all columns. Where one value is
wanted, a list that holds one is taken for it: to those servers a column is a tensor [n, 1].
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from models.errors import InputRefused, InputTooLarge
from models.requests.binding import INPUT, Cells, Positional, Records, Rows, Shared, bind
from models.requests.bounds import Bounds
from models.requests.documents import Document
from models.requests.faults import kind_of, refuse_fault
from models.requests.places import step
from models.requests.tensors import read_columns, read_matrix, read_records
from models.signature import Signature
from models.tables import LARGEST_INTEGER, Features, Matrix, Table

NATIVE: Final = re.compile(r"/(?:features|records|columns)(/\d+)?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a request its rows are; `within` is the step from a row to its cells."""

    rows: str
    within: str = ""
    is_scalar: bool = False  # a row is one value, not a list

    def path(self, native: str) -> str:
        """What the native dialect's path of a cell is here."""
        match = NATIVE.fullmatch(native)
        if match is None:
            return native
        row, cell = match[1] or "", match[2]
        return f"{self.rows}{row}" if self.is_scalar else f"{self.rows}{row}{self.within}{cell}"

    @contextmanager
    def named(self) -> Iterator[None]:
        """Let what is refused in the block name its place as this dialect's client knows it."""
        try:
            yield
        except InputTooLarge:
            raise
        except InputRefused as error:
            raise InputRefused(self.path(error.path), error.problem) from error


@dataclass(frozen=True, slots=True)
class Given:
    """Rows of a request, and where they were."""

    rows: Matrix | Rows
    place: Place
    document: Document

    def __len__(self) -> int:
        return len(self.rows)

    def bound(self, signature: Signature) -> Features:
        """The rows as the model takes them; raises InputRefused where they do not fit."""
        with self.place.named():
            rows = self.rows
            features = rows if isinstance(rows, np.ndarray) else bind(rows, signature)
            return self.checked(features, signature)

    def checked(self, features: Features, signature: Signature) -> Features:
        """The features; raises InputRefused unless they are exactly what was written, and fit."""
        if _are_large(features):
            self.document.refuse_large_integer()
        signature.check(features)
        return features


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """Rows whose cells may be lists of one value."""

    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def columns(self, signature: Signature) -> list[Cells]:
        """The cells without those lists."""
        return [_unwrap(cells) for cells in self.rows.columns(signature)]

    def where(self, row: int, position: int, signature: Signature) -> str:
        """The path of a cell."""
        return self.rows.where(row, position, signature)


def read_rows(rows: list[Any], place: Place, document: Document, bounds: Bounds) -> Given:
    """Lists of equal length, of numbers a matrix; raises InputRefused."""
    with place.named():
        matrix = read_matrix(rows, bounds)
        if matrix is None:
            return Given(Positional(rows, flat=False), place, document)
        if document.may_hold_booleans:
            refuse_fault(rows)
        return Given(matrix, place, document)


def read_instances(instances: Any, at: str, document: Document, bounds: Bounds) -> Given:
    """Rows one by one: lists, values or objects, but not some of each; raises InputRefused."""
    if type(instances) is not list:
        raise InputRefused(at, f"not a list but {kind_of(instances)}")
    if not instances:
        raise InputRefused(at, "empty; give at least one row")
    if len(instances) > bounds.max_rows:
        raise InputRefused(at, f"more than {bounds.max_rows} rows")
    kinds = set(map(type, instances))
    if kinds == {dict}:
        return _read_objects(instances, at, document, bounds)
    if kinds == {list}:
        return read_rows(instances, Place(at), document, bounds)
    if list in kinds or dict in kinds:
        _refuse_mixture(instances, at)
    return read_rows([[cell] for cell in instances], Place(at, is_scalar=True), document, bounds)


def read_inputs(inputs: Any, at: str, document: Document, bounds: Bounds) -> Given:
    """A tensor, or columns by name; raises InputRefused."""
    if type(inputs) is not dict:
        return read_instances(inputs, at, document, bounds)
    if len(inputs) == 1:
        [(name, tensor)] = inputs.items()
        if type(tensor) is list and _is_tensor(name, tensor):
            return read_instances(tensor, f"{at}/{step(name)}", document, bounds)
    place = Place(at)
    with place.named():
        columns = read_columns(inputs, bounds)
    return Given(Unwrapped(columns), place, document)


def read_with_context(
    examples: list[dict[str, Any]],
    context: dict[str, Any],
    at: str,
    document: Document,
    bounds: Bounds,
) -> Given:
    """Records with cells in common, of which none has two values; raises InputRefused.

    Together they are no more than a body could hold in which each has its own.
    """
    shared = json.dumps(list(context.values()), ensure_ascii=False, separators=(",", ":"))
    if len(examples) * len(shared) > bounds.max_bytes:
        problem = f"in each example this would be more than the {bounds.max_bytes} bytes of a body"
        raise InputRefused("/context", problem)
    for index, example in enumerate(examples):
        if not context.keys().isdisjoint(example):
            problem = "a feature of the context, which no example may have as well"
            raise InputRefused(f"{at}/{index}", problem)
    with Place(at).named():
        records = read_records(examples, bounds)
    return Given(Unwrapped(Shared(records, context)), Place(at), document)


def _read_objects(
    objects: list[dict[str, Any]], at: str, document: Document, bounds: Bounds
) -> Given:
    if len(objects[0]) == 1:
        [name] = objects[0]
        rows = [record.get(name) for record in objects if len(record) == 1]
        if len(rows) == len(objects) and _is_tensor(name, rows):
            return read_rows(rows, Place(at, f"/{step(name)}"), document, bounds)
    with Place(at).named():
        records: Records = read_records(objects, bounds)
    return Given(Unwrapped(records), Place(at), document)


def _is_tensor(name: str, rows: list[Any]) -> bool:
    """Say whether these are rows of all columns, and not one column, whose lists hold one value."""
    if set(map(type, rows)) != {list}:
        return False
    return name == INPUT or set(map(len, rows)) != {1}


def _are_large(features: Features) -> bool:
    """Say whether a number may have been an integer that a float64 does not hold exactly."""
    columns = features.columns if isinstance(features, Table) else (features,)
    numbers = (column for column in columns if column.dtype != object)
    return any((np.abs(column) >= LARGEST_INTEGER).any() for column in numbers)


def _unwrap(cells: Cells) -> Cells:
    if list not in set(map(type, cells)):
        return cells
    return [cell[0] if type(cell) is list and len(cell) == 1 else cell for cell in cells]


def _refuse_mixture(instances: list[Any], at: str) -> None:
    kind = type(instances[0])
    for index, instance in enumerate(instances):
        if (type(instance) is kind) or not {kind, type(instance)} & {list, dict}:
            continue
        problem = f"not {kind_of(instances[0])}, as the first, but {kind_of(instance)}"
        raise InputRefused(f"{at}/{index}", problem)
