"""What a dialect reads from a request, before it is known which version answers."""

from __future__ import annotations

from typing import Protocol

from models.names import Reference
from models.signature import Signature
from models.tables import Features


class Asked(Protocol):
    """Rows, of which model and version, and by which of its methods.

    `len()` is the number of rows. Until the version is known, rows wait as they were parsed.
    """

    @property
    def model(self) -> str | None:
        """The model's name; None is the tenant's default."""
        ...

    @property
    def version(self) -> Reference:
        """A version's number or alias; None is whatever the model's route says."""
        ...

    def __len__(self) -> int: ...

    def methods(self, signature: Signature) -> tuple[str, ...]:
        """The methods asked for, at least one; raises MethodUnknown for one that is not there."""
        ...

    def bound(self, signature: Signature) -> Features:
        """The rows as the model takes them; raises InputRefused where they do not fit."""
        ...
