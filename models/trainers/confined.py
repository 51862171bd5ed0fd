"""Trainers in the sandbox: workshops of a parent that has imported what trains."""

from __future__ import annotations

from dataclasses import dataclass
from socket import socket
from typing import Final

from models.hosting.client import HostsClient, Workshop
from models.hosting.links import Access

MEMORY_BYTES: Final = 4 * 1024**3


@dataclass(frozen=True, slots=True)
class ConfinedTrainer:
    """A trainer at the other end of a workshop's connection."""

    client: HostsClient
    workshop: Workshop
    confined: bool = True

    @property
    def connection(self) -> socket:
        """The way to it."""
        return self.workshop.connection

    def fate(self) -> str:
        """How it ended, as its parent saw it."""
        return self.client.fate_of(self.workshop)

    def close(self) -> None:
        """Hang up: its parent ends what works for nobody."""
        self.workshop.connection.close()


class ConfinedTrainers:
    """Trainers of one parent, for all threads of this process."""

    def __init__(self, access: Access, *, memory_bytes: int = MEMORY_BYTES) -> None:
        self._client = HostsClient(access)
        self._memory = memory_bytes

    def open(self, *, seconds: float) -> ConfinedTrainer:
        """Have one forked; the first waits until its parent has imported what trains."""
        workshop = self._client.workshop(memory_bytes=self._memory, seconds=seconds)
        return ConfinedTrainer(self._client, workshop)

    def close(self) -> None:
        """Hang up; a parent of this process's own ends with its trainers."""
        self._client.close()
