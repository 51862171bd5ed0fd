"""Faults and load: killed processes, reloads and slow clients, while others are served."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from tests.journeys.load import Slow, arrivals, slow_connections
from tests.journeys.served import Served, authority, prepare, serving, until

FEW = 10  # connections that may be under way at a rate of 50 a second


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    return prepare(tmp_path / "instance")


@pytest.mark.drill
def test_reloads_under_new_connections_fail_none_and_show_the_new_certificate(
    instance: Path,
) -> None:
    with (
        serving(instance) as served,
        arrivals(served, per_second=100, hesitation=0.1) as outcome,
    ):
        for _ in range(3):
            before, web = served.certificate(), served.web
            authority(instance).renew(force=True)
            served.process.send_signal(signal.SIGHUP)
            until(lambda shown=before: served.certificate() != shown)  # type: ignore[misc]
            until(lambda old=web: not old.is_running())  # type: ignore[misc]

    assert not outcome.failures
    assert outcome.successes > 100
    assert len(outcome.answered_by) >= 6


def test_a_certificate_that_cannot_be_used_is_refused_and_the_old_one_kept(instance: Path) -> None:
    with serving(instance) as served:
        before, web = served.certificate(), served.web
        link = instance / "certs" / "server.pem"
        link.unlink()
        link.write_text("no certificate")
        served.process.send_signal(signal.SIGHUP)
        until(lambda: len(_programs(served)) == 2)
        served.process.send_signal(signal.SIGHUP)
        until(lambda: web in _programs(served) and served.serves())

        assert served.certificate() == before


@pytest.mark.drill
def test_a_worker_killed_twice_quickly_fails_only_its_own_requests(instance: Path) -> None:
    with serving(instance) as served, arrivals(served, per_second=50) as outcome:
        until(lambda: outcome.successes > 20)
        for _ in range(2):
            victims = served.web.children()
            victims[0].kill()
            until(lambda dead=victims[0]: not dead.is_running())  # type: ignore[misc]
            until(lambda: len(served.web.children()) == 2)
        until(lambda: len(outcome.answered_by) >= 3)
        answered = outcome.successes
        until(lambda: outcome.successes > answered + 50)

    assert not [failure for failure in outcome.failures if failure.startswith("connect")]
    assert outcome.failures.total() <= 10


@pytest.mark.drill
def test_the_web_program_killed_twice_quickly_comes_back_and_refuses_no_connection(
    instance: Path,
) -> None:
    with serving(instance) as served, arrivals(served, per_second=50) as outcome:
        for _ in range(2):
            answered = outcome.successes
            until(lambda count=answered: outcome.successes > count + 20)  # type: ignore[misc]
            web = served.web
            web.kill()
            until(lambda dead=web: not dead.is_running())  # type: ignore[misc]
            until(lambda: served.serves())
            # Those that waited for the new one are at once in its hands, and would be lost with it.
            until(lambda: outcome.under_way <= FEW)

    assert not [failure for failure in outcome.failures if failure.startswith("connect")]
    assert outcome.failures.total() <= 2 * FEW


@pytest.mark.drill
@pytest.mark.parametrize("kind", ["handshake", "silence", "headers", "body"])
def test_a_thousand_slow_connections_stop_nobody_else(instance: Path, kind: Slow) -> None:
    with (
        serving(instance) as served,
        slow_connections(served, 1000, kind),
        arrivals(served, per_second=50) as outcome,
    ):
        until(lambda: outcome.successes + outcome.failures.total() > 200)

    assert not outcome.failures


def _programs(served: Served) -> list[object]:
    return list(psutil.Process(served.process.pid).children())
