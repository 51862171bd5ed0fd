"""A sliding window as a record of bytes: a head, then one part per used bucket.

Times are whole microseconds, so that no rounding lets an event leave its window early. An event
leaves 128 buckets after its own, when it is older than the window by at most one bucket.
"""

from __future__ import annotations

import math
import struct
from functools import lru_cache
from typing import Final, NamedTuple

BUCKETS: Final = 128
_HEAD: Final = struct.Struct("<qqq")  # total, newest bucket, width of a bucket
_PART: Final = struct.Struct("<Bq")  # low byte of the bucket, amount
_LOW: Final = 0xFF


class Window(NamedTuple):
    """What still counts at a moment; `bucket` is where the next charge goes."""

    total: int
    bucket: int
    newest: int
    wide: int
    parts: bytes


@lru_cache(maxsize=1024)
def width(window: float) -> int:
    """Microseconds of one bucket, rounded up: a window is never shorter than it says."""
    return -(-math.ceil(window * 1_000_000) // (BUCKETS - 1))


def read(record: bytes | None, micros: int, wide: int) -> Window:
    """Read a record as of a moment, without what has left the window."""
    bucket = micros // wide
    if record is None:
        return Window(0, bucket, bucket, wide, b"")
    total, newest, _ = _HEAD.unpack_from(record)
    bucket = max(bucket, newest)  # a reading taken before another process charged
    start = _HEAD.size
    while start < len(record):
        low, amount = _PART.unpack_from(record, start)
        if bucket - newest + ((newest - low) & _LOW) < BUCKETS:
            break
        total -= amount
        start += _PART.size
    return Window(total, bucket, newest, wide, record[start:])


def spend(
    record: bytes | None, micros: int, wide: int, amount: int, limit: int
) -> tuple[bytes, int, int] | None:
    """The record after the charge, its total and its oldest bucket, in the common case.

    None if something has left the window, the clock went back or the limit is reached; `read`
    and `add` then tell the whole story.
    """
    bucket = micros // wide
    if record is None:
        if amount > limit:
            return None
        record = _HEAD.pack(amount, bucket, wide) + _PART.pack(bucket & _LOW, amount)
        return record, amount, bucket
    total, newest, _ = _HEAD.unpack_from(record)
    oldest = newest - ((newest - record[_HEAD.size]) & _LOW)
    total += amount
    if total > limit or bucket < newest or bucket - oldest >= BUCKETS:
        return None
    head = _HEAD.pack(total, bucket, wide)
    if newest != bucket:
        return head + record[_HEAD.size :] + _PART.pack(bucket & _LOW, amount), total, oldest
    low, last = _PART.unpack_from(record, len(record) - _PART.size)
    body = record[_HEAD.size : -_PART.size]
    return head + body + _PART.pack(low, last + amount), total, oldest


def add(window: Window, amount: int) -> bytes:
    """The record after an amount was charged to its bucket."""
    total, bucket, newest, wide, parts = window
    if parts and newest == bucket:
        last = _PART.unpack_from(parts, len(parts) - _PART.size)[1]
        parts = parts[: -_PART.size]
        head = _HEAD.pack(total + amount, bucket, wide)
        return head + parts + _PART.pack(bucket & _LOW, last + amount)
    return _HEAD.pack(total + amount, bucket, wide) + parts + _PART.pack(bucket & _LOW, amount)


def take_back(window: Window, bucket: int, amount: int) -> bytes | None:
    """The record after a charge of that bucket was given back; None if nothing is left.

    What is not in the bucket any more is taken from older ones, which would free sooner: the
    counter then errs to the strict side.
    """
    kept = []
    left = amount
    for low, held in reversed(list(_PART.iter_unpack(window.parts))):
        age = (window.newest - low) & _LOW
        taken = min(held, left) if window.newest - age <= bucket else 0
        left -= taken
        if held > taken:
            kept.append((window.newest - age, held - taken))
    if not kept:
        return None
    body = b"".join(_PART.pack(at & _LOW, held) for at, held in reversed(kept))
    return _HEAD.pack(sum(held for _, held in kept), kept[0][0], window.wide) + body


def freed_at(window: Window, amount: int) -> int:
    """The first bucket in which at least the amount has left the window."""
    for low, held in _PART.iter_unpack(window.parts):
        amount -= held
        if amount <= 0:
            age: int = (window.newest - low) & _LOW
            return window.newest - age + BUCKETS
    return window.bucket + BUCKETS


def over_by(record: bytes) -> int:
    """The moment from which nothing of the record counts any more, in microseconds."""
    head: tuple[int, int, int] = _HEAD.unpack_from(record)
    return (head[1] + BUCKETS) * head[2]
