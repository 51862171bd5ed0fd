"""Where a call goes: to what is compiled, within the worker, or to the model's own library."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from models.execution import Executor
from models.tables import Features
from models.versions import Version


class ServingExecutor:
    """Answers compiled methods with one executor, and all others with another."""

    def __init__(self, compiled: Executor, native: Executor) -> None:
        self._compiled = compiled
        self._native = native

    def answer(
        self, version: Version, method: str, features: Features, *, seconds: float
    ) -> NDArray[Any]:
        """Answer each row within so many seconds, in the dtype of the model's own answers."""
        is_compiled = method in version.manifest.contents.engine_methods
        executor = self._compiled if is_compiled else self._native
        return executor.answer(version, method, features, seconds=seconds)

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
        contents = version.manifest.contents
        compiled = set(contents.engine_methods)
        needed = [self._compiled] if compiled else []
        return needed if compiled >= set(contents.signature.methods) else [*needed, self._native]
