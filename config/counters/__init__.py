"""Counters that every process shares: what is charged, what is held, what was used.

A window slides in 128 buckets of a 127th of its length, so that no interval of that length ever
admits more than the limit, and a steady caller gets at least 127/128 of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from config.counters.bills import Bill

Key = tuple[str, ...]
# How much of a daily quota was used before this store knew of it: (key, day) -> amount.
Seed = Callable[[Key, str], int]
# What a running total is of: a day, a tenant, a subject and a model.
Total = tuple[str, str, str, str]
Consumer = tuple[str, str, str]  # the same without the day
# By the name of a running total, what tells it as it is from what it was and will be.
Marks = Mapping[bytes, bytes]
NOTHING: Final[Marks] = MappingProxyType({})

LARGEST: Final = 2**53 - 1  # the largest integer that Lua counts exactly
DAY_SECONDS: Final = 86_400
REQUESTS: Final = 0
ROWS: Final = 1


@dataclass(frozen=True, slots=True)
class Charge:
    """An amount to count against a limit per window of seconds.

    Requests and the rows in them are counted apart under one key, as its two units.
    A calendar charge counts by UTC day instead of sliding, and survives the loss of the store.
    One that is closed when down is refused while the shared store does not answer.
    """

    key: Key
    amount: int
    limit: int
    window: float
    policy: str
    calendar: bool = False
    closed_when_down: bool = False
    unit: int = REQUESTS

    def __post_init__(self) -> None:
        if not 0 <= self.amount <= LARGEST or not 0 <= self.limit <= LARGEST:
            raise ValueError(
                f"{self.policy}: amount and limit must be from 0 to {LARGEST}, "
                f"not {self.amount} and {self.limit}"
            )
        if self.window < 1e-3 or (self.calendar and self.window != DAY_SECONDS):
            raise ValueError(
                f"{self.policy}: a window is at least a millisecond, and a day if by calendar; "
                f"not {self.window} s"
            )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether all the charges were admitted, and what is left of each limit afterwards.

    `reset` says per charge in how many seconds its oldest part frees; `retry_after` in how many
    the call would be admitted if nobody else came, infinite if an amount exceeds its limit.
    `shared` is False for a decision on this process's own share while the store is down.
    """

    charges: tuple[Charge, ...]
    violated: Charge | None
    remaining: tuple[int, ...]
    reset: tuple[float, ...]
    retry_after: float
    at: float  # by the store's clock
    shared: bool = True

    @property
    def allowed(self) -> bool:
        """Whether the charges were made; a refused call burns nothing."""
        return self.violated is None


@dataclass(frozen=True, slots=True)
class Usage:
    """What one principal consumed of one model; the day is the store's today unless given."""

    tenant_id: str
    subject_id: str
    model: str
    requests: int
    rows: int
    compute_us: int
    day: str = ""


class VersionStatistics(NamedTuple):
    """What one version of a model answered, in one call or in all; times in nanoseconds.

    A tuple, since one is made in every prediction: a frozen dataclass takes six times as long.

    Waiting, decoding, computing and encoding are those of the successes, and so are rows and
    executions. `last_ms` is when it was last called (Unix milliseconds): the store's now unless
    given.
    """

    tenant_id: str
    model: str
    number: int
    success_count: int = 0
    success_ns: int = 0
    fail_count: int = 0
    fail_ns: int = 0
    queue_ns: int = 0
    decode_ns: int = 0
    compute_ns: int = 0
    encode_ns: int = 0
    rows: int = 0
    executions: int = 0
    last_ms: int = 0


class Answered(NamedTuple):
    """How one call that was answered went: its times, and its rows by each of its executions."""

    total_ns: int
    queue_ns: int
    decode_ns: int
    compute_ns: int
    encode_ns: int
    rows: int
    executions: int = 1


class Receipt(NamedTuple):
    """What is left of each limit of a bill, and when its oldest part frees.

    In microseconds by the store's clock, which stood `at` this. One has `begun` if a window held
    nothing before.
    """

    remaining: Sequence[int]
    frees: Sequence[int]
    at: int
    begun: bool = False


@dataclass(frozen=True, slots=True)
class UsageTotals:
    """Running totals of one generation of a store, read in one moment.

    `marks` tell each of them, as it is, from what it was and will be.
    """

    source: str
    totals: tuple[Usage, ...]
    marks: Marks = field(default_factory=dict, repr=False)


class Counters(Protocol):
    """A store of counters; each method is one atomic step for all processes.

    Raises CounterStoreDown if the store does not answer. `now` replaces a reading of the store's
    own clock, for simulations.
    """

    @property
    def source(self) -> str:
        """The random name of this generation of the store; a store made anew has another."""
        ...

    def charge(
        self, charges: Sequence[Charge], *, usage: Usage | None = None, now: float | None = None
    ) -> Verdict:
        """Make all the charges, and record the usage with them, or none."""
        ...

    def peek(self, charges: Sequence[Charge], *, now: float | None = None) -> Verdict:
        """What `charge` would say, without charging; `remaining` is before the charge."""
        ...

    def refund(self, verdict: Verdict) -> None:
        """Give back what an allowed verdict charged."""
        ...

    def record(self, charges: Sequence[Charge], *, now: float | None = None) -> None:
        """Count what happened elsewhere, over the limits if need be."""
        ...

    def enter(self, key: Key, limit: int, holder: str, *, now: float | None = None) -> bool:
        """Take one of `limit` places; those of a process that died come back."""
        ...

    def leave(
        self,
        key: Key,
        holder: str,
        *,
        usage: Usage | None = None,
        statistics: VersionStatistics | None = None,
    ) -> None:
        """Give back one place that the holder took, and record usage and statistics with it."""
        ...

    def settle(self, bill: Bill, call: Answered, *, now: float | None = None) -> Receipt | None:
        """Charge and record a call that is answered already; None if that must not be released.

        What `enter`, `charge` and `leave` would do of it, or nothing at all: where a limit does
        not admit it, no place is free, or it has no rows.
        """
        ...

    def add_usage(self, usage: Usage) -> None:
        """Add to the running totals of its day, tenant, subject and model."""
        ...

    def usage_totals(
        self, seen: Marks = NOTHING, *, only: Collection[Total] | None = None
    ) -> UsageTotals:
        """Every running total but those seen, with the generation that they belong to.

        Or those alone that are named, of as many as there are. The marks that are `seen` must be of
        that generation: another's mean nothing.
        """
        ...

    def drop_usage_before(self, day: str) -> None:
        """Forget the totals of earlier days, once they are flushed."""
        ...

    def add_statistics(self, statistics: VersionStatistics) -> None:
        """Add to the totals of its version; of a new one only while there is room."""
        ...

    def statistics(
        self, tenant_id: str | None = None, model: str | None = None
    ) -> tuple[VersionStatistics, ...]:
        """The totals of every version, of a tenant's, or of one model's."""
        ...

    def drop_statistics(
        self, tenant_id: str, model: str | None = None, number: int | None = None
    ) -> None:
        """Forget the totals of a tenant, of one model, or of one version."""
        ...

    def close(self) -> None:
        """Close what is open in this process."""
        ...
