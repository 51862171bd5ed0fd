"""Traces: what a sampled call was spent on, for an OpenTelemetry collector (extra "otel").

A call costs nothing but a few marks while it runs. Whether it becomes a trace is decided when it
has been answered: then its spans are made from the marks, and put into a bounded queue that a
thread of its own empties. What does not fit, or is not taken, is counted and forgotten.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from config.errors import ConfigurationError
from config.settings import Settings
from config.spans import CURRENT, Exporter, Span, Trace, read_caller, span_of, traceresponse
from config.telemetry import Telemetry

# Traces that nobody drew: callers ask for them, and failures deserve them. In one process.
ASKED_PER_SECOND: Final = 1.0
ASKED_AT_ONCE: Final = 10.0


class Budget:
    """So many a second, and as many at once."""

    def __init__(
        self,
        *,
        per_second: float = ASKED_PER_SECOND,
        at_once: float = ASKED_AT_ONCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second, self._at_once, self._clock = per_second, at_once, clock
        self._left, self._seen = at_once, clock()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether there was one left."""
        with self._lock:
            now = self._clock()
            earned = (now - self._seen) * self._per_second
            self._left, self._seen = min(self._at_once, self._left + earned), now
            if self._left < 1:
                return False
            self._left -= 1
            return True


class Tracing:
    """Makes traces of some of the calls of this process; nothing where no collector is set.

    A share of all calls is drawn by this process: nothing that a caller sends can change the draw.
    A known caller's sampled flag, and a failure here, are followed within a budget.
    """

    def __init__(self, settings: Settings, telemetry: Telemetry, *, instance: str) -> None:
        self._settings, self._telemetry, self._instance = settings, telemetry, instance
        self.is_on = bool(settings.otel_endpoint)
        self._budget = Budget()
        self._exporter: Exporter | None = None
        self._opening = threading.Lock()

    def open(self) -> None:
        """Import what is slow to, in the process that serves; raises ConfigurationError."""
        if self.is_on:
            self._opened()

    def begin(self, traceparent: str | None, tracestate: str | None) -> Trace | None:
        """Begin a call: what is done for it in this context is noted with it from now on."""
        caller = read_caller(traceparent, tracestate)
        trace = None
        if self.is_on or caller is not None:
            trace_id = caller.trace_id if caller is not None else secrets.randbits(128) or 1
            trace = Trace(trace_id, caller)
        CURRENT.set(trace if self.is_on else None)
        return trace

    def draw(self) -> Trace | None:
        """Begin a call that has ended, if it is of the share that is drawn."""
        if not self.is_on or not self._draws():
            return None
        return Trace(secrets.randbits(128) or 1, None, is_drawn=True)

    def end(
        self, trace: Trace, span: Span, stages: Mapping[str, float], *, known: bool
    ) -> str | None:
        """Export the call if it is sampled, and tell whose trace it is: a `traceresponse`.

        `stages` are seconds in the order in which they were spent, from the call's beginning on.
        """
        CURRENT.set(None)
        if not self.is_on or not self._samples(trace, failed=span.failed, known=known):
            trace.ended = True
            return None
        exporter = self._opened()
        trace.exporter, trace.parent = exporter, exporter.root(trace, span)
        at, computing = span.began, trace.parent
        for stage, seconds in stages.items():
            ended = at + round(seconds * 1e9)
            context = exporter.child(trace.parent, Span(stage, at, ended, {}))
            computing = context if stage == "compute" else computing
            at = ended
        trace.ended = True
        for work in trace.works:
            exporter.child(trace.parent if work.name == "shadow" else computing, span_of(work))
        return traceresponse(trace.parent)

    def close(self, seconds: float) -> None:
        """Give what waits so many seconds to leave."""
        if self._exporter is not None:
            self._exporter.close(seconds)

    def _samples(self, trace: Trace, *, failed: bool, known: bool) -> bool:
        if trace.is_drawn or self._draws():
            return True
        asked = known and trace.caller is not None and trace.caller.sampled
        return (asked or failed) and self._budget.take()

    def _draws(self) -> bool:
        return random.random() < self._settings.otel_sample_ratio  # noqa: S311 - guards nothing

    def _opened(self) -> Exporter:
        if self._exporter is None:
            with self._opening:
                if self._exporter is None:
                    self._exporter = self._connect()
        return self._exporter

    def _connect(self) -> Exporter:
        try:
            from config.collector import Collector  # an extra, and slow to import
        except ImportError as error:
            raise ConfigurationError(
                "SALLYPORT_OTEL_ENDPOINT",
                "traces need the extra otel, which this platform lacks",
                "Install it, see docs/how-to/extras.md, or leave the variable out",
            ) from error
        return Collector(self._settings, self._telemetry, instance=self._instance)
