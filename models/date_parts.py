"""Dates in texts, as the numbers that models learn from.

Pipelines that a training made hold such a part, so it is opened where model files are. It is told
how its column writes dates by a form's name alone, and looks at every text by itself: what is no
date of that form is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

DAY_SECONDS: Final = 86_400.0
MOST_LENGTH: Final = 40
MOST_TRIED: Final = 200
MISSING: Final = "missing"  # the part that is 1 where there is no date, and 0 where there is one
EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  as all the moments here, without a zone
PARTS: Final[Mapping[str, Callable[[datetime], float]]] = MappingProxyType(
    {
        "days": lambda moment: (moment - EPOCH).total_seconds() / DAY_SECONDS,
        "year": lambda moment: float(moment.year),
        "month": lambda moment: float(moment.month),
        "day": lambda moment: float(moment.day),
        "weekday": lambda moment: float(moment.weekday()),
        "month_sin": lambda moment: math.sin(math.tau * (moment.month - 1) / 12),
        "month_cos": lambda moment: math.cos(math.tau * (moment.month - 1) / 12),
        "hour": lambda moment: moment.hour + moment.minute / 60,
        MISSING: lambda _moment: 0.0,
    }
)
ISO: Final = "iso"
FORMS: Final = (
    ISO,
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%m/%d/%Y",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y",
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%d-%m-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
)
# Python brings what reads such forms when it is first asked, which a sandbox is too late for.
datetime.strptime("2000", "%Y")  # noqa: DTZ007


def read_date(text: object, form: str) -> datetime | None:
    """The moment that a text of some form names, in UTC where it says its zone; else None."""
    if type(text) is not str or not 6 <= len(text) <= MOST_LENGTH:
        return None
    try:
        # ISO 8601 without separators is as well a number.
        if form != ISO:
            moment = datetime.strptime(text.strip(), form)  # noqa: DTZ007
        elif "-" in text:
            moment = datetime.fromisoformat(text.strip())
        else:
            return None
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def form_of(texts: Sequence[str]) -> tuple[str, float]:
    """The form in which most of some texts are dates, the first of equals, and their share."""
    tried = texts[:: max(1, len(texts) // MOST_TRIED)]
    counts = {form: sum(read_date(text, form) is not None for text in tried) for form in FORMS}
    best = max(FORMS, key=lambda form: counts[form])
    return best, counts[best] / max(1, len(tried))


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
        made = np.full((*cells.shape, len(self.parts)), np.nan)
        made[:, :, [part == MISSING for part in self.parts]] = 1.0
        known: dict[Any, list[float] | None] = {}
        for at, text in np.ndenumerate(cells):
            if type(text) is not str:
                continue
            if text not in known:
                known[text] = self._parts_of(text)
            if known[text]:
                made[at] = known[text]
        return made.reshape(len(cells), -1)

    def _parts_of(self, text: str) -> list[float] | None:
        moment = read_date(text, self.form)
        return None if moment is None else [PARTS[part](moment) for part in self.parts]

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """A name for each part of each column."""
        names = self.feature_names_in_ if input_features is None else input_features
        return np.array([f"{name}_{part}" for name in names for part in self.parts], dtype=object)
