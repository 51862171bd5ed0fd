"""The worked example of a model's document: a row that the version was asked about just now.

Rows that came with the model are somebody's data and are not shown. So a row is made up within
what the version takes, and asked like any other call: through every gate, charged and metered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from models.errors import InputRefused, ModelsError, PredictionFailed, RowsRefused
from models.names import Reference
from models.requests.binding import Positional, bind
from models.requests.worked import Worked
from models.signature import Signature
from models.tables import Features
from models.versions import Version
from service import dataplane
from service.visits import Visit

NUMBERS: Final = (1.0, 0.0, 10.0)
WORD: Final = "text"


@dataclass(frozen=True, slots=True)
class ExampleCall:
    """One row for a version; implements `models.requests.asked.Asked`."""

    version_asked: Version
    row: list[Any]

    @property
    def model(self) -> str:
        """The model's name."""
        return self.version_asked.model

    @property
    def version(self) -> Reference:
        """The version's number."""
        return self.version_asked.number

    def __len__(self) -> int:
        return 1

    def methods(self, signature: Signature) -> tuple[str, ...]:
        """The default method."""
        return (signature.default_method,)

    def bound(self, signature: Signature) -> Features:
        """The row as the model takes it."""
        features = bind(Positional([self.row], flat=True), signature)
        signature.check(features)
        return features


def worked_example(visit: Visit, version: Version) -> Worked:
    """A row and its answer, of the first that the version answers."""
    for row in _rows(version.signature):
        try:
            asked = ExampleCall(version, row)
            answer = dataplane.predict(visit, partial(_same, asked)).prediction
        except (RowsRefused, PredictionFailed, InputRefused):
            continue  # another row may do
        except ModelsError:
            break  # the version does not run: what it takes is known all the same
        if answer.dtype.kind != "f" or np.isfinite(answer).all():
            return Worked(version.tenant_id, row, answer.tolist()[0])
    return Worked(version.tenant_id)


def _same(asked: ExampleCall) -> ExampleCall:
    return asked


def _rows(signature: Signature) -> Iterator[list[Any]]:
    for number in NUMBERS:
        yield [_cell(signature, position, number) for position in range(signature.columns)]


def _cell(signature: Signature, position: int, number: float) -> Any:
    if signature.column_kinds[position] == "number":
        return number
    return next(iter(signature.categories.get(position, ())), WORD)
