"""What becomes a trace, where its spans belong, and that nothing waits for a collector."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.collector import MOST_WAITING
from config.errors import ConfigurationError
from config.settings import Settings, load_settings
from config.spans import Caller, note, read_caller, span_between
from config.telemetry import Telemetry
from config.tracing import Budget, Tracing
from tests.auth.clock import Clock
from tests.collector import Collector, Received, collector
from tests.journeys.served import until

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
OFF = """
import sys
from pathlib import Path
import service.app, service.observing
from config.settings import Settings
from config.telemetry import Telemetry
from config.tracing import Tracing
tracing = Tracing(
    Settings(instance=Path("."), master_keys=(bytes(32),)), Telemetry(), instance="here"
)
tracing.open()
assert tracing.begin(None, None) is None
print(sorted(name for name in sys.modules if name.startswith(("opentelemetry", "requests"))))
"""


@pytest.fixture
def receiver() -> Iterator[Collector]:
    with collector() as found:
        yield found


def settings(tmp_path: Path, **options: object) -> Settings:
    (tmp_path / "master.key").write_text(base64.b64encode(bytes(32)).decode())
    return load_settings(tmp_path, **options)


def arrived(receiver: Collector, *names: str) -> list[Received]:
    until(lambda: {span.name for span in receiver.spans} >= set(names))
    return [receiver.named(name)[0] for name in names]


def test_a_callers_context_is_read() -> None:
    caller = read_caller(f"00-{TRACE}-{SPAN}-01", "vendor=1")

    assert caller == Caller(int(TRACE, 16), int(SPAN, 16), sampled=True, state="vendor=1")
    assert read_caller(f"00-{TRACE}-{SPAN}-00") == Caller(
        int(TRACE, 16), int(SPAN, 16), sampled=False
    )
    assert read_caller(f"cc-{TRACE}-{SPAN}-01-what-will-be-matters-not") == Caller(
        int(TRACE, 16), int(SPAN, 16), sampled=True
    )


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}",
        f" 00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01",
        "x" * 100_000,
    ],
)
def test_a_malformed_context_is_none(header: str | None) -> None:
    assert read_caller(header) is None


def test_a_state_that_is_none_is_not_passed_on() -> None:
    for state in ("x" * 513, "a=\n1", "ä=1", None):
        caller = read_caller(f"00-{TRACE}-{SPAN}-01", state)
        assert caller is not None
        assert caller.state == ""


def test_a_budget_is_so_many_at_once_and_so_many_a_second() -> None:
    clock = Clock(0.0)
    budget = Budget(per_second=2.0, at_once=3.0, clock=clock)

    assert [budget.take() for _ in range(5)] == [True, True, True, False, False]
    clock.advance(1.0)
    assert [budget.take() for _ in range(3)] == [True, True, False]
    clock.advance(3600.0)
    assert sum(budget.take() for _ in range(9)) == 3


def test_without_a_collector_nothing_of_the_extra_is_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OFF], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "[]\n"


def test_a_platform_without_the_extra_says_so_when_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "config.collector")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    options = settings(tmp_path, otel_endpoint="https://collector.internal")
    tracing = Tracing(options, Telemetry(), instance="here")

    with pytest.raises(ConfigurationError, match="extra otel"):
        tracing.open()


def test_what_was_done_elsewhere_is_below_the_stage_that_waited_for_it(
    tmp_path: Path, receiver: Collector
) -> None:
    options = settings(tmp_path, otel_endpoint=receiver.url, otel_sample_ratio=1.0)
    tracing = Tracing(options, Telemetry(), instance="here")
    trace = tracing.begin(f"00-{TRACE}-{SPAN}-00", None)
    assert trace is not None
    note("host", 0.001, batch=3)
    span = span_between("POST /predict", 0.01, {}, failed=False)
    tracing.end(trace, span, {"decode": 0.002, "compute": 0.005}, known=False)
    trace.note("shadow", 0.02, {"failed": False})  # it is asked when the answer is out

    root, compute, host, shadow = arrived(receiver, "POST /predict", "compute", "host", "shadow")
    assert (root.trace_id, root.parent_id) == (TRACE, SPAN)
    assert host.parent_id == compute.span_id
    assert host.attributes == {"batch": 3}
    assert shadow.parent_id == root.span_id
    assert shadow.ended - shadow.began == pytest.approx(20_000_000)
    note("host", 0.001)
    tracing.close(5.0)
    assert len(receiver.named("host")) == 1, "what nobody has begun is nobody's"


def test_a_failure_here_is_traced_though_nobody_drew_it(
    tmp_path: Path, receiver: Collector
) -> None:
    options = settings(tmp_path, otel_endpoint=receiver.url, otel_sample_ratio=0.0)
    tracing = Tracing(options, Telemetry(), instance="here")
    for failed in (False, True):
        trace = tracing.begin(None, None)
        assert trace is not None
        span = span_between(f"failed {failed}", 0.01, {}, failed=failed)
        tracing.end(trace, span, {}, known=True)
    tracing.close(5.0)

    assert [(span.name, span.failed) for span in receiver.spans] == [("failed True", True)]


def test_what_a_hanging_collector_does_not_take_is_dropped_and_counted(
    tmp_path: Path, receiver: Collector
) -> None:
    receiver.hangs = True
    telemetry = Telemetry()
    options = settings(tmp_path, otel_endpoint=receiver.url, otel_sample_ratio=1.0)
    tracing = Tracing(options, telemetry, instance="here")
    for _ in range(MOST_WAITING + 1000):
        trace = tracing.begin(None, None)
        assert trace is not None
        tracing.end(trace, span_between("call", 0.01, {}, failed=False), {}, known=False)
    tracing.close(0.1)

    dropped = telemetry.spans.labels("dropped")._value.get()
    assert 0 < dropped <= 1000


@pytest.mark.parametrize(
    "options",
    [
        {"otel_endpoint": "http://collector.internal:4318"},
        {"otel_endpoint": "https://user:word@collector.internal"},
        {"otel_endpoint": "https://collector.internal/?key=word"},
        {"otel_headers": "no pair"},
        {"otel_headers": "a=1\r\nb: 2"},
        {"otel_sample_ratio": 1.5},
    ],
)
def test_settings_that_would_betray_or_fail_are_refused(
    tmp_path: Path, options: dict[str, object]
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        settings(tmp_path, **options)

    assert "word" not in str(refused.value)
