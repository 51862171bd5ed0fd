"""Runs compiled versions within the web worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from threading import Lock
from typing import Any, Final

from numpy.typing import NDArray

from models.errors import PredictionFailed, RowsRefused
from models.manifest import MODEL, Contents
from models.portions import Portioned
from models.tables import Features
from models.versions import Version

OVERHEAD_BYTES: Final = 4096  # of the objects around a model's arrays
Key = tuple[str, str, str]  # tenant, version, digest: none of them alone says whose answer it is


@dataclass(slots=True)
class _Open:
    predictor: Portioned
    size: int
    used: int = 0  # when it was last asked for, as a turn of the shelf's


@dataclass(frozen=True, slots=True)
class Holding:
    """What an executor holds open now, and what it has opened and closed for room since."""

    versions: int
    bytes: int
    opened: int
    evicted: int


class _Shelf:
    """The open versions by tenant, and when each was last asked for.

    Any thread may `find` and `ask_for` at any time, which read dictionaries and write one number:
    a thread that prepares a version must not keep others waiting that have theirs. All else is
    for one thread at a time.
    """

    def __init__(self) -> None:
        self._tenants: dict[str, dict[Key, _Open]] = {}
        self._sizes: Counter[str] = Counter()
        self._turns = count(1)
        self.size = 0

    def find(self, key: Key) -> _Open | None:
        versions = self._tenants.get(key[0])
        return None if versions is None else versions.get(key)

    def ask_for(self, key: Key) -> Portioned | None:
        """The open version, which from now on is the one used last."""
        versions = self._tenants.get(key[0])
        opened = None if versions is None else versions.get(key)
        if opened is None:
            return None
        opened.used = next(self._turns)
        return opened.predictor

    def put(self, key: Key, opened: _Open) -> None:
        self.remove(key)
        opened.used = next(self._turns)
        self._tenants.setdefault(key[0], {})[key] = opened
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
            used = {key: opened.used for key, opened in self._tenants[tenant].items()}
            used.pop(kept, None)
            if used:
                return min(used, key=used.__getitem__)
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
        opener: Callable[[Contents, bytes], Portioned],
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
        return self._shelf.find(_key_of(version)) is not None

    def at_hand(self, version: Version) -> Portioned | None:
        """The version if it is open now; opens nothing and waits for nobody."""
        return self._shelf.ask_for(_key_of(version))

    def opened(self, version: Version) -> Portioned:
        """The open version; raises ArtefactBroken or ArtefactMissing if it cannot be opened."""
        key = _key_of(version)
        return self._shelf.ask_for(key) or self._opened_in_turn(key, version)

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

    def _opened_in_turn(self, key: Key, version: Version) -> Portioned:
        with self._lock:
            found = self._shelf.find(key)
            turn = None if found else self._opening.setdefault(key, Lock())
        if found:
            return found.predictor
        assert turn is not None
        with turn:
            return self._open_once(key, version).predictor

    def _open_once(self, key: Key, version: Version) -> _Open:
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


def _key_of(version: Version) -> Key:
    # Read as it lies there: one property after another costs as much again as the look-up.
    manifest = version.manifest
    return manifest.tenant_id, version.id, manifest.contents.files[MODEL].digest
