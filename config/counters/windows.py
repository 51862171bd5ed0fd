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
_TOTALS: Final = struct.Struct("<qq")  # what counts now, of requests and of rows
# Then the newest bucket; when the oldest frees, of requests and of rows; what of each is in older
# buckets than the newest; a bucket's width; how many bytes of the parts that follow are requests'.
_REST: Final = struct.Struct("<qqqqqqH")
_HOT: Final = struct.Struct("<qqqqq")  # all that is read to charge once more to the newest bucket
_PART: Final = struct.Struct("<Bq")  # low byte of a bucket before the newest, amount
_PARTS_AT: Final = _TOTALS.size + _REST.size
_LOW: Final = 0xFF
_read_hot, _write_totals, _REST_AT = _HOT.unpack_from, _TOTALS.pack, _TOTALS.size


class Window(NamedTuple):
    """What counts of one unit; the next charge goes to the newest bucket."""

    total: int
    newest: int
    last: int
    oldest: int
    parts: bytes


# Of both windows: the total of requests, when its oldest part frees, and the same of rows.
Used = tuple[int, int, int, int]
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
    total, rows = _TOTALS.unpack_from(record)
    newest, frees, rows_free, before, rows_before, wide, size = _REST.unpack_from(
        record, _TOTALS.size
    )
    oldest, oldest_rows = frees // wide - BUCKETS, rows_free // wide - BUCKETS
    between = _PARTS_AT + size
    return (
        Window(total, newest, total - before, oldest, record[_PARTS_AT:between]),
        Window(rows, newest, rows - rows_before, oldest_rows, record[between:]),
    )


def write(windows: Pair, wide: int) -> bytes:
    """The record of both windows, as of the later one."""
    newest = max(windows[0].newest, windows[1].newest)
    one, other = slide(windows[0], newest), slide(windows[1], newest)
    free = frees(one, wide), frees(other, wide)
    before = one.total - one.last, other.total - other.last
    rest = _REST.pack(newest, *free, *before, wide, len(one.parts))
    return _TOTALS.pack(one.total, other.total) + rest + one.parts + other.parts


def spend(
    record: bytes | None, bucket: int, wide: int, requests: int, rows: int
) -> tuple[bytes, Used]:
    """The record after requests of some rows, whatever the limits, and what is used then."""
    if record is not None:
        total, of_rows, newest, free, rows_free = _read_hot(record)
        if newest == bucket:  # nothing has left since then, and nothing else changes
            total += requests
            of_rows += rows
            spent = _write_totals(total, of_rows) + record[_REST_AT:]
            return spent, (total, free, of_rows, rows_free)
    one, other = read(record)
    one, other = add_at(one, bucket, requests), add_at(other, bucket, rows)
    used = one.total, frees(one, wide), other.total, frees(other, wide)
    return write((one, other), wide), used


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


def add_at(window: Window, bucket: int, amount: int) -> Window:
    """The window after an amount was charged in a bucket, or in a newer one if there is one."""
    total, newest, last, oldest, parts = slide(window, bucket)
    return Window(total + amount, newest, last + amount, oldest, parts)


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


def frees(window: Window, wide: int) -> int:
    """When the oldest part of the window leaves it, in microseconds."""
    return (window.oldest + BUCKETS) * wide


def freed_at(window: Window, amount: int) -> int:
    """The first bucket in which at least the amount has left the window."""
    for at, held in _held(window):
        amount -= held
        if amount <= 0:
            return at + BUCKETS
    return window.newest + BUCKETS


def over_by(record: bytes) -> int:
    """The moment from which nothing of the record counts any more, in microseconds."""
    newest, _, _, _, _, wide, _ = _REST.unpack_from(record, _TOTALS.size)
    over: int = (newest + BUCKETS) * wide
    return over


def _held(window: Window) -> Iterator[tuple[int, int]]:
    """Each bucket with what is in it, from the oldest on."""
    for low, amount in _PART.iter_unpack(window.parts):
        yield window.newest - ((window.newest - low) & _LOW), amount
    if window.last:
        yield window.newest, window.last
