"""Dates in texts: how they are written, and the numbers that models learn from.

A text is looked at by itself, by a form's name alone: what is no date of that form is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

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
EXAMPLES: Final = tuple(
    datetime.fromisoformat(text)
    for text in ("1969-12-31T23:59", "2000-02-29", "2024-07-01T12:30", "2023-12-24", "2031-05-18")
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


def examples_of(form: str) -> tuple[str, ...]:
    """A few dates as a form writes them; none of a form that is not known."""
    if form not in FORMS:
        return ()
    return tuple(
        moment.isoformat() if form == ISO else moment.strftime(form) for moment in EXAMPLES
    )


def parts_of(cells: NDArray[Any], form: str, parts: Sequence[str]) -> NDArray[np.float64]:
    """Some parts of each date of some columns, side by side; NaN where a cell holds none."""
    made = np.full((*cells.shape, len(parts)), np.nan)
    made[:, :, [part == MISSING for part in parts]] = 1.0
    known: dict[str, list[float] | None] = {}
    for at, text in np.ndenumerate(cells):
        if type(text) is not str:
            continue
        if text not in known:
            moment = read_date(text, form)
            known[text] = None if moment is None else [PARTS[part](moment) for part in parts]
        if known[text]:
            made[at] = known[text]
    return made.reshape(len(cells), -1)


def form_of(texts: Sequence[str]) -> tuple[str, float]:
    """The form in which most of some texts are dates, the first of equals, and their share."""
    tried = texts[:: max(1, len(texts) // MOST_TRIED)]
    counts = {form: sum(read_date(text, form) is not None for text in tried) for form in FORMS}
    best = max(FORMS, key=lambda form: counts[form])
    return best, counts[best] / max(1, len(tried))
