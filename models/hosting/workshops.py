"""Workshops: throwaway children that take one file apart, and end."""

from __future__ import annotations

import select
import socket
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from models.hosting.confinement import Confinement, Level
from models.hosting.nursery import Nursery
from models.hosting.offspring import Offspring

MOST_WORKSHOPS: Final = 16
MOST_READERS: Final = 32
MOST_FATES: Final = 64
NICENESS: Final = 10  # predictions go before intakes
READERS_NICENESS: Final = 5  # of a few rows before those of many


@dataclass(eq=False)
class Workshop:
    """A child at work, until when it may be, and the socket on which its customer waits."""

    process: Offspring
    deadline: float
    bench: socket.socket  # kept to notice that the customer has left; nothing is read from it

    def is_deserted(self) -> bool:
        """Whether the customer has closed the other end."""
        poller = select.poll()
        poller.register(self.bench, 0)
        return bool(poller.poll(0))


class Workshops:
    """All workshops of one kind of one parent."""

    def __init__(
        self,
        nursery: Nursery,
        *,
        level: Level,
        threads: bool,
        most: int = MOST_WORKSHOPS,
        niceness: int = NICENESS,
    ) -> None:
        self._nursery = nursery
        self._level = level
        self._threads = threads
        self._most = most
        self._niceness = niceness
        self.living: list[Workshop] = []
        self.fates: OrderedDict[int, str] = OrderedDict()  # of the last that ended, by their pids

    @property
    def is_full(self) -> bool:
        """Whether no further one may be opened now."""
        return len(self.living) >= self._most

    def open(self, *, memory_bytes: int, seconds: float) -> tuple[Workshop, socket.socket]:
        """Have a workshop forked; raises OSError. The socket is its customer's."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        confinement = Confinement(
            memory_bytes=memory_bytes,
            threads=self._threads,
            niceness=self._niceness,
            cpu_seconds=int(seconds) + 1,
            level=self._level,
        )
        try:
            process = self._nursery.bear(confinement, {"socket": theirs.fileno()})
        except OSError:
            ours.close()
            theirs.close()
            raise
        workshop = Workshop(process, time.monotonic() + seconds, theirs)
        self.living.append(workshop)
        return workshop, ours

    def ended(self, workshop: Workshop) -> str:
        """Collect a workshop whose process has ended; its customer sees the connection end."""
        self.living.remove(workshop)
        fate = workshop.process.bury()
        self.fates.pop(workshop.process.pid, None)
        self.fates[workshop.process.pid] = fate
        if len(self.fates) > MOST_FATES:
            self.fates.popitem(last=False)
        workshop.bench.close()  # only now: who sees the connection end may ask for the fate
        return fate

    def look_after(self) -> None:
        """End what has taken too long, or works for nobody."""
        now = time.monotonic()
        for workshop in self.living:
            if now >= workshop.deadline:
                workshop.process.kill("it took longer than it may")
            elif workshop.is_deserted():
                workshop.process.kill("nobody waits for it")

    def describe(self) -> list[dict[str, Any]]:
        """Every workshop, for a report."""
        return [
            {"pid": each.process.pid, "age_seconds": round(each.process.age, 3)}
            for each in self.living
        ]
