"""Places of concurrency as a record of bytes: who holds how many, and in which process."""

from __future__ import annotations

import os
import struct
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

_PLACE: Final = struct.Struct("<IQ16sI")  # pid, start of that process, holder, places held
_HELD: Final = struct.Struct("<28xI")


class Place(NamedTuple):
    """The places that one holder has in one process."""

    pid: int
    started: int
    holder: bytes
    held: int


def read_places(record: bytes | None) -> list[Place]:
    """Read a record."""
    return [Place(*fields) for fields in _PLACE.iter_unpack(record or b"")]


def write_places(places: list[Place]) -> bytes | None:
    """The record without those who hold nothing; None if nobody does."""
    return b"".join(_PLACE.pack(*place) for place in places if place.held > 0) or None


def taken(places: list[Place]) -> int:
    """How many places are held in all."""
    return sum(place.held for place in places)


def taken_in(record: bytes | None) -> int:
    """How many places a record says are held."""
    return 0 if record is None else sum(held for (held,) in _HELD.iter_unpack(record))


def changed(places: list[Place], holder: str, by: int) -> list[Place]:
    """The places after this process's holder took or gave back one."""
    pid = os.getpid()
    mine = (pid, started(pid), _digest(holder))
    for index, place in enumerate(places):
        if place[:3] == mine:
            return [*places[:index], place._replace(held=place.held + by), *places[index + 1 :]]
    return [*places, Place(*mine, by)] if by > 0 else places


@lru_cache(maxsize=1024)
def _digest(holder: str) -> bytes:
    return blake2b(holder.encode(), digest_size=16).digest()


def dead(places: list[Place]) -> set[tuple[int, int]]:
    """The processes among the holders that are gone, though their number may be in use again."""
    processes = {(place.pid, place.started) for place in places}
    return {process for process in processes if started(process[0]) != process[1]}


_own: dict[int, int] = {}


def started(pid: int) -> int:
    """When a process was started, in ticks since boot; 0 if it does not run."""
    if pid in _own and pid == os.getpid():
        return _own[pid]
    ticks = _read_started(pid)
    if pid == os.getpid():
        _own.clear()
        _own[pid] = ticks
    return ticks


def _read_started(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    fields = stat[stat.rindex(")") + 2 :].split()  # the command before it may hold anything
    return 0 if fields[0] in "ZX" else int(fields[19])
