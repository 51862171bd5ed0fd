"""Whether the part that reads dates is only told what it may be told; see `estimators`.

It is a class of our own: what a file says of it is looked at member by member, since no library
does.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from models.date_parts import DateParts
from models.dates import FORMS, PARTS
from models.errors import FormatRefused

MEMBERS: Final = frozenset({"form", "parts", "n_features_in_", "feature_names_in_"})
MOST_COLUMNS: Final = 10_000


def check_date_parts(part: Any) -> None:
    """Raise FormatRefused unless it reads known parts of dates of a known form."""
    members = vars(part)
    if type(part) is not DateParts or not members.keys() <= MEMBERS:
        raise FormatRefused("what reads its dates has members that are not known")
    if not _is_one_of(members.get("form"), FORMS):
        raise FormatRefused("it reads dates of a form that is not known")
    parts = members.get("parts")
    if type(parts) is not tuple or not 0 < len(parts) <= len(PARTS):
        raise FormatRefused("it takes no parts of its dates, or too many")
    if not all(_is_one_of(name, tuple(PARTS)) for name in parts):
        raise FormatRefused("it takes parts of its dates that are not known")
    _check_columns(members)


def _check_columns(members: dict[str, Any]) -> None:
    count, names = members.get("n_features_in_", 1), members.get("feature_names_in_")
    if type(count) is not int or not 0 < count <= MOST_COLUMNS:
        raise FormatRefused("it reads dates of no columns, or of too many")
    if names is None:
        return
    if type(names) is not np.ndarray or names.shape != (count,):
        raise FormatRefused("its columns of dates have not one name each")
    if not all(type(name) is str for name in names.tolist()):
        raise FormatRefused("its columns of dates have names that are no texts")


def _is_one_of(value: object, known: tuple[str, ...]) -> bool:
    return type(value) is str and value in known
