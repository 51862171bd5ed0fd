"""Sends spans to an OpenTelemetry collector, over OTLP and HTTP (extra "otel").

Nothing here waits for the collector but a thread of its own: the queue in front of it is bounded,
and what does not fit is dropped and counted.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any, Final

import requests
import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace.span import TraceState

from config.release import VERSION
from config.settings import Settings
from config.spans import Span, Trace
from config.telemetry import Telemetry

PATH: Final = "/v1/traces"
MOST_WAITING: Final = 4096  # spans
BATCH: Final = 512
EXPORT_SECONDS: Final = 5.0
DELAY_MILLISECONDS: Final = 1000
NAME: Final = "sallyport"

log = structlog.get_logger("sallyport.traces")


class Collector:
    """Implements Exporter; one for each process, made after it was forked."""

    def __init__(self, settings: Settings, telemetry: Telemetry, *, instance: str) -> None:
        # It tells every failure, with the address; `_Sender` tells when that begins and ends.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._ids = _Ids()
        self._queue = _Queue(_Sender(settings, telemetry), telemetry)
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,  # what comes here is sampled already
            resource=Resource(
                {
                    "service.name": NAME,
                    "service.version": VERSION,
                    "service.instance.id": instance,
                }
            ),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(self._queue)
        self._tracer = self._provider.get_tracer(NAME, VERSION)

    def root(self, trace: Trace, span: Span) -> Any:
        """Export the span of a whole call, below its caller's if it has named one."""
        self._ids.trace_id.value = trace.trace_id
        caller = None
        if trace.caller is not None:
            caller = SpanContext(
                trace.caller.trace_id,
                trace.caller.span_id,
                is_remote=True,
                trace_flags=TraceFlags(TraceFlags.SAMPLED),
                trace_state=TraceState.from_header([trace.caller.state]),
            )
        return self._export(caller, span, SpanKind.SERVER)

    def child(self, parent: Any, span: Span) -> Any:
        """Export a span below another."""
        return self._export(parent, span, SpanKind.INTERNAL)

    def close(self, seconds: float) -> None:
        """Give what waits so many seconds to leave, where the library would wait for thirty."""
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(seconds)

    def _export(self, parent: SpanContext | None, span: Span, kind: SpanKind) -> SpanContext:
        context = None if parent is None else set_span_in_context(NonRecordingSpan(parent))
        made = self._tracer.start_span(
            span.name, context, kind, dict(span.attributes), start_time=span.began
        )
        if span.failed:
            made.set_status(Status(StatusCode.ERROR))
        made.end(span.ended)
        return made.get_span_context()


class _Ids(RandomIdGenerator):
    """Gives a trace the identifier that its log lines carry already."""

    def __init__(self) -> None:
        self.trace_id = threading.local()

    def generate_trace_id(self) -> int:
        trace_id: int = self.trace_id.value
        return trace_id


class _Queue(BatchSpanProcessor):
    """Drops the newest where the library would drop the oldest, warn of it, and not count it."""

    def __init__(self, sender: _Sender, telemetry: Telemetry) -> None:
        super().__init__(
            sender,
            max_queue_size=MOST_WAITING,
            max_export_batch_size=BATCH,
            schedule_delay_millis=DELAY_MILLISECONDS,
        )
        self._sender = sender
        self._dropped = telemetry.spans.labels("dropped")

    def on_end(self, span: ReadableSpan) -> None:
        if self._sender.enter():
            super().on_end(span)
        else:
            self._dropped.inc()


class _Sender(SpanExporter):
    """The library's exporter, whose outcomes are counted."""

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        session = requests.Session()
        session.trust_env = False  # neither a proxy nor a .netrc of the environment
        self._exporter = OTLPSpanExporter(
            endpoint=settings.otel_endpoint.rstrip("/") + PATH,
            certificate_file=settings.otel_ca_file or None,
            headers=dict(pair.split("=", 1) for pair in settings.otel_headers.split(",") if pair),
            timeout=EXPORT_SECONDS,
            session=session,
        )
        self._spans = telemetry.spans
        self._works = True
        self._waiting = 0
        self._lock = threading.Lock()

    def enter(self) -> bool:
        """Whether there is room for one more."""
        with self._lock:
            if self._waiting >= MOST_WAITING:
                return False
            self._waiting += 1
            return True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch, and say when the collector begins and ceases to take them."""
        with self._lock:
            self._waiting -= len(spans)
        result = self._exporter.export(spans)
        works = result is SpanExportResult.SUCCESS
        self._spans.labels("exported" if works else "failed").inc(len(spans))
        if works != self._works:
            log.warning("the collector takes traces again" if works else "traces are not taken")
        self._works = works
        return result

    def shutdown(self) -> None:
        """Try nothing more."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]
