"""Predictions that are waited for: in front of Flask as well, but each in a thread of its own.

Their model is in a process of the sandbox, or computes for longer than the thread that all plain
predictions share is to be held. So they are charged before anything is computed, as on the long
way. One that is refused by then is left to the application as if nobody had looked; one that fails
afterwards is handed to it with its setback, and is neither charged nor computed again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import NamedTuple

from config.counters import Receipt, VersionStatistics
from config.counters.bills import receipt_of
from config.errors import CounterStoreDown
from config.logging import frames_of
from models.errors import ModelsError
from models.tables import Features
from service import charging, observing
from service.bootstrap import Platform
from service.charging import Slot
from service.errors import RateLimited
from service.express.heads import Head, Reading
from service.express.passes import Pass, Passes, key_of
from service.express.telling import Spent, counted, tell
from service.lanes import Pace
from service.visits import Setback
from service.wsgi import Answer

log = logging.getLogger(__name__)


# To be called when the application has answered a call that was new.
Lesson = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Errand:
    """A call for a thread of its pace, in its tenant's lane.

    It comes to an answer, to another errand, to a setback, or, where nothing of it has happened, to
    what is to be learned of it or None.
    """

    pace: Pace
    lane: str
    run: Callable[[], Done]


Done = Answer | Errand | Setback | Lesson | None


@dataclass(frozen=True, slots=True)
class Read:
    """A call that was read, in so many seconds."""

    head: Head
    reading: Reading
    seconds: float


class Times(NamedTuple):
    """When a call began and was admitted, and what its stages in between took; in seconds."""

    began: float
    decode: float
    bind: float
    admitted: float


def errand(platform: Platform, passes: Passes, mine: Pass, read: Read) -> Errand:
    """What is left to do of a call that has a pass."""
    run = partial(_run, platform, passes, read)
    return Errand(mine.pace, mine.tenant_id, partial(foreseen, run))


def foreseen(run: Callable[[], Done]) -> Done:
    """Run one, and leave what nobody foresaw to the application, which meets it again."""
    try:
        return run()
    except Exception as error:  # noqa: BLE001 - the application answers
        log.error("an errand failed\n%s", frames_of(error))  # noqa: TRY400
        return None


def _run(platform: Platform, passes: Passes, read: Read) -> Answer | Setback | None:
    observing.name(observing.request_ids.next())
    mine = passes.find(key_of(read.head, read.reading))  # anew, for it may have waited
    if not isinstance(mine, Pass):
        return None
    began = perf_counter() - read.seconds
    try:
        features = read.reading.asked.bound(mine.signature)  # here, for texts may take long
        bound = perf_counter()
        with charging.slot(platform, mine.recurring.scope) as place:
            verdict = platform.counters.charge(mine.tariff.bill.charges(len(features)))
            receipt = receipt_of(verdict)
            if receipt is None:
                return None
            try:
                times = Times(began, read.seconds, bound - began - read.seconds, perf_counter())
                return _answered(platform, mine, read, features, place, receipt, times)
            except Exception as error:  # noqa: BLE001 - the application words it
                return Setback(error, charging.policies_of(verdict))
    except (ModelsError, RateLimited, CounterStoreDown):
        return None


def _answered(
    platform: Platform,
    mine: Pass,
    read: Read,
    features: Features,
    place: Slot,
    receipt: Receipt,
    times: Times,
) -> Answer:
    place.statistics = partial(_failure, mine, times.began)  # unless it comes to an answer
    answers = platform.executor.answer(
        mine.version, mine.method, features, seconds=platform.settings.predict_seconds
    )
    computed = perf_counter()
    dialect = read.head.address.dialect
    described, body = dialect.write(read.head, read.reading, mine.version, mine.method, answers)
    encoded = perf_counter()
    rows, total = len(features), encoded - times.began
    admit = times.admitted - times.began - times.decode - times.bind
    compute, encode = computed - times.admitted, encoded - computed
    spent = Spent(0.0, times.decode, admit, times.bind, compute, encode)
    call = counted(spent, rows=rows, total=total)
    place.usage = mine.tariff.bill.usage_of(call)
    place.statistics = partial(mine.tariff.bill.statistics_of, call)
    headers = tell(mine, receipt, described, rows=rows, total=total, spent=spent)
    return Answer(200, headers, body)


def _failure(mine: Pass, began: float) -> VersionStatistics:
    """What a call was that the version did not answer."""
    total = int((perf_counter() - began) * 1e9)
    return VersionStatistics(*mine.tariff.bill.version, fail_count=1, fail_ns=total)
