"""How one plan follows another without a call that waits for a version to open.

A worker that sees an alias moved goes on with the versions that it has open, opens the new ones
beside, and then changes over: after a second at the latest, whatever is open by then.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Final

from models.errors import ModelsError
from models.execution import Executor
from models.routing.plans import Plan
from models.versions import Version

LONGEST_SECONDS: Final = 0.8  # so that every worker has changed over within a second
PAUSE_SECONDS: Final = 0.02
REMEMBERED: Final = 10_000


@dataclass(slots=True)
class _InForce:
    plan: Plan
    waits_for: frozenset[str] = frozenset()  # identifiers of versions
    since: float = 0.0


class Succession:
    """The plans in force in this worker."""

    def __init__(self, executor: Executor, clock: Callable[[], float] = time.time) -> None:
        self._executor = executor
        self._clock = clock
        self._lock = threading.Lock()
        self._in_force: OrderedDict[Hashable, _InForce] = OrderedDict()

    def follow(self, key: Hashable, new: Plan, serves: Callable[[Version], bool]) -> Plan:
        """The plan to follow now: the new one, or for a moment still the one before.

        `serves` says of a version of the plan before whether it may still answer.
        """
        cold = tuple(v for v in new.every_version if not self._executor.is_warm(v))
        with self._lock:
            current = self._in_force.get(key)
            awaited = frozenset(version.id for version in cold)
            if current is None or not cold or self._is_over(current, new, awaited):
                self._remember(key, _InForce(new))
                return new
            starts = current.waits_for != awaited
            if starts:
                current.waits_for, current.since = awaited, self._clock()
            before = current.plan
        if not all(serves(version) for version in before.versions):
            with self._lock:
                self._remember(key, _InForce(new))
            return new
        if starts:
            threading.Thread(target=self._warm, args=(cold,), name="warming", daemon=True).start()
        return replace(before, until=self._clock() + PAUSE_SECONDS)

    def _is_over(self, current: _InForce, new: Plan, awaited: frozenset[str]) -> bool:
        """Say whether the wait for these versions has lasted long enough, or has no sense."""
        if awaited <= {version.id for version in current.plan.every_version}:
            return True  # those were not open before either
        if current.plan.versions[0].model != new.versions[0].model:
            return True  # another model has become the default one
        waited = self._clock() - current.since
        return current.waits_for == awaited and not 0 <= waited < LONGEST_SECONDS

    def _remember(self, key: Hashable, entry: _InForce) -> None:
        self._in_force[key] = entry
        self._in_force.move_to_end(key)
        if len(self._in_force) > REMEMBERED:
            self._in_force.popitem(last=False)

    def _warm(self, versions: tuple[Version, ...]) -> None:
        for version in versions:
            try:
                self._executor.warm(version)
            except ModelsError:
                continue  # whoever calls it will be told why
