"""Texts of others, made fit to be shown: no control characters, not too long, always a text.

Names of columns, labels and values of cells are whatever somebody wrote into a table. Whoever puts
them on a page still escapes them; here they only become legible.
"""

from __future__ import annotations

import unicodedata
from typing import Any, Final

import numpy as np

# Controls, marks that turn the order of letters around, halves of characters, what is unassigned.
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_JOINERS: Final = frozenset("\u200c\u200d")  # Persian and Hindi are not legible without them


def shown(value: object, *, most: int = 80) -> str:
    """The text of a value on one line, with what cannot be seen written out as an escape."""
    text = "".join(_visible(each) for each in str(value)[: 4 * most])
    return f"{text[: most - 1]}…" if len(text) > most else text


def shown_lines(value: object, *, most: int = 10_000) -> str:
    """The same of a text of several lines, which it keeps."""
    return "\n".join(shown(line, most=most) for line in str(value)[:most].splitlines())


def plain(value: Any) -> Any:
    """A label or a number as JSON has it; numpy's become Python's."""
    return value.item() if isinstance(value, np.generic) else value


def _visible(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _HIDDEN:
        return character
    return character.encode("unicode_escape").decode("ascii")
