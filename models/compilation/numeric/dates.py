"""Dates in texts, as the parts that a model was fitted on."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from models.compilation.numeric.taking import Taken, Taker, text, texts_of, whole
from models.dates import FORMS, PARTS, parts_of
from models.errors import ArraysMalformed, RowsRefused
from models.layouts import Floats, choice, integers, layout, texts
from models.parts import Part
from models.tables import Features, Table


class Dates(Part):
    """The parts of each column's dates, side by side."""

    LAYOUT = layout(form=choice(*FORMS), parts=texts("parts"), columns=integers(1, least=1))

    def prepare(self) -> None:
        self._form = str(self.arrays["form"][0])
        self._parts = tuple(self.arrays["parts"].tolist())
        if not self._parts or not set(self._parts) <= set(PARTS):
            raise ArraysMalformed("a part of a date is not known")

    def transform(self, features: Features) -> Floats:
        """The parts; NaN where there is no date."""
        columns = features.columns if isinstance(features, Table) else tuple(features.T)
        if len(columns) != int(self.arrays["columns"][0]):
            raise RowsRefused("another number of columns")
        cells = np.column_stack([column.astype(object) for column in columns])
        return parts_of(cells, self._form, self._parts)


def _dates(estimator: Any) -> Taken:
    return "dates", {
        "form": text(estimator.form),
        "parts": texts_of(list(estimator.parts)),
        "columns": whole(estimator.n_features_in_),
    }


KINDS: Final[dict[str, type[Part]]] = {"dates": Dates}
TAKERS: Final[dict[str, Taker]] = {"DateParts": _dates}
