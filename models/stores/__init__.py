"""Where sealed files are kept: a folder of this machine, or a bucket that many machines share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Store(Protocol):
    """Keeps files under addresses `<tenant>/<name>`; whoever calls has checked the address.

    Every operation raises StoreUnavailable if the store does not do as asked, within a bounded
    time, and may be repeated.
    """

    @property
    def name(self) -> str:
        """What it is and where, for people; without a secret."""
        ...

    def put(self, address: str, content: bytes) -> None:
        """Store a file durably, in place of one that is there: all of it or nothing."""
        ...

    def get(self, address: str) -> bytes | None:
        """The whole file, or None if it is not there."""
        ...

    def holds(self, address: str) -> bool:
        """Say whether the file is there, without reading it."""
        ...

    def delete(self, address: str) -> None:
        """Remove the file, if it is there."""
        ...

    def delete_tenant(self, tenant_id: str) -> None:
        """Remove every file of a tenant."""
        ...

    def addresses(self, tenant_id: str) -> Iterator[str]:
        """The addresses of a tenant's files, in no order."""
        ...
