"""What a caller may ask of a model without anybody being asked again, while the epoch stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from config.epoch import EpochCache
from models.names import Reference
from models.routing.plans import Plan
from models.signature import Signature
from models.versions import Version
from service import charging, observing
from service.bootstrap import Caller, Platform
from service.charging import Tariff
from service.lanes import Pace
from service.observing import Outcome, Recurring
from service.operations import resolution
from service.visits import NATIVE

CAPACITY: Final = 5_000  # of 4 KB each
ANSWERED: Final = Outcome(status=200, endpoint="predict.predict", method="POST", route="/predict")

# An access token, and what is asked with it: model, version or alias, and method.
Key = tuple[str, str | None, Reference, str | None]


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

    def issue(self, key: Key) -> None:
        """Decide about calls like one that was answered; raises what keeps them from an answer."""
        caller = self._platform.caches.callers.get(key[0])
        if caller is not None:
            self.known.fetch(key, lambda: self._decide(key, caller), expires=lambda m: m.until)

    def _decide(self, key: Key, caller: Caller) -> Pass | Detour:
        _, model, reference, asked = key
        platform, scope = self._platform, caller.scope
        plan = resolution.plan(platform, scope, model, reference)
        version, until = plan.versions[0], min(caller.until, plan.until)
        method = version.signature.check_method(asked)
        is_native = platform.executor.is_native(version, method)
        is_open = is_native or platform.executor.at_hand(version, method) is not None
        if not _is_plain(plan) or not is_open:
            return Detour(scope.tenant_id, until)
        recurring = Recurring(
            platform=platform,
            scope=scope,
            version=version,
            dialect=NATIVE,
            outcome=ANSWERED,
            tally=observing.tally_of(platform, version, NATIVE, ANSWERED),
        )
        tariff = charging.tariff(platform, scope, version)
        pace: Pace = "waiting" if is_native else "quick"
        return Pass(version, version.signature, method, tariff, recurring, until, pace)


def _is_plain(plan: Plan) -> bool:
    """Whether there is one version, and nobody watches it or keeps what it says."""
    return plan.route is None and plan.log is None and plan.shadow is None
