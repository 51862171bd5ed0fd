"""The threads of a worker that turn uploads into versions, and train, each one at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

import structlog
from sqlalchemy.exc import OperationalError

from service.bootstrap import Platform
from service.operations import intakes, training_jobs
from service.operations.errands import Errand

POLL_SECONDS: Final = 0.5
TRAININGS_POLL_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 2.0

log = structlog.get_logger("sallyport.intakes")


# Takes the next job of a kind, if there is one; it is told when this process is to end.
Next = Callable[[Platform, threading.Event], Errand | None]


class Runner:
    """Daemon threads: every worker has a few, and whichever is free takes the next job.

    One of those that are free looks for it, for all: each look takes the interpreter from calls.
    """

    def __init__(
        self,
        platform: Platform,
        next_errand: Next,
        *,
        name: str,
        threads: int,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._platform = platform
        self._next_errand = next_errand
        self._poll_seconds = poll_seconds
        self._stop = threading.Event()
        self._looking = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True)
            for number in range(threads)
        ]

    def start(self) -> None:
        """Begin in the background."""
        for thread in self._threads:
            thread.start()

    def stop(self, *, seconds: float) -> None:
        """End; a job under way is given back, or found by another worker when its lease ends."""
        self._stop.set()
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._looking:
                    errand = self._next()
                if errand is not None:
                    errand.run()
            except OperationalError as error:
                log.info("jobs wait for the database", reason=str(error.orig))
                self._stop.wait(RETRY_SECONDS)
            except Exception:
                log.exception("taking a job failed")
                self._stop.wait(RETRY_SECONDS)

    def _next(self) -> Errand | None:
        """Wait for a job and take it; None if this is to end first."""
        while not self._stop.is_set():
            errand = self._next_errand(self._platform, self._stop)
            if errand is not None:
                return errand
            self._stop.wait(self._poll_seconds)
        return None


class IntakeRunner(Runner):
    """Takes in what was uploaded."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform, intakes.next_errand, name="intakes", threads=intakes.RUNNERS)


class TrainingRunner(Runner):
    """Trains: the work itself is in a process of the sandbox, which a thread waits for."""

    def __init__(self, platform: Platform) -> None:
        threads = platform.settings.training_runners
        super().__init__(
            platform,
            training_jobs.next_errand,
            name="trainings",
            threads=threads,
            poll_seconds=TRAININGS_POLL_SECONDS,
        )
