"""Texts of strangers, made fit for a line of a terminal or of a log.

Control characters move a terminal's cursor and forge lines; those that turn the direction of
writing make a line read as another than it is. None of them is printable by Unicode's classes.
"""

from __future__ import annotations

from collections.abc import Sequence


def printable(text: str) -> str:
    """The text with a visible escape for everything that could do more than be seen."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else _escaped(sign) for sign in text)


def one_line(text: str, most: int) -> str:
    """The beginning of a text that is meant to be read, with blanks for what is not printable."""
    return "".join(sign if sign.isprintable() else " " for sign in text[:most])


def listed(names: Sequence[str], most: int) -> str:
    """The first of some names, and whether there are more."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")
