"""The threads of a worker that turn uploads into versions, each one at a time."""

from __future__ import annotations

import threading
import time
from typing import Final

import structlog
from sqlalchemy.exc import OperationalError

from service.bootstrap import Platform
from service.operations import intakes

POLL_SECONDS: Final = 0.25
RETRY_SECONDS: Final = 2.0

log = structlog.get_logger("sallyport.intakes")


class IntakeRunner:
    """Daemon threads: every worker has a few, and whichever is free takes the next job."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name=f"intakes-{number}", daemon=True)
            for number in range(intakes.RUNNERS)
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
        pause = POLL_SECONDS
        while not self._stop.wait(pause):
            pause = self._next()

    def _next(self) -> float:
        """Work on a job, if there is one; how long to wait before the next."""
        try:
            return 0.0 if intakes.work_on_next(self._platform, self._stop) else POLL_SECONDS
        except OperationalError as error:
            log.info("intakes wait for the database", reason=str(error.orig))
        except Exception:
            log.exception("taking a job failed")
        return RETRY_SECONDS
