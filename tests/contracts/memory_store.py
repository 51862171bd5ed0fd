"""A store in memory: the fake beside the real ones, held to the same contract."""

from __future__ import annotations

from collections.abc import Iterator


class MemoryStore:
    """Keeps files in a dictionary."""

    name = "memory"

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def put(self, address: str, content: bytes) -> None:
        """Keep the file."""
        self.files[address] = bytes(content)

    def get(self, address: str) -> bytes | None:
        """The file, if it is there."""
        return self.files.get(address)

    def holds(self, address: str) -> bool:
        """Say whether it is there."""
        return address in self.files

    def delete(self, address: str) -> None:
        """Forget it."""
        self.files.pop(address, None)

    def delete_tenant(self, tenant_id: str) -> None:
        """Forget everything of a tenant."""
        for address in list(self.addresses(tenant_id)):
            del self.files[address]

    def addresses(self, tenant_id: str) -> Iterator[str]:
        """What is kept of a tenant."""
        return iter([address for address in self.files if address.startswith(f"{tenant_id}/")])
