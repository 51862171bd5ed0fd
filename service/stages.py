"""What the time of one call is spent on, from its first byte to its answer."""

from __future__ import annotations

import time


class Stages:
    """A stopwatch that is told, at the end of each stage, what the stage was."""

    __slots__ = ("_since", "began", "spent")

    def __init__(self) -> None:
        self.began = self._since = time.perf_counter()
        self.spent: dict[str, float] = {}  # seconds, by stage, in the order of their first end

    def done(self, stage: str) -> None:
        """Count the time since the last stage ended as this one's."""
        now = time.perf_counter()
        self.spent[stage] = self.spent.get(stage, 0.0) + now - self._since
        self._since = now

    @property
    def total(self) -> float:
        """Seconds from the beginning until now."""
        return time.perf_counter() - self.began
