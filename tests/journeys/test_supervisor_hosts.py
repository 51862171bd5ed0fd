"""The parent of hosts under the real supervisor: kept, clean, replaced without a gap."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from sklearn.linear_model import LinearRegression

from models.hosting.client import HostsClient
from models.hosting.links import SharedParent
from tests.journeys.served import Served, prepare, serving, until
from tests.models.hosting.conftest import SECONDS, Hosts
from tests.models.hosting.test_hosts import GOOD

IMPORT_SECONDS = 60.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    instance = prepare(tmp_path_factory.mktemp("served") / "instance")
    with serving(instance, WORKERS=1, TINY_PROGRAMS="web,hosts-sklearn") as running:
        yield running


@pytest.fixture
def hosts(served: Served) -> Iterator[Hosts]:
    with closing(HostsClient(SharedParent(socket_of(served)))) as client:
        yield Hosts(client)


def socket_of(served: Served) -> Path:
    return served.instance / "state" / "hosts-sklearn.sock"


def parent(served: Served) -> psutil.Process:
    """The parent of hosts that was started last."""
    return next(
        child
        for child in reversed(psutil.Process(served.process.pid).children())
        if "models.hosting.parent" in child.cmdline()
    )


def test_web_serves_before_the_parent_has_imported_anything(served: Served) -> None:
    assert served.serves()
    assert list(served.ports) == ["web"]
    assert socket_of(served).stat().st_mode & 0o777 == 0o600


def test_hosts_serve_behind_the_supervisor(served: Served, hosts: Hosts) -> None:
    version = hosts.shelf.version(LinearRegression().fit(GOOD, [3.0]))

    answer = hosts.executor.answer(version, "predict", GOOD, seconds=IMPORT_SECONDS)

    assert answer.tolist() == [3.0]
    assert hosts.status()["pid"] == parent(served).pid


def test_the_parent_has_no_secret_around_it(served: Served) -> None:
    process = parent(served)

    assert not [name for name in process.environ() if name.startswith("SALLYPORT")]
    assert str(served.instance) not in " ".join(process.cmdline())
    opened = [str(link.readlink()) for link in Path(f"/proc/{process.pid}/fd").iterdir()]
    assert not [target for target in opened if str(served.instance) in target]


def test_a_killed_parent_takes_its_hosts_along_and_is_replaced(
    served: Served, hosts: Hosts
) -> None:
    version = hosts.shelf.version(LinearRegression().fit(GOOD, [3.0]))
    hosts.executor.answer(version, "predict", GOOD, seconds=IMPORT_SECONDS)
    host = hosts.host_of("tnt_acme")
    assert host is not None
    killed = parent(served)

    killed.kill()

    assert served.serves()
    until(lambda: not psutil.pid_exists(host["pid"]))
    answer = hosts.executor.answer(version, "predict", GOOD, seconds=IMPORT_SECONDS)
    assert answer.tolist() == [3.0]
    assert hosts.status()["pid"] != killed.pid


def test_a_reload_replaces_the_parent_and_no_call_fails(served: Served, hosts: Hosts) -> None:
    version = hosts.shelf.version(LinearRegression().fit(GOOD, [3.0]))
    hosts.executor.answer(version, "predict", GOOD, seconds=IMPORT_SECONDS)
    before = hosts.status()["pid"]

    served.process.send_signal(signal.SIGHUP)

    while psutil.pid_exists(before):
        answer = hosts.executor.answer(version, "predict", GOOD, seconds=IMPORT_SECONDS)
        assert answer.tolist() == [3.0]
    assert hosts.status()["pid"] == parent(served).pid != before
    assert hosts.incidents.recorded == []
    assert hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS).tolist() == [3.0]


def test_stopping_ends_hosts_and_all(tmp_path: Path) -> None:
    instance = prepare(tmp_path / "instance")
    with serving(instance, WORKERS=1, TINY_PROGRAMS="web,hosts-sklearn") as served:
        with closing(HostsClient(SharedParent(socket_of(served)))) as client:
            hosts = Hosts(client)
            version = hosts.shelf.version(LinearRegression().fit(GOOD, [3.0]))
            hosts.executor.answer(version, "predict", GOOD, seconds=IMPORT_SECONDS)
            host = hosts.host_of("tnt_acme")
            assert host is not None
        process = parent(served)

        assert served.stop() == 0

        assert not process.is_running()
        until(lambda: not psutil.pid_exists(host["pid"]))
