"""What a call was spent on, as an OpenTelemetry collector is told it: values alone.

The caller's part of them is W3C Trace Context: https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

Attributes = Mapping[str, str | int | float | bool]

TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
TRACESTATE: Final = re.compile(r"[\x20-\x7e\t]{1,512}")
SAMPLED: Final = 1
MOST_WORKS: Final = 32  # of one call: a bulk call asks its host again and again


@dataclass(frozen=True, slots=True)
class Caller:
    """The span of the caller's that a call is part of (W3C Trace Context)."""

    trace_id: int
    span_id: int
    sampled: bool
    state: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """Something done for a call elsewhere, or afterwards; the end is by `time.perf_counter`."""

    name: str
    ended: float
    seconds: float
    attributes: Attributes


class Exporter(Protocol):
    """What takes finished spans; implemented over OpenTelemetry's SDK."""

    def root(self, trace: Trace, span: Span) -> Any:
        """Export the span of a whole call, and return its context for those below it."""

    def child(self, parent: Any, span: Span) -> Any:
        """Export a span below another, and return its context."""

    def close(self, seconds: float) -> None:
        """Give what waits so many seconds to leave."""


@dataclass(frozen=True, slots=True)
class Span:
    """A span as it was: times are Unix nanoseconds."""

    name: str
    began: int
    ended: int
    attributes: Attributes
    failed: bool = False


@dataclass(slots=True)
class Trace:
    """What is noted of a call while it runs, and afterwards where its spans belong."""

    trace_id: int
    caller: Caller | None
    works: list[Work] = field(default_factory=list)
    exporter: Exporter | None = None
    parent: Any = None  # the context of the call's own span, if it was sampled
    ended: bool = False
    is_drawn: bool = False  # already, of all calls

    def note(self, name: str, seconds: float, attributes: Attributes) -> None:
        """Note work that ended now; from any thread, also after the call."""
        work = Work(name, time.perf_counter(), seconds, attributes)
        if not self.ended:
            if len(self.works) < MOST_WORKS:
                self.works.append(work)
        elif self.exporter is not None:
            self.exporter.child(self.parent, span_of(work))


CURRENT: Final[ContextVar[Trace | None]] = ContextVar("trace", default=None)


def read_caller(traceparent: str | None, tracestate: str | None = None) -> Caller | None:
    """The caller's span, or None where there is none or it is malformed: that harms no call."""
    match = TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest) or not int(trace_id, 16) * int(span_id, 16):
        return None
    state = (tracestate or "").strip()
    return Caller(
        int(trace_id, 16),
        int(span_id, 16),
        sampled=bool(int(flags, 16) & SAMPLED),
        state=state if TRACESTATE.fullmatch(state) else "",
    )


def span_of(work: Work) -> Span:
    """The span of work done for a call."""
    ended = _unix_nanoseconds(work.ended)
    return Span(work.name, ended - round(work.seconds * 1e9), ended, work.attributes)


def traceresponse(context: Any) -> str:
    """The header that tells a caller the span of its call, in the form of `traceparent`."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


def note(name: str, seconds: float, **attributes: str | int | float | bool) -> None:
    """Note work that ended now for the call of this context, if it may become a trace."""
    trace = CURRENT.get()
    if trace is not None:
        trace.note(name, seconds, attributes)


def span_between(name: str, seconds: float, attributes: Attributes, *, failed: bool) -> Span:
    """The span of what ended now and took so many seconds."""
    ended = time.time_ns()
    return Span(name, ended - round(seconds * 1e9), ended, attributes, failed)


def _unix_nanoseconds(moment: float) -> int:
    return time.time_ns() - round((time.perf_counter() - moment) * 1e9)
