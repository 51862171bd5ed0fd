"""An executor that opens nothing: a dictionary of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from models.errors import PredictionFailed
from models.portions import Portioned
from models.tables import Features
from models.versions import Version

Answer = Callable[[str, Features], NDArray[Any]]
Key = tuple[str, str, str]


class FakeExecutor:
    """Answers with what `open` makes of a version, as soon as it is asked."""

    def __init__(self, open: Callable[[Version], Answer]) -> None:
        self._open = open
        self._answers: dict[Key, Answer] = {}

    def answer(
        self, version: Version, method: str, features: Features, *, seconds: float
    ) -> NDArray[Any]:
        """Answer each row."""
        self.warm(version)
        try:
            return self._answers[_key(version)](method, features)
        except ArithmeticError as error:
            raise PredictionFailed(version.model, version.number, repr(error)) from error

    def warm(self, version: Version) -> None:
        """Open a version."""
        self._answers.setdefault(_key(version), self._open(version))

    def is_warm(self, version: Version) -> bool:
        """Say whether it is open."""
        return _key(version) in self._answers

    def at_hand(self, _version: Version) -> Portioned | None:
        """Nothing: what it opens cannot say how long it takes."""
        return None

    def forget(self, tenant_id: str) -> None:
        """Close a tenant's."""
        for key in [key for key in self._answers if key[0] == tenant_id]:
            del self._answers[key]


def _key(version: Version) -> Key:
    return version.tenant_id, version.id, version.digest
