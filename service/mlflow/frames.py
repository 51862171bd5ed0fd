"""Rows for a model's columns: MLflow's enforcement of a schema, without its conversions.

As there, columns go by their names, and those that the model does not have are left out: but only
where none of its own is missing, for else a misspelt name would be a missing value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from config.prose import listed
from models.errors import InputRefused
from models.requests.binding import ABSENT, Cells, Named, Positional, Records, Rows, bind
from models.requests.instances import Given, Unwrapped
from models.signature import Signature
from models.tables import Features, Matrix

ENFORCED: Final = "Failed to enforce schema of data"
LISTED: Final = 8
Order = list[int | None]  # of each column of the model: where it is in the frame, if it is there


@dataclass(frozen=True, slots=True)
class Frame:
    """Rows by position under the names of their columns."""

    names: Sequence[str]
    given: Given

    def __len__(self) -> int:
        return len(self.given)

    def bound(self, signature: Signature) -> Features:
        """The rows as the model takes them; raises InputRefused where they do not fit."""
        with enforced(), self.given.place.named():
            return self.given.checked(self._features(signature), signature)

    def _features(self, signature: Signature) -> Features:
        order, rows = self._order(signature), self.given.rows
        if isinstance(rows, np.ndarray) and signature.numbers_alone:
            return _arranged(rows, order)
        listed = rows.rows if isinstance(rows, Positional) else np.asarray(rows).tolist()
        return bind(_Arranged(listed, order), signature)

    def _order(self, signature: Signature) -> Order:
        """Where each column is; a model without names takes as many by position, whatever named."""
        is_named = signature.feature_names is not None or set(self.names) == set(signature.names)
        if not is_named and len(self.names) == signature.columns:
            return list(range(signature.columns))
        return order_of(self.names, signature)


@dataclass(frozen=True, slots=True)
class Instances:
    """Rows one by one, or by name."""

    given: Given

    def __len__(self) -> int:
        return len(self.given)

    def bound(self, signature: Signature) -> Features:
        """The rows as the model takes them; raises InputRefused where they do not fit."""
        rows = self.given.rows
        if isinstance(rows, Unwrapped):
            rows = Unwrapped(_without_extra(rows.rows, signature))
        with enforced():
            return replace(self.given, rows=rows).bound(signature)


def order_of(names: Sequence[str], signature: Signature) -> Order:
    """Where each column of the model is among the names; raises InputRefused if one is missing."""
    wanted = signature.names
    places = {name: position for position, name in enumerate(names)}
    order = [places.get(name) for name in wanted]
    extra = len(places.keys() - set(wanted))
    absent = [at for at, place in enumerate(order) if place is None]
    missing = [wanted[at] for at in absent if extra or not signature.may_lack(at)]
    if missing:
        note = f" Note that there were {extra} extra inputs." if extra else ""
        raise InputRefused("", f"Model is missing inputs: {listed(missing, LISTED)}.{note}")
    return order


@contextmanager
def enforced() -> Iterator[None]:
    """Let what is refused in the block say, as MLflow does, that the schema is not met."""
    try:
        yield
    except InputRefused as error:
        raise InputRefused("", f"{ENFORCED}: {error}") from error


@dataclass(frozen=True, slots=True)
class _Arranged:
    """Rows whose cells are in another order than the model's."""

    rows: list[list[Any]]
    order: Order

    def __len__(self) -> int:
        return len(self.rows)

    def columns(self, signature: Signature) -> list[Cells]:
        columns = list(zip(*self.rows, strict=True))
        absent = [ABSENT] * len(self.rows)
        return [absent if at is None else columns[at] for at in self.order]

    def where(self, row: int, position: int, signature: Signature) -> str:
        at = self.order[position]
        return f"/features/{row}" if at is None else f"/features/{row}/{at}"


def _arranged(matrix: Matrix, order: Order) -> Matrix:
    """The columns in this order, those that are not there NaN; nothing is copied that fits."""
    if order == list(range(matrix.shape[1])):
        return matrix
    arranged = np.full((len(matrix), len(order)), np.nan)
    for position, at in enumerate(order):
        if at is not None:
            arranged[:, position] = matrix[:, at]
    return arranged


def _without_extra(rows: Rows, signature: Signature) -> Rows:
    """The rows without what the model does not have, if they have everything that it has."""
    wanted = dict.fromkeys(signature.names).keys()
    if isinstance(rows, Named) and rows.lists.keys() > wanted:
        return Named({name: rows.lists[name] for name in wanted})
    if not isinstance(rows, Records) or all(len(row) <= len(wanted) for row in rows.rows):
        return rows
    if any(not row.keys() >= wanted for row in rows.rows):
        return rows
    return Records([{name: row[name] for name in wanted} for row in rows.rows])
