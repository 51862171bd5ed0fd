"""The step of a pipeline that makes numbers of dates: a class of our own, which files may hold."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from models.dates import ISO, PARTS, parts_of


class DateParts(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Each column's dates as their parts, side by side; NaN where a text is no date."""

    def __init__(self, form: str = ISO, parts: tuple[str, ...] = tuple(PARTS)) -> None:
        self.form = form
        self.parts = parts

    def fit(self, rows: Any, target: object = None) -> Self:
        """Take note of how many columns there are; nothing is learnt."""
        names = getattr(rows, "columns", None)
        self.n_features_in_ = int(np.shape(rows)[1])
        if names is not None:
            self.feature_names_in_ = np.asarray(names, dtype=object)
        return self

    def transform(self, rows: Any) -> NDArray[np.float64]:
        """The parts of each column's dates; NaN where there is none."""
        check_is_fitted(self, "n_features_in_")
        cells = np.asarray(rows, dtype=object)
        if cells.ndim != 2 or cells.shape[1] != self.n_features_in_:
            raise ValueError(f"{self.n_features_in_} columns are wanted, not {cells.shape[1:]}")
        return parts_of(cells, self.form, self.parts)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """A name for each part of each column."""
        names = self.feature_names_in_ if input_features is None else input_features
        return np.array([f"{name}_{part}" for name in names for part in self.parts], dtype=object)

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn has to know: texts and missing values are taken."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.allow_nan = True
        return tags
