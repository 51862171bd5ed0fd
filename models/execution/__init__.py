"""Executors: where a version is run."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.versions import Version


class Executor(Protocol):
    """Answers rows with a version; an executor is one module here.

    Whatever an executor keeps is keyed by tenant, version and digest together, so that no tenant
    is ever answered from what was opened for another.
    """

    def predict(self, version: Version, features: NDArray[np.float64]) -> NDArray[Any]:
        """Answer each row, in the dtype of the model's own answers; raises PredictionFailed."""
        ...

    def warm(self, version: Version) -> None:
        """Open a version before its first prediction."""
        ...

    def forget(self, tenant_id: str) -> None:
        """Close whatever is open of a tenant."""
        ...
