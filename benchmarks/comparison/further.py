"""The bars that programs of their own measure: what is kept of them, beside the comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.comparison.bars import LARGE, Bar
from benchmarks.measured import Measured, kept

Further = Mapping[str, Measured]

SMALL: Final = "10 tenants, 100 users, 10 versions"
# What growth.py calls them, of which each is asked by the same kind of caller on both sides.
CALLS: Final = {
    "one known caller": "a known caller's call",
    "ten known callers": "ten known callers' calls",
}


def further(folder: Path) -> dict[str, Measured]:
    """What the programs found, of those that were kept in a folder."""
    found = {name: kept(name, folder) for name in BARS}
    return {name: measured for name, measured in found.items() if measured is not None}


def further_bars(measured: Further) -> Iterator[Bar]:
    """The bars of the programs that were kept."""
    for name, one in measured.items():
        yield from BARS[name](one.found)


def _footprint(found: Mapping[str, Any]) -> Iterator[Bar]:
    opening = found["opening"]
    each = opening["kb_each"]
    yield Bar("each further compiled small version", 200, each, "kB", least=False)
    processes = opening["processes"] / opening["versions"]
    yield Bar("each idle tenant", 0, processes, "host processes", least=False)


def _growth(found: Mapping[str, Any]) -> Iterator[Bar]:
    for load, what in CALLS.items():
        more = 100 * (found[load]["ratio_cpu"] - 1)
        yield Bar(f"{what}, {LARGE}", 5, more, "% more", least=False, against=SMALL)
    later = found["start"]["large_time"] - found["start"]["small_time"]
    yield Bar(f"start, {LARGE}", 2, later, "s more", least=False, against=SMALL)


BARS: Final[Mapping[str, Callable[[Mapping[str, Any]], Iterator[Bar]]]] = {
    "footprint": _footprint,
    "growth": _growth,
}
