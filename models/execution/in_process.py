"""Runs versions within the web worker: compiled models, and what an operator imported here."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

from numpy.typing import NDArray

from models.compilation import Predictor
from models.errors import PredictionFailed
from models.manifest import Contents
from models.tables import Features
from models.versions import Version

Key = tuple[str, str, str]  # tenant, version, digest: none of them alone says whose answer it is


@dataclass(frozen=True, slots=True)
class _Open:
    predictor: Predictor
    size: int


class InProcessExecutor:
    """Keeps the versions used last open, within a budget of artefact bytes.

    `fetch` returns a version's verified artefact, `opener` opens it. Many threads may ask for a
    version at once; one of them opens it, the others wait. The newest stays even if it alone is
    over the budget.
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
        self._open: OrderedDict[Key, _Open] = OrderedDict()
        self._size = 0
        self._opening: dict[Key, Lock] = {}
        self._lock = Lock()

    def answer(
        self, version: Version, method: str, features: Features, *, seconds: float
    ) -> NDArray[Any]:
        """Answer rows that the version's signature has let pass.

        What is compiled takes microseconds a row and cannot be interrupted: `seconds` has no say.
        """
        predictor = self.opened(version)
        try:
            return predictor.answer(method, features)
        except Exception as error:
            raise PredictionFailed(version.model, version.number, repr(error)) from error

    def warm(self, version: Version) -> None:
        """Open a version before its first prediction."""
        self.opened(version)

    def is_warm(self, version: Version) -> bool:
        """Say whether the version is open."""
        with self._lock:
            return (version.tenant_id, version.id, version.digest) in self._open

    def opened(self, version: Version) -> Predictor:
        """The open version; raises ArtefactBroken or ArtefactMissing if it cannot be opened."""
        key = (version.tenant_id, version.id, version.digest)
        with self._lock:
            found = self._find(key)
            turn = None if found else self._opening.setdefault(key, Lock())
        if found:
            return found.predictor
        assert turn is not None
        with turn:
            return self._open_once(key, version).predictor

    def forget(self, tenant_id: str) -> None:
        """Close every version of a tenant."""
        with self._lock:
            for key in [key for key in self._open if key[0] == tenant_id]:
                self._size -= self._open.pop(key).size

    def _find(self, key: Key) -> _Open | None:
        found = self._open.get(key)
        if found:
            self._open.move_to_end(key)
        return found

    def _open_once(self, key: Key, version: Version) -> _Open:
        with self._lock:
            found = self._find(key)
        if found:
            return found
        try:
            data = self._fetch(version)
            opened = _Open(self._opener(version.manifest.contents, data), len(data))
            self._keep(key, opened)
        finally:
            with self._lock:
                self._opening.pop(key, None)
        return opened

    def _keep(self, key: Key, opened: _Open) -> None:
        with self._lock:
            self._open[key] = opened
            self._size += opened.size
            while self._size > self._budget and len(self._open) > 1:
                _, oldest = self._open.popitem(last=False)
                self._size -= oldest.size
