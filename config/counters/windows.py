"""Two sliding windows under one key as a record of bytes: of requests, and of the rows in them.

Times are whole microseconds, so that no rounding lets an event leave its window early. An event
leaves 128 buckets after its own, when it is older than the window by at most one bucket. What is
in the newest bucket stands in the head, so that a charge rewrites no more than that.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

BUCKETS: Final = 128
# The width of a bucket; per window its total, newest bucket, what is in that, and oldest bucket;
# how many bytes of parts are the requests'.
_HEAD: Final = struct.Struct("<q4q4qH")
_PART: Final = struct.Struct("<Bq")  # low byte of a bucket before the newest, amount
_LOW: Final = 0xFF


class Window(NamedTuple):
    """What counts of one unit; the next charge goes to the newest bucket."""

    total: int
    newest: int
    last: int
    oldest: int
    parts: bytes


class Spent(NamedTuple):
    """A record after a call, with the totals and the oldest buckets of its windows."""

    record: bytes
    requests: int
    oldest: int
    rows: int
    oldest_rows: int


Pair = tuple[Window, Window]  # of requests, and of rows
EMPTY: Final = Window(0, 0, 0, 0, b"")


@lru_cache(maxsize=1024)
def width(window: float) -> int:
    """Microseconds of one bucket, rounded up: a window is never shorter than it says."""
    return -(-math.ceil(window * 1_000_000) // (BUCKETS - 1))


def read(record: bytes | None) -> Pair:
    """Read both windows, as they were when the record was written."""
    if record is None:
        return EMPTY, EMPTY
    _, *fields, size = _HEAD.unpack_from(record)
    between = _HEAD.size + size
    return (
        Window._make((*fields[:4], record[_HEAD.size : between])),
        Window._make((*fields[4:], record[between:])),
    )


def write(windows: Pair, wide: int) -> bytes:
    """The record of both windows."""
    requests, rows = windows
    head = _HEAD.pack(wide, *requests[:4], *rows[:4], len(requests.parts))
    return head + requests.parts + rows.parts


def spend(record: bytes | None, bucket: int, wide: int, rows: int) -> Spent:
    """The record after one request of some rows, whatever the limits."""
    if record is not None:
        _, total, newest, last, oldest, *others, size = _HEAD.unpack_from(record)
        rows_total, rows_newest, rows_last, oldest_rows = others
        if newest == bucket == rows_newest:  # nothing has left since then
            total, rows_total = total + 1, rows_total + rows
            head = _HEAD.pack(
                *(wide, total, bucket, last + 1, oldest),
                *(rows_total, bucket, rows_last + rows, oldest_rows, size),
            )
            return Spent(head + record[_HEAD.size :], total, oldest, rows_total, oldest_rows)
    one, other = (slide(window, bucket) for window in read(record))
    pair = add(one, 1), add(other, rows)
    totals = (amount for window in pair for amount in (window.total, window.oldest))
    return Spent(write(pair, wide), *totals)


def slide(window: Window, bucket: int) -> Window:
    """The window as of a bucket, without what has left it."""
    total, newest, last, oldest, parts = window
    if bucket <= newest:  # a reading taken before another process charged
        return window
    if last:
        parts += _PART.pack(newest & _LOW, last)
    start, oldest = 0, bucket
    while start < len(parts):
        low, amount = _PART.unpack_from(parts, start)
        at = newest - ((newest - low) & _LOW)
        if bucket - at < BUCKETS:
            oldest = at
            break
        total -= amount
        start += _PART.size
    return Window(total, bucket, 0, oldest, parts[start:])


def add(window: Window, amount: int) -> Window:
    """The window after an amount was charged to its newest bucket."""
    total, newest, last, oldest, parts = window
    return Window(total + amount, newest, last + amount, oldest if total else newest, parts)


def take_back(window: Window, bucket: int, amount: int) -> Window:
    """The window after a charge of that bucket was given back.

    What is not in the bucket any more is taken from older ones, which would free sooner: the
    counter then errs to the strict side.
    """
    kept = []
    for at, held in reversed(list(_held(window))):
        taken = min(held, amount) if at <= bucket else 0
        amount -= taken
        if held > taken:
            kept.append((at, held - taken))
    if not kept:
        return EMPTY
    (newest, last), *older = kept
    body = b"".join(_PART.pack(at & _LOW, held) for at, held in reversed(older))
    return Window(sum(held for _, held in kept), newest, last, kept[-1][0], body)


def freed_at(window: Window, amount: int) -> int:
    """The first bucket in which at least the amount has left the window."""
    for at, held in _held(window):
        amount -= held
        if amount <= 0:
            return at + BUCKETS
    return window.newest + BUCKETS


def over_by(record: bytes) -> int:
    """The moment from which nothing of the record counts any more, in microseconds."""
    wide, _, newest, _, _, _, newest_rows, *_ = _HEAD.unpack_from(record)
    over: int = (max(newest, newest_rows) + BUCKETS) * wide
    return over


def _held(window: Window) -> Iterator[tuple[int, int]]:
    """Each bucket with what is in it, from the oldest on."""
    for low, amount in _PART.iter_unpack(window.parts):
        yield window.newest - ((window.newest - low) & _LOW), amount
    if window.last:
        yield window.newest, window.last
