"""What is refused of a request's body before any parser sees it.

One C-level pass drops everything that numbers are written with. What is left, the outline, is a
few bytes per row: brackets, colons, words and strings. Size, depth, rows and stray words are read
off it, so that a hostile body costs no more than a well-formed one of the same length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np

from config.settings import Settings
from models.errors import InputRefused, InputTooLarge

NUMERALS: Final = b"0123456789+-.eE, \t\r\n"
NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
# A string without an end reaches to the body's, and none is read twice: else each of its escaped
# quotes would begin another search to the end.
STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.?)*+(?:"|\Z)', re.DOTALL)
# The envelope and the list of rows are not rows.
LISTS_BESIDE_ROWS: Final = 1
OBJECTS_BESIDE_ROWS: Final = 1
NESTED_BESIDE_ROWS: Final = 8
CLOSES: Final = (b"]", b"}")  # of a row, as a list or as an object
COLUMNS: Final = b'"columns"'


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """The most that one prediction's body may have, in bytes, rows, columns and nesting."""

    max_bytes: int
    max_rows: int
    max_columns: int
    max_depth: int

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """The bounds that an installation is set to."""
        return cls(
            max_bytes=settings.max_body_bytes,
            max_rows=settings.max_rows,
            max_columns=settings.max_columns,
            max_depth=settings.max_depth,
        )


def bounded_outline(body: bytes, bounds: Bounds) -> bytes:
    """Return the body without its numerals; raises InputRefused if it exceeds the bounds."""
    if len(body) > bounds.max_bytes:
        raise InputTooLarge(len(body), bounds.max_bytes)
    outline = body.translate(None, NUMERALS)
    lists = outline.count(b"[")
    if lists > bounds.max_rows + LISTS_BESIDE_ROWS:
        raise InputRefused("/features", f"more than {bounds.max_rows} rows")
    objects = outline.count(b"{")
    if objects > bounds.max_rows + OBJECTS_BESIDE_ROWS:
        objects = STRING.sub(b"", outline).count(b"{")  # a text may hold any
        if objects > bounds.max_rows + OBJECTS_BESIDE_ROWS:
            raise InputRefused("/records", f"more than {bounds.max_rows} rows")
    if lists + objects > bounds.max_depth:
        _refuse_deep(outline, bounds.max_depth)
    # Of columns by name each list is as long as there are rows.
    widest = bounds.max_columns if COLUMNS not in body else max(bounds.max_columns, bounds.max_rows)
    # A column takes at least two bytes, so that a shorter body cannot have too many.
    if len(body) > 2 * widest:
        _refuse_wide(body, widest)
    return outline


def bounded_document(body: bytes, bounds: Bounds) -> bytes:
    """The outline without its strings, of a document in which rows and columns may be anywhere.

    How many columns there are its reader counts; each list and object costs far more than its
    bytes, so that there may be no more of them than rows, and a few that hold these. Raises
    InputRefused if it exceeds the bounds.
    """
    if len(body) > bounds.max_bytes:
        raise InputTooLarge(len(body), bounds.max_bytes)
    outline = STRING.sub(b"", body.translate(None, NUMERALS))  # a text may hold any bracket
    nested = outline.count(b"[") + outline.count(b"{")
    if nested > bounds.max_rows + NESTED_BESIDE_ROWS:
        raise InputRefused("", f"more than {bounds.max_rows} lists and objects")
    if nested > bounds.max_depth:
        _refuse_deep(outline, bounds.max_depth)
    return outline


def _refuse_deep(outline: bytes, most: int) -> None:
    brackets = STRING.sub(b"", outline).translate(None, NOT_BRACKETS)
    if len(brackets) <= most:
        return
    # The low five bits of [ and { are one less than 0x1C, those of ] and } one more.
    steps = 0x1C - (np.frombuffer(brackets, np.uint8) & 0x1F).astype(np.int8)
    if int(np.cumsum(steps, dtype=np.int32).max()) > most:
        raise InputRefused("", f"nested deeper than {most}")


def _refuse_wide(body: bytes, most: int) -> None:
    # Only a stretch of 2 * most bytes without a closing bracket can be too wide a row: hop over
    # all others by their last bracket instead of looking at every row.
    span, start = 2 * most, 0
    while start + span < len(body):
        last = max(body.rfind(close, start, start + span) for close in CLOSES)
        if last < 0:
            found = [at for close in CLOSES if (at := body.find(close, start + span)) >= 0]
            last = min(found, default=len(body))
            if body.count(b",", start, last) > most + 2:
                raise InputRefused("/features", f"more than {most} columns")
        start = last + 1
