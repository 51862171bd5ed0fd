"""How many bytes that callers have sent lie in memory, and whose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Final

HELD: Final = 16  # of the largest size
HELD_EACH: Final = 8  # of one caller: nobody else's find the memory full


class MemoryFull(Exception):
    """Raised when bytes find no room among those that wait or are answered."""


class Memory:
    """Counts bytes from when they have come until they are answered; `what` names them."""

    def __init__(
        self, largest: int, *, what: str, held: int = HELD, held_each: int = HELD_EACH
    ) -> None:
        self._most = held * largest
        self._most_each = held_each * largest
        self._what = what
        self._of: Counter[Hashable] = Counter()
        self.held = 0

    def take(self, lane: Hashable, size: int, *, leaving: int = 0) -> None:
        """Hold room for so many bytes, to be given back; raises MemoryFull.

        What it is `leaving` stays free: of all the room, and of the lane's own.
        """
        if self._of[lane] + size > self._most_each - leaving:
            raise MemoryFull(f"too many of your {self._what} are on their way")
        if self.held + size > self._most - leaving:
            raise MemoryFull(f"too many {self._what} are on their way")
        self.held += size
        self._of[lane] += size

    def give_back(self, lane: Hashable, size: int) -> None:
        """Leave the room of so many bytes."""
        self.held -= size
        self._of[lane] -= size
        if not self._of[lane]:
            del self._of[lane]
