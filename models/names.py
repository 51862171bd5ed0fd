"""How models, versions and aliases may be named."""

from __future__ import annotations

import re
from typing import Final

from models.errors import NameRefused

MODEL_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
ALIAS: Final = re.compile(r"[a-z][a-z0-9_.-]{0,62}")  # starts with a letter: never a number
NUMBER: Final = re.compile(r"[1-9][0-9]{0,14}")
MOST_VERSIONS: Final = 10**15 - 1
CHAMPION: Final = "champion"

Reference = int | str | None  # a version's number, an alias, or none: whatever the route says


def check_model_name(name: str) -> None:
    """Raise NameRefused unless a model may be called so."""
    if not MODEL_NAME.fullmatch(name):
        raise NameRefused("a model", name, "1 to 63 of a-z 0-9 _ . - starting with a-z or 0-9")


def check_alias(alias: str) -> None:
    """Raise NameRefused unless an alias may be called so."""
    if not ALIAS.fullmatch(alias):
        raise NameRefused("an alias", alias, "1 to 63 of a-z 0-9 _ . - starting with a letter")


def read_reference(value: object) -> Reference:
    """Read a version's number (also as a string of digits) or alias; None if it is neither."""
    if type(value) is int:
        return value if 1 <= value <= MOST_VERSIONS else None
    if not isinstance(value, str):
        return None
    if NUMBER.fullmatch(value):
        return int(value)
    return value if ALIAS.fullmatch(value) else None
