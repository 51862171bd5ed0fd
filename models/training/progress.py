"""What a training says while it runs: how far it is, and results that need not be won again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Phase(StrEnum):
    """What a training is at."""

    READING = "reading"
    PREPARING = "preparing"
    COMPARING = "comparing"
    TUNING = "tuning"
    EVALUATING = "evaluating"
    REPORTING = "reporting"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a phase is: `done` of `total` steps, and what to tell people of the last."""

    phase: Phase
    done: int
    total: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """One result by its key: the same spec, data and key give the same value, but for times.

    Whoever keeps them can hand them to the next attempt, which then does not compute them anew.
    """

    key: str
    value: Mapping[str, Any]


Tell = Callable[[Progress], None]
Keep = Callable[[Result], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reporting:
    """Whom a training tells, and what an attempt before this one had found out already.

    `left` says how many seconds there are until the budget is spent; infinite without one.
    """

    tell: Tell
    keep: Keep
    known: Mapping[str, Mapping[str, Any]]
    left: Callable[[], float]

    def once(self, key: str, compute: Callable[[], dict[str, Any]]) -> Mapping[str, Any]:
        """What is known by a key, or what is computed now and kept."""
        if key in self.known:
            return self.known[key]
        value = compute()
        self.keep(Result(key, value))
        return value
