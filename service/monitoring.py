"""How each program that answers calls shows what it is like: its queues, and what it takes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.telemetry import NO_DIALECT, Telemetry
from service.lanes import Crowd
from service.problems import Problem

OWN: Final = Path("/proc/self")
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Load:
    """What lies between a socket and the application: calls by lane, bytes, uploads."""

    crowds: Mapping[str, Crowd]
    bodies_bytes: int = 0
    spools: int = 0


class Monitor:
    """Shows one process of a program; to be told what happens before the application is asked."""

    def __init__(self, telemetry: Telemetry, program: str) -> None:
        self._telemetry = telemetry
        self._program = program
        self._cpu = telemetry.total(telemetry.cpu, program)
        telemetry.processes.labels(program).set(1)
        telemetry.watch(self._show_process)

    def watch(self, load: Callable[[], Load]) -> None:
        """Show the load from now on; it is asked for from another thread."""
        self._telemetry.watch(lambda: self._show(load()))

    def waited(self, lane: str) -> Callable[[float], None]:
        """What is to be told how long a call of the lane has waited."""
        return self._telemetry.wait_seconds.labels(self._program, lane).observe

    def refused(self, problem: Problem) -> None:
        """Count a request that no application has seen."""
        self._telemetry.requests.labels(self._program, "any", str(problem.status)).inc()
        self._telemetry.refusals.labels(problem.name, NO_DIALECT).inc()

    def _show(self, load: Load) -> None:
        telemetry = self._telemetry
        for lane, crowd in load.crowds.items():
            telemetry.waiting.labels(self._program, lane).set(crowd.waiting)
            telemetry.busy.labels(self._program, lane).set(crowd.busy)
            telemetry.threads.labels(self._program, lane).set(crowd.threads)
        telemetry.bodies.labels(self._program).set(load.bodies_bytes)
        telemetry.spools.labels(self._program).set(load.spools)

    def _show_process(self) -> None:
        self._cpu.show(time.process_time())
        if OWN.exists():  # Linux
            pages = int((OWN / "statm").read_text().split()[1])
            self._telemetry.resident.labels(self._program).set(pages * PAGE_BYTES)
            descriptors = sum(1 for _ in (OWN / "fd").iterdir())
            self._telemetry.descriptors.labels(self._program).set(descriptors)
