"""What a worker does beside answering: follow the epoch, keep usage, retire what has expired."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog

from config.errors import CounterStoreDown
from service import allocator
from service.bootstrap import TRACES_SECONDS, Platform
from service.operations import maintenance, prediction_logs, routing, schedules
from service.pidfile import signal_reload

EPOCH_SECONDS: Final = 1.0
TICKS_PER_FLUSH: Final = 5
TICKS_PER_FOLLOW: Final = 5
TICKS_PER_TRIM: Final = 5
TICKS_PER_LOOK: Final = 30
TICKS_PER_TIDY: Final = 600

log = structlog.get_logger("sallyport.upkeep")


def _renew_certificate(platform: Platform) -> None:
    """Renew a certificate that is due, and have every listener take it up."""
    if maintenance.renew_certificate(platform):
        signal_reload(platform.settings)


def _give_back_memory(_platform: Platform) -> None:
    allocator.give_back()


def _look(platform: Platform) -> None:
    platform.telemetry.look()


class Upkeep:
    """A daemon thread; of all workers of an instance one at a time holds the lock and tidies."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        self._removal: threading.Thread | None = None
        self._lock: int | None = None
        self._shared = True
        self._unbounded: int | None = None  # the change after which no route had bounds

    def start(self) -> None:
        """Begin in the background."""
        self._thread.start()

    def stop(self) -> None:
        """End and flush once more."""
        self._stop.set()
        self._thread.join()
        self._attempt(maintenance.flush_usage)
        self._attempt(routing.write_traffic)
        self._attempt(_look)
        self._platform.tracing.close(TRACES_SECONDS)

    def _run(self) -> None:
        tick = 0
        while not self._stop.wait(EPOCH_SECONDS):
            tick += 1
            self._attempt(maintenance.follow_epoch)
            self._attempt(self._follow_counters)
            self._attempt(_look)
            self._attempt(routing.write_traffic)
            if tick == TICKS_PER_FLUSH:  # the one before it may have been killed before it could
                self._attempt(maintenance.flush_usage)
            elif tick % TICKS_PER_FLUSH == 0:
                self._attempt(maintenance.flush_recent_usage)
            if tick % TICKS_PER_TRIM == 0:
                self._attempt(_give_back_memory)
            if self._leads():
                self._lead(tick)

    def _lead(self, tick: int) -> None:
        """What one worker does for all."""
        self._attempt(self._keep_bounds)
        if tick % TICKS_PER_FOLLOW == 0:
            self._attempt(maintenance.follow_hosts)
            self._attempt(maintenance.follow_jobs)
        if tick % TICKS_PER_LOOK == 0:
            self._attempt(schedules.announce_due)
        if tick % TICKS_PER_TIDY == 1:
            self._attempt(maintenance.tidy)
            self._attempt(_renew_certificate)
            self._attempt(maintenance.follow_certificate)
            self._remove_expired_logs()

    def _remove_expired_logs(self) -> None:
        """Remove them beside the rest of the upkeep, which a slow store must not hold up."""
        if self._removal is None or not self._removal.is_alive():
            removal = partial(self._attempt, prediction_logs.remove_expired)
            self._removal = threading.Thread(target=removal, name="removal", daemon=True)
            self._removal.start()

    def _attempt(self, work: Callable[[Platform], None]) -> None:
        # The next tick tries again; a store that is down must not end the upkeep of the rest.
        try:
            work(self._platform)
        except CounterStoreDown as error:
            log.info("upkeep waits for the counter store", work=work.__name__, reason=str(error))
        except Exception:
            log.exception("upkeep failed", work=work.__name__)

    def _follow_counters(self, platform: Platform) -> None:
        """Try a store that is down, and put each change between it and the local share on record.

        Without this a worker that nobody calls would not notice that the store is back.
        """
        shared = platform.counters.probe()
        if shared != self._shared:
            maintenance.record_mode(platform, shared=shared)
            self._shared = shared

    def _keep_bounds(self, platform: Platform) -> None:
        """Look at the routes with bounds; where there were none, there are none until a change."""
        epoch = platform.epoch.current()
        if epoch != self._unbounded:
            self._unbounded = None if routing.keep_bounds(platform) else epoch

    def _leads(self) -> bool:
        """Hold the instance's lock; the kernel frees it when its holder dies."""
        if self._lock is None:
            folder = self._platform.settings.state
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = folder / "upkeep.lock"
            self._lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
