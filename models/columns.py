"""What a fitted estimator takes: how many columns, their names, kinds and known values.

scikit-learn takes a matrix, a list of texts or a pandas frame, whatever it was fitted on. Here is
decided which of them an estimator needs, and rows are brought into that form.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.dates import examples_of
from models.errors import EstimatorRefused
from models.placements import IMPUTERS, VECTORIZERS, Placed, first_step, placements, width_of
from models.signature import METHODS, Kind, Part
from models.tables import Features, Table

MOST_COLUMNS: Final = 1_000_000
MOST_WORDS: Final = 500
UNSERVED: Final = {
    "DictVectorizer": "it takes dictionaries",
    "FeatureHasher": "it takes dictionaries or lists of texts",
    "LabelBinarizer": "it takes labels, no rows",
    "LabelEncoder": "it takes labels, no rows",
    "MultiLabelBinarizer": "it takes lists of labels, no rows",
    "PatchExtractor": "it takes images",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """The columns that an estimator takes, and the form that its rows have to be in.

    `known` holds the values that encoders of text columns were fitted on, `words` what texts of a
    column are made of; `as_none` are text columns whose missing values are None, not NaN.
    `inputs` are those of a graph, which the columns are the content of.
    """

    names: tuple[str, ...] | None
    kinds: tuple[Kind, ...]
    known: Mapping[int, tuple[str, ...]]
    words: Mapping[int, tuple[str, ...]]
    as_none: frozenset[int]
    framed: bool  # rows are a pandas frame
    texts: bool  # rows are one list of texts
    inputs: tuple[Part, ...] = ()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.kinds)

    @property
    def numbers_alone(self) -> bool:
        """Whether rows are a matrix of numbers."""
        return "text" not in self.kinds

    def with_texts(self, positions: Collection[int]) -> Columns:
        """The same columns, those at some positions being of text."""
        kinds = tuple("text" if at in positions else kind for at, kind in enumerate(self.kinds))
        return replace(self, kinds=kinds)

    def arrange(self, features: Features) -> Any:
        """Rows as scikit-learn takes them: a matrix, a list of texts or a frame."""
        if not isinstance(features, Table):
            return self._frame(list(features.T)) if self.framed else features
        if self.texts:
            return [text or "" for text in features.columns[0]]
        if self.framed or "text" in features.kinds:
            return self._frame([self._column(at) for at in enumerate(features.columns)])
        return np.column_stack(features.columns)

    def _column(self, placed: tuple[int, NDArray[Any]]) -> NDArray[Any]:
        at, column = placed
        if column.dtype != object or at in self.as_none:
            return column
        absent = np.array([value is None for value in column])
        return np.where(absent, np.nan, column) if absent.any() else column

    def _frame(self, columns: list[NDArray[Any]]) -> Any:
        import pandas as pd  # half a second, which models without names never pay

        names = self.names or range(len(columns))
        # The dtype is given, or pandas makes of texts what scikit-learn was not fitted on.
        series = [pd.Series(column, dtype=column.dtype) for column in columns]
        frame = pd.concat(series, axis=1)
        frame.columns = pd.Index(list(names))
        return frame


def columns_of(estimator: Any) -> Columns:
    """Read what an estimator takes; raises EstimatorRefused where no rows of columns are.

    Models of other libraries may state it themselves, in `columns_`.
    """
    stated = getattr(estimator, "columns_", None)
    if isinstance(stated, Columns):
        return stated
    kind = type(estimator).__name__
    if not _is_estimator(estimator):
        raise EstimatorRefused(kind, "it is no estimator", "save the fitted estimator itself")
    first = type(first_step(estimator)).__name__
    if first in UNSERVED:
        raise EstimatorRefused(kind, f"{UNSERVED[first]}, which no request can hold")
    count = width_of(estimator)
    if count is None or count > MOST_COLUMNS:
        raise EstimatorRefused(kind, "it is not fitted, or does not say how many columns it takes")
    found = _Found(count)
    for placed in placements(estimator):
        found.look_at(placed)
    names = _names(estimator, count)
    texts = first in VECTORIZERS
    return Columns(
        names=names,
        kinds=tuple("text" if at in found.text else "number" for at in range(count)),
        known=found.known,
        words=found.words,
        as_none=frozenset(found.as_none),
        framed=not texts and (found.by_name or bool(found.text)),
        texts=texts,
    )


class _Found:
    """What is gathered while an estimator is walked."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.text: set[int] = set()
        self.as_none: set[int] = set()
        self.known: dict[int, tuple[str, ...]] = {}
        self.words: dict[int, tuple[str, ...]] = {}
        self.by_name = False

    def look_at(self, placed: Placed) -> None:
        """Take note of what one part says about the columns that it sees."""
        part = placed.part
        if placed.kind in VECTORIZERS:
            self._vectorizer(placed)
        elif placed.kind == "DateParts":
            self._dates(placed)
        elif isinstance(getattr(part, "categories_", None), list):
            self._encoder(placed)
        elif placed.kind in IMPUTERS and getattr(part, "statistics_", None) is not None:
            self._imputer(placed)
        elif hasattr(part, "transformers_"):
            self.by_name |= any(_named(columns) for _, _, columns in part.transformers_)
        config = getattr(part, "_sklearn_output_config", {})
        self.by_name |= config.get("transform", "default") not in (None, "default")

    def _vectorizer(self, placed: Placed) -> None:
        at = placed.columns[0]
        if at is not None:
            self.text.add(at)
            words = getattr(placed.part, "vocabulary_", None) or {}
            self.words[at] = tuple(str(word) for word in sorted(words)[:MOST_WORDS])

    def _dates(self, placed: Placed) -> None:
        for at in placed.columns:
            if at is not None:
                self.text.add(at)
                self.words[at] = examples_of(placed.part.form)

    def _encoder(self, placed: Placed) -> None:
        for at, categories in zip(placed.columns, placed.part.categories_, strict=False):
            values = np.asarray(categories).tolist()
            texts = tuple(value for value in values if type(value) is str)
            if at is not None and texts:
                self.text.add(at)
                self.known.setdefault(at, texts)
                if any(value is None for value in values):
                    self.as_none.add(at)

    def _imputer(self, placed: Placed) -> None:
        statistics = np.asarray(placed.part.statistics_)
        if statistics.dtype != object:
            return
        for at, value in zip(placed.columns, statistics.tolist(), strict=False):
            if at is not None and isinstance(value, str):
                self.text.add(at)
                if placed.part.missing_values is None:
                    self.as_none.add(at)


def _is_estimator(thing: object) -> bool:
    methods = ("fit", *METHODS)
    return not isinstance(thing, type) and any(callable(getattr(thing, m, None)) for m in methods)


def _named(columns: Any) -> bool:
    """Whether a ColumnTransformer chose columns by name."""
    several = columns if isinstance(columns, list | tuple | np.ndarray) else [columns]
    return any(isinstance(one, str) for one in several) or (
        isinstance(columns, slice) and isinstance(columns.start or columns.stop, str)
    )


def _names(estimator: Any, count: int) -> tuple[str, ...] | None:
    names = getattr(estimator, "feature_names_in_", None)
    if names is None or len(names) != count:
        return None
    return tuple(str(name) for name in names)
