"""Where a call goes: to what is compiled for workers, in this one, or else to a host."""

from __future__ import annotations

import time
from typing import Any, Final, Protocol

from numpy.typing import NDArray

from models.execution import Executor
from models.manifest import IN_HOSTS
from models.portions import Portioned
from models.tables import Features
from models.versions import Version

REMEMBERED_SECONDS: Final = 60.0


class Compiled(Executor, Protocol):
    """An executor within this process."""

    def at_hand(self, version: Version) -> Portioned | None:
        """What answers a version at once, if it is open; opens nothing."""
        ...


class ServingExecutor:
    """Answers compiled methods with one executor, and all others with another.

    It remembers for a minute which tenants have called the other: their calls may wait long.
    """

    def __init__(self, compiled: Compiled, native: Executor) -> None:
        self._compiled = compiled
        self._native = native
        self._natively: dict[str, float] = {}

    def answer(
        self, version: Version, method: str, features: Features, *, seconds: float
    ) -> NDArray[Any]:
        """Answer each row within so many seconds, in the dtype of the model's own answers."""
        if not self.is_native(version, method):
            return self._compiled.answer(version, method, features, seconds=seconds)
        self._natively[version.tenant_id] = time.monotonic()
        return self._native.answer(version, method, features, seconds=seconds)

    def at_hand(self, version: Version, method: str) -> Portioned | None:
        """What answers a method in this process at once, if it is open; opens nothing."""
        return None if self.is_native(version, method) else self._compiled.at_hand(version)

    def is_native(self, version: Version, method: str) -> bool:
        """Whether a host answers a method."""
        return method not in _answered_here(version)

    def keeps_waiting(self, tenant_id: str) -> bool:
        """Whether the tenant has lately called what a host answers."""
        since = self._natively.get(tenant_id)
        if since is None:
            return False
        if time.monotonic() - since > REMEMBERED_SECONDS:
            self._natively.pop(tenant_id, None)
            return False
        return True

    def warm(self, version: Version) -> None:
        """Open a version wherever one of its methods is answered."""
        for executor in self._executors_of(version):
            executor.warm(version)

    def is_warm(self, version: Version) -> bool:
        """Say whether every method would be answered without opening the version first."""
        return all(executor.is_warm(version) for executor in self._executors_of(version))

    def forget(self, tenant_id: str) -> None:
        """Close whatever is open of a tenant."""
        self._compiled.forget(tenant_id)
        self._native.forget(tenant_id)

    def _executors_of(self, version: Version) -> list[Executor]:
        here = set(_answered_here(version))
        needed: list[Executor] = [self._compiled] if here else []
        return needed if here >= set(version.signature.methods) else [*needed, self._native]


def _answered_here(version: Version) -> tuple[str, ...]:
    """The methods that a worker answers."""
    contents = version.manifest.contents
    return () if contents.engine in IN_HOSTS else contents.engine_methods
