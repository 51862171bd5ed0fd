"""Predictions that are waited for: in front of Flask as well, but each in a thread of its own.

Their model is in a process of the sandbox, or computes for longer than the thread that all plain
predictions share is to be held. So they are charged before anything is computed, as on the long
way. One that is refused by then is left to the application as if nobody had looked; one that fails
afterwards is handed to it with its setback, and is neither charged nor computed again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import perf_counter

from config.counters import Answered, Receipt, VersionStatistics
from config.counters.bills import receipt_of
from config.errors import CounterStoreDown
from models.tables import Features
from service import charging, native, observing
from service.bootstrap import Platform
from service.charging import Slot
from service.errors import RateLimited
from service.express.passes import Key, Pass, Passes
from service.express.telling import tell
from service.lanes import Pace
from service.visits import Setback
from service.wsgi import Answer


@dataclass(frozen=True, slots=True)
class Errand:
    """A call for a thread of its pace, in its tenant's lane.

    It comes to an answer, or to a setback, or to None if nothing of it has happened.
    """

    pace: Pace
    lane: str
    run: Callable[[], Answer | Setback | None]


@dataclass(frozen=True, slots=True)
class Read:
    """A call that was read: its rows as its model takes them, and the seconds until then."""

    key: Key
    features: Features
    rows: int
    decode: float
    bind: float


def errand(platform: Platform, passes: Passes, mine: Pass, read: Read) -> Errand:
    """What is left to do of a call that has a pass."""
    return Errand(mine.pace, mine.tenant_id, partial(_run, platform, passes, read))


def _run(platform: Platform, passes: Passes, read: Read) -> Answer | Setback | None:
    observing.name(observing.request_ids.next())
    mine = passes.find(read.key)  # anew, for it may have waited
    if not isinstance(mine, Pass):
        return None
    began = perf_counter() - read.decode - read.bind
    try:
        with charging.slot(platform, mine.recurring.scope) as place:
            verdict = platform.counters.charge(mine.tariff.bill.charges(read.rows))
            receipt = receipt_of(verdict)
            if receipt is None:
                return None
            try:
                return _answered(platform, mine, read, place, receipt, began)
            except Exception as error:  # noqa: BLE001 - the application words it
                return Setback(error, charging.policies_of(verdict))
    except (RateLimited, CounterStoreDown):
        return None


def _answered(
    platform: Platform, mine: Pass, read: Read, place: Slot, receipt: Receipt, began: float
) -> Answer:
    place.statistics = partial(_failure, mine, began)  # unless it comes to an answer
    admitted = perf_counter()
    answers = platform.executor.answer(
        mine.version, mine.method, read.features, seconds=platform.settings.predict_seconds
    )
    computed = perf_counter()
    body = native.encode(mine.version, answers)
    encoded = perf_counter()
    admit, compute = admitted - began - read.decode - read.bind, computed - admitted
    call = Answered(
        total_ns=int((encoded - began) * 1e9),
        queue_ns=int(admit * 1e9),
        decode_ns=int((read.decode + read.bind) * 1e9),
        compute_ns=int(compute * 1e9),
        encode_ns=int((encoded - computed) * 1e9),
        rows=read.rows,
    )
    place.usage = mine.tariff.bill.usage_of(call)
    place.statistics = partial(mine.tariff.bill.statistics_of, call)
    spent = (0.0, read.decode, admit, read.bind, compute, encoded - computed)
    headers = tell(mine, receipt, rows=read.rows, total=encoded - began, spent=spent)
    return Answer(200, headers, body)


def _failure(mine: Pass, began: float) -> VersionStatistics:
    """What a call was that the version did not answer."""
    total = int((perf_counter() - began) * 1e9)
    return VersionStatistics(*mine.tariff.bill.version, fail_count=1, fail_ns=total)
