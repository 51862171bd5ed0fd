"""How a part is asked by what it is a part of: columns, stages and single scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import RowsRefused
from models.layouts import Floats, Integers
from models.parts import Child, matrix, refuse_infinite, refuse_not_finite
from models.tables import Features, Table

FINITE: Final = "finite"
MISSING: Final = "missing"
ANYTHING: Final = "anything"
CHECKS: Final = (FINITE, MISSING, ANYTHING)


class Checked:
    """A part that refuses the numbers which its estimator refuses.

    Rows that come from a caller were looked at; those that come from another part were not.
    """

    __slots__ = ("_check", "_part", "methods", "size")

    def __init__(self, part: Child, check: str) -> None:
        self._part = part
        self._check = refuse_not_finite if check == FINITE else refuse_infinite
        self.methods, self.size = part.methods, part.size

    def answer(self, method: str, features: Features) -> NDArray[Any]:
        """Answer each row; raises RowsRefused."""
        columns = features.columns if isinstance(features, Table) else (features,)
        for column in columns:
            if column.dtype != object:
                self._check(column)
        return self._part.answer(method, features)


def picked(features: Features, places: Integers) -> Features:
    """Some of the columns."""
    if not isinstance(features, Table):
        return features[:, places]
    columns = Table(tuple(features.columns[place] for place in places.tolist()))
    return columns if "text" in columns.kinds else matrix(columns)


def staged(part: Child, features: Features) -> Features:
    """What a part makes of features, as features for the next one."""
    made = part.answer("transform", features)
    return Table(tuple(made.T)) if made.dtype == object else made


def beside(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Columns of several parts as one matrix."""
    texts = [part.dtype == object for part in parts]
    if any(texts) and not all(texts):
        raise RowsRefused("texts beside numbers, which no matrix holds")
    return np.hstack(parts)


def score(part: Child, method: str, features: Features) -> Floats:
    """The score of the second of two labels; predict_proba's is its second column."""
    answers = part.answer(method, features)
    return answers[:, 1] if method == "predict_proba" else np.ravel(answers)
