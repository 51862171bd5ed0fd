"""How many bytes of messages lie in memory, and whose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Final

MESSAGES: Final = 16  # of the largest size
MESSAGES_EACH: Final = 8  # of one caller: nobody else's find the memory full


class MemoryFull(Exception):
    """Raised when a message finds no room among those that wait or are answered."""


class Memory:
    """Counts the bytes of messages from when they have come until they are answered."""

    def __init__(self, largest: int) -> None:
        self._most = MESSAGES * largest
        self._most_each = MESSAGES_EACH * largest
        self._of: Counter[Hashable] = Counter()
        self.held = 0

    def take(self, lane: Hashable, size: int) -> None:
        """Hold room for a message, to be given back; raises MemoryFull."""
        if self._of[lane] + size > self._most_each:
            raise MemoryFull("too many of your messages are on their way")
        if self.held + size > self._most:
            raise MemoryFull("too many messages are on their way")
        self.held += size
        self._of[lane] += size

    def give_back(self, lane: Hashable, size: int) -> None:
        """Leave the room of a message."""
        self.held -= size
        self._of[lane] -= size
        if not self._of[lane]:
            del self._of[lane]
