"""What a caller may ask of a model without anybody being asked again, while the epoch stands."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from typing import Final

from config.epoch import EpochCache
from models.names import Reference
from models.routing.plans import Plan
from models.signature import Signature
from models.versions import Version
from service import charging, observing
from service.bootstrap import Caller, Platform
from service.charging import Tariff
from service.express.heads import Head, Reading
from service.lanes import Pace
from service.observing import Recurring
from service.operations import resolution

CAPACITY: Final = 5_000  # of 4 KB each

# An access token, and what is asked with it: in which dialect, of which model and version or
# alias, and by which of its outputs.
Key = tuple[str, str, str | None, Reference, Hashable]


@dataclass(frozen=True, slots=True)
class Pass:
    """All that is decided about a call before its rows are looked at."""

    version: Version
    signature: Signature
    method: str
    tariff: Tariff
    recurring: Recurring
    until: float
    pace: Pace  # of the threads that answer what takes its time: a host's calls wait for it

    @property
    def tenant_id(self) -> str:
        """Whose it is."""
        return self.version.tenant_id


@dataclass(frozen=True, slots=True)
class Detour:
    """That such calls go the long way: they are watched or divided, or their model is not open."""

    tenant_id: str
    until: float


class Passes:
    """Remembers passes until something changes for their tenant."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self.known: EpochCache[Key, Pass | Detour] = EpochCache(
            platform.epoch, CAPACITY, concerns=lambda made: made.tenant_id, clock=platform.clock
        )

    def find(self, key: Key) -> Pass | Detour | None:
        """What was issued, if nothing that concerns it has changed since."""
        return self.known.get(key)

    def issue(self, head: Head, reading: Reading) -> None:
        """Decide about calls like one that was answered; raises what keeps them from an answer."""
        caller = self._platform.caches.callers.get(head.token)
        if caller is not None:
            key, decide = key_of(head, reading), partial(self._decide, caller, head, reading)
            self.known.fetch(key, decide, expires=lambda made: made.until)

    def _decide(self, caller: Caller, head: Head, reading: Reading) -> Pass | Detour:
        platform, scope, asked = self._platform, caller.scope, reading.asked
        plan = resolution.plan(platform, scope, asked.model, asked.version)
        version, until = plan.versions[0], min(caller.until, plan.until)
        method, *more = asked.methods(version.signature)
        if more:
            return Detour(scope.tenant_id, until)
        is_native = platform.executor.is_native(version, method)
        is_open = is_native or platform.executor.at_hand(version, method) is not None
        if not _is_plain(plan) or not is_open:
            return Detour(scope.tenant_id, until)
        dialect, outcome = head.address.dialect, head.address.answered
        recurring = Recurring(
            platform=platform,
            scope=scope,
            version=version,
            dialect=dialect.name,
            outcome=outcome,
            tally=observing.tally_of(platform, version, dialect.name, outcome),
        )
        tariff = charging.tariff(platform, scope, version)
        pace: Pace = "waiting" if is_native else "quick"
        return Pass(version, version.signature, method, tariff, recurring, until, pace)


def key_of(head: Head, reading: Reading) -> Key:
    """What a pass is found by."""
    asked = reading.asked
    return head.token, head.address.dialect.name, asked.model, asked.version, reading.wanted


def _is_plain(plan: Plan) -> bool:
    """Whether there is one version, and nobody watches it or keeps what it says."""
    return plan.route is None and plan.log is None and plan.shadow is None
