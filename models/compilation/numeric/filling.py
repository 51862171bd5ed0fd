"""What stands for missing values, and what says where they are."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.numeric.taking import Taken, Taker, flag, floats_of, single, texts_of
from models.errors import EstimatorNotHeld, RowsRefused
from models.layouts import Floats, flags, floats, indices, integers, layout, optional, texts
from models.parts import Part, matrix
from models.tables import Features, Table


class Filling(Part):
    """A number in place of each that is missing, and marks where some were."""

    LAYOUT = layout(
        kept=indices("kept", below="columns"),
        columns=integers("columns"),
        fill=floats("kept"),
        mark=optional(floats(1)),  # the number that stands for a missing one, if it is not NaN
        marked=optional(indices("marked", below="columns")),
    )

    def transform(self, features: Features) -> Floats:
        """The filled columns, and those that say what was missing."""
        rows = matrix(features)
        mark = self.arrays.get("mark")
        absent = np.isnan(rows) if mark is None else rows == mark[0]
        kept = self.arrays["kept"]
        made: Floats = np.where(absent[:, kept], self.arrays["fill"], rows[:, kept])
        if "marked" in self.arrays:
            made = np.hstack([made, absent[:, self.arrays["marked"]]])
        return made


class FillingTexts(Part):
    """A text in place of each that is missing."""

    LAYOUT = layout(fill=texts("columns"))

    def transform(self, features: Features) -> NDArray[Any]:
        """The filled columns."""
        columns = features.columns if isinstance(features, Table) else ()
        if len(columns) != self.lengths["columns"]:
            raise RowsRefused("numbers, or another number of columns, where texts are taken")
        filled = []
        for column, fill in zip(columns, self.arrays["fill"].tolist(), strict=True):
            if column.dtype != object:
                raise RowsRefused("a number, where a text is taken")
            filled.append([value if isinstance(value, str) else fill for value in column.tolist()])
        return np.array(filled, object).T


class Missing(Part):
    """Marks of what is missing."""

    LAYOUT = layout(
        kept=indices("kept", below="columns"),
        columns=integers("columns"),
        mark=optional(floats(1)),
        refuses=flags(1),  # rows that miss what no fitted row missed
    )

    def prepare(self) -> None:
        self._others = np.ones(self.lengths["columns"], np.bool_)
        self._others[self.arrays["kept"]] = False

    def transform(self, features: Features) -> NDArray[np.bool_]:
        """True where a value is missing."""
        rows, mark = matrix(features), self.arrays.get("mark")
        absent: NDArray[np.bool_] = np.isnan(rows) if mark is None else rows == mark[0]
        if self.arrays["refuses"][0] and absent[:, self._others].any():
            raise RowsRefused("a column misses a value that none missed before")
        return absent[:, self.arrays["kept"]]


def _marked(estimator: Any, columns: int) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {"columns": np.arange(columns, dtype=np.int64)}
    mark = estimator.missing_values
    if isinstance(mark, int | float) and mark == mark:
        arrays["mark"] = single(mark)
    elif mark is not None and mark == mark:
        raise EstimatorNotHeld(f"its missing values are {mark!r}")
    return arrays


def _imputer(estimator: Any) -> Taken:
    statistics = np.asarray(estimator.statistics_)
    if statistics.dtype == object:
        return _texts(estimator, statistics)
    fill = statistics.astype(np.float64)
    kept = np.flatnonzero(~np.isnan(fill))
    if estimator.keep_empty_features and len(kept) < len(fill):
        raise EstimatorNotHeld("it keeps a column that has no values")
    arrays = _marked(estimator, len(fill)) | {"kept": kept, "fill": floats_of(fill[kept])}
    if estimator.indicator_ is not None and len(estimator.indicator_.features_):
        arrays["marked"] = np.asarray(estimator.indicator_.features_, np.int64)
    return "filling", arrays


def _texts(estimator: Any, statistics: NDArray[Any]) -> Taken:
    missing = estimator.missing_values
    if estimator.indicator_ is not None or (missing is not None and missing == missing):
        raise EstimatorNotHeld("it marks missing texts, or takes a text for missing")
    return "filling_texts", {"fill": texts_of(statistics.tolist())}


def _indicator(estimator: Any) -> Taken:
    columns = int(estimator.n_features_in_)
    refuses = estimator.features == "missing-only" and estimator.error_on_new
    if not len(estimator.features_):
        raise EstimatorNotHeld("no value was missing")
    return "missing", _marked(estimator, columns) | {
        "kept": np.asarray(estimator.features_, np.int64),
        "refuses": flag(refuses),
    }


KINDS: Final[dict[str, type[Part]]] = {
    "filling": Filling,
    "filling_texts": FillingTexts,
    "missing": Missing,
}
TAKERS: Final[dict[str, Taker]] = {"SimpleImputer": _imputer, "MissingIndicator": _indicator}
