"""Runs compiled versions within the web worker."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

from numpy.typing import NDArray

from models.compilation import Predictor
from models.errors import PredictionFailed, RowsRefused
from models.manifest import Contents
from models.tables import Features
from models.versions import Version

OVERHEAD_BYTES: Final = 4096  # of the objects around a model's arrays
Key = tuple[str, str, str]  # tenant, version, digest: none of them alone says whose answer it is


@dataclass(frozen=True, slots=True)
class _Open:
    predictor: Predictor
    size: int


@dataclass(frozen=True, slots=True)
class Holding:
    """What an executor holds open now, and what it has opened and closed for room since."""

    versions: int
    bytes: int
    opened: int
    evicted: int


class _Shelf:
    """The open versions by tenant, those used last at the end; not for several threads at once."""

    def __init__(self) -> None:
        self._tenants: dict[str, OrderedDict[Key, _Open]] = {}
        self._sizes: Counter[str] = Counter()
        self.size = 0

    def find(self, key: Key) -> _Open | None:
        versions = self._tenants.get(key[0])
        if versions is None or key not in versions:
            return None
        versions.move_to_end(key)
        return versions[key]

    def put(self, key: Key, opened: _Open) -> None:
        self.remove(key)
        self._tenants.setdefault(key[0], OrderedDict())[key] = opened
        self._sizes[key[0]] += opened.size
        self.size += opened.size

    def __len__(self) -> int:
        return sum(map(len, self._tenants.values()))

    def remove(self, key: Key) -> None:
        if self.find(key) is None:
            return
        versions = self._tenants[key[0]]
        opened = versions.pop(key)
        self._sizes[key[0]] -= opened.size
        self.size -= opened.size
        if not versions:
            del self._tenants[key[0]], self._sizes[key[0]]

    def of_tenant(self, tenant_id: str) -> list[Key]:
        return list(self._tenants.get(tenant_id, ()))

    def next_to_close(self, kept: Key) -> Key | None:
        """The version that the tenant with the most bytes has not used for longest."""
        for tenant, _ in self._sizes.most_common():
            for key in self._tenants[tenant]:
                if key != kept:
                    return key
        return None


class InProcessExecutor:
    """Keeps versions open within a budget of bytes of memory.

    `fetch` returns a version's verified artefact, `opener` opens it. Many threads may ask for a
    version at once; one of them opens it, the others wait. When the budget is spent, the tenant
    that holds most of it closes what it has not used for longest, so that no tenant can crowd out
    the others. The newest stays even if it alone is over the budget.
    """

    def __init__(
        self,
        fetch: Callable[[Version], bytes],
        opener: Callable[[Contents, bytes], Predictor],
        *,
        budget_bytes: int,
    ) -> None:
        self._fetch = fetch
        self._opener = opener
        self._budget = budget_bytes
        self._shelf = _Shelf()
        self._opening: dict[Key, Lock] = {}
        self._lock = Lock()
        self._opened = self._evicted = 0

    def answer(
        self, version: Version, method: str, features: Features, *, seconds: float
    ) -> NDArray[Any]:
        """Answer rows that the version's signature has let pass; raises also RowsRefused.

        What is compiled takes microseconds a row and cannot be interrupted: `seconds` has no say.
        """
        predictor = self.opened(version)
        try:
            return predictor.answer(method, features)
        except RowsRefused:
            raise
        except Exception as error:
            raise PredictionFailed(version.model, version.number, repr(error)) from error

    def warm(self, version: Version) -> None:
        """Open a version before its first prediction."""
        self.opened(version)

    def is_warm(self, version: Version) -> bool:
        """Say whether the version is open."""
        with self._lock:
            return self._shelf.find((version.tenant_id, version.id, version.digest)) is not None

    def opened(self, version: Version) -> Predictor:
        """The open version; raises ArtefactBroken or ArtefactMissing if it cannot be opened."""
        key = (version.tenant_id, version.id, version.digest)
        with self._lock:
            found = self._shelf.find(key)
            turn = None if found else self._opening.setdefault(key, Lock())
        if found:
            return found.predictor
        assert turn is not None
        with turn:
            return self._open_once(key, version).predictor

    def forget(self, tenant_id: str) -> None:
        """Close every version of a tenant."""
        with self._lock:
            for key in self._shelf.of_tenant(tenant_id):
                self._shelf.remove(key)

    @property
    def holding(self) -> Holding:
        """How much is open, for whoever watches."""
        with self._lock:
            return Holding(len(self._shelf), self._shelf.size, self._opened, self._evicted)

    def _open_once(self, key: Key, version: Version) -> _Open:
        with self._lock:
            found = self._shelf.find(key)
        if found:
            return found
        try:
            data = self._fetch(version)
            predictor = self._opener(version.manifest.contents, data)
            opened = _Open(predictor, OVERHEAD_BYTES + predictor.size)
            self._keep(key, opened)
        finally:
            with self._lock:
                self._opening.pop(key, None)
        return opened

    def _keep(self, key: Key, opened: _Open) -> None:
        with self._lock:
            self._shelf.put(key, opened)
            self._opened += 1
            while self._shelf.size > self._budget:
                closed = self._shelf.next_to_close(key)
                if closed is None:
                    return
                self._shelf.remove(closed)
                self._evicted += 1
