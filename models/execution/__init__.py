"""Executors: where a version is run."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from models.tables import Features
from models.versions import Version


class Executor(Protocol):
    """Answers rows with a version; an executor is one module here.

    Whatever an executor keeps is keyed by tenant, version and digest together, so that no tenant
    is ever answered from what was opened for another.
    """

    def answer(
        self, version: Version, method: str, features: Features, *, seconds: float
    ) -> NDArray[Any]:
        """Answer each row within so many seconds, in the dtype of the model's own answers.

        Raises PredictionFailed where the model fails on the rows, and where it is run elsewhere
        also what may go wrong there.
        """
        ...

    def warm(self, version: Version) -> None:
        """Open a version before its first prediction; raises what keeps it from opening."""
        ...

    def is_warm(self, version: Version) -> bool:
        """Say whether a version would answer without being opened first."""
        ...

    def forget(self, tenant_id: str) -> None:
        """Close whatever is open of a tenant."""
        ...
