"""Many rows of plain numbers, parsed piece by piece straight into their matrix.

One parse of a long body makes an object of every number before the first is looked at: memory that
is never warm. A piece of some whole rows fits the processor's cache, and its objects are used again
for the next. What has anything but rows of numbers in it is left to whoever looks at it whole, who
alone refuses: nothing is taken here that would be refused or read otherwise there.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
import orjson

from models.requests.bounds import Bounds
from models.requests.faults import may_be_inexact
from models.tables import Matrix

PIECE_BYTES: Final = 64 * 1024
LEAST_NUMBER: Final = 2  # bytes that a number takes with its comma or bracket
HEAD_BYTES: Final = 1024  # before the rows there may be names
BEGIN: Final = re.compile(rb'"features"[ \t\r\n]*:[ \t\r\n]*\[(?=[ \t\r\n]*\[)')
COMMA: Final = re.compile(rb"[ \t\r\n]*,")
# What struct takes for numbers besides has one of these letters.
OF_TRUE, OF_FALSE = b"u", b"a"


class NotPlain(Exception):
    """Raised when there is anything but rows of numbers, of one length and within the bounds."""


@dataclass(frozen=True, slots=True)
class Plain:
    """The rows of a body, and the rest of it: the body with the row [0] instead of them."""

    matrix: Matrix
    rest: bytes


def read_plain(body: bytes, bounds: Bounds) -> Plain | None:
    """The rows of a body that are plain numbers, or None if they are anything else.

    Whether the rest is well-formed is still to be seen.
    """
    found = BEGIN.search(body, 0, HEAD_BYTES)
    if found is None or len(body) > bounds.max_bytes:
        return None
    begin = found.end()
    end = (
        body.rfind(b"]", begin, body.rfind(b"]")) + 1
    )  # of the last row, if this is a list of them
    try:
        matrix = _read_rows(body, begin, end, bounds)
    except (NotPlain, TypeError, orjson.JSONDecodeError, struct.error):
        return None
    return Plain(matrix, b"%b[0]%b" % (body[:begin], body[end:]))


def _read_rows(body: bytes, at: int, end: int, bounds: Bounds) -> Matrix:
    if end <= at:
        raise NotPlain
    matrix = _room(body, at, end, bounds)
    done = 0
    while at < end:
        until = body.rfind(b"]", at, min(at + PIECE_BYTES, end)) + 1
        if until <= at:  # a row longer than a piece
            raise NotPlain
        done += _read_piece(b"[%b]" % body[at:until], matrix, done)
        if until == end:
            break
        comma = COMMA.match(body, until)
        if comma is None:
            raise NotPlain
        at = comma.end()
    if done < len(matrix) or may_be_inexact(matrix):
        raise NotPlain
    return matrix


def _room(body: bytes, at: int, end: int, bounds: Bounds) -> Matrix:
    """A matrix for the rows as they seem to be; no larger than such a body can fill."""
    rows = body.count(b"[", at, end)
    columns = body.count(b",", at, body.index(b"]", at)) + 1
    if rows > bounds.max_rows or columns > bounds.max_columns:
        raise NotPlain
    if rows * columns * LEAST_NUMBER > end - at:
        raise NotPlain
    return np.empty((rows, columns))


def _read_piece(text: bytes, matrix: Matrix, done: int) -> int:
    """Parse whole rows into the matrix, and say how many; raises as the parser does, too."""
    if OF_TRUE in text or OF_FALSE in text:
        raise NotPlain
    rows, columns = orjson.loads(text), matrix.shape[1]
    if set(map(len, rows)) != {columns} or done + len(rows) > len(matrix):
        raise NotPlain
    count = len(rows) * columns
    struct.pack_into(f"{count}d", matrix.data, done * columns * 8, *chain.from_iterable(rows))
    return len(rows)
