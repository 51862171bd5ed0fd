"""The parent of hosts as a program: starting, refusing, handing over, ending."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from models.errors import HostCrashed, HostsUnavailable
from models.hosting import orders
from models.hosting.client import HostsClient
from models.hosting.links import SharedParent
from models.hosting.starting import NearestParent, Parentage, scrubbed_environment
from tests.models.hosting.conftest import LIGHT, SECONDS, Hosts, Start
from tests.models.hosting.test_hosts import BAD, GOOD, until

SOON = 0.1
PARENTAGE = Parentage(level="reduced", module=LIGHT)


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    with orders.listen(path) as listener:
        yield listener


@dataclass(eq=False)
class Launched:
    """A parent as a supervisor starts it."""

    process: subprocess.Popen[str]
    lifeline: list[int]

    def hang_up(self) -> None:
        """End the lifeline, as the supervisor's death would."""
        while self.lifeline:
            os.close(self.lifeline.pop())


@contextmanager
def launched(listener: socket.socket, argv: Sequence[str] = PARENTAGE.argv) -> Iterator[Launched]:
    """Start a parent on a listener and wait until it has spoken or ended."""
    lifeline, held = os.pipe()
    ready, spoken = os.pipe()
    given = {"--listener": listener.fileno(), "--ready": spoken, "--lifeline": lifeline}
    process = subprocess.Popen(
        [*argv, *(word for name, fd in given.items() for word in (name, str(fd)))],
        env=scrubbed_environment(),
        pass_fds=tuple(given.values()),
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(lifeline)
    os.close(spoken)
    running = Launched(process, [held])
    try:
        os.read(ready, 1)
        yield running
    finally:
        process.kill()
        process.communicate()
        os.close(ready)
        running.hang_up()


def test_the_socket_is_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / ("long" * 60) / "hosts.sock"
    path.parent.mkdir()

    with listening(path):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_parent_serves_all_who_connect_to_its_socket(tmp_path: Path) -> None:
    path = tmp_path / "hosts.sock"
    with listening(path) as listener, launched(listener) as parent:
        for _ in range(2):
            with closing(HostsClient(SharedParent(path))) as client:
                assert client.status()["pid"] == parent.process.pid


@pytest.mark.parametrize("early", [True, False])
def test_a_parent_imports_at_its_start_or_before_it_first_forks(
    tmp_path: Path, *, early: bool
) -> None:
    path, argv = tmp_path / "hosts.sock", replace(PARENTAGE, early=early).argv
    with (
        listening(path) as listener,
        launched(listener, argv),
        closing(HostsClient(SharedParent(path))) as client,
    ):
        if early:
            until(lambda: client.status()["is_warm"])
        assert client.status()["is_warm"] is early
        hosts = Hosts(client)
        hosts.executor.warm(hosts.doing("add"))
        assert client.status()["is_warm"]


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_another_user_is_sent_away(tmp_path: Path) -> None:
    script = (
        "import os, socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "os.setuid(65534); s.connect(b'\\0' + sys.argv[1].encode())\n"
        'try: s.send(b\'{"do": "status"}\'); sys.exit(len(s.recv(10)))\n'
        "except OSError: sys.exit(0)"
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind("")
        listener.listen()
        name = listener.getsockname()[1:].decode()
        with launched(listener):
            stranger = subprocess.run([sys.executable, "-c", script, name], timeout=30)

    assert stranger.returncode == 0


def test_nonsense_ends_its_connection_alone(tmp_path: Path) -> None:
    path = tmp_path / "hosts.sock"
    with listening(path) as listener, launched(listener):
        for nonsense in (b"{", b"[]", b'{"do": "sing"}', b'{"do": "host"}', b'{"do": "kill"}'):
            with orders.connect(path) as connection:
                connection.send(nonsense)
                assert connection.recv(100) == b""
        with closing(HostsClient(SharedParent(path))) as client:
            assert client.status()["hosts"] == []


def test_a_parent_that_is_not_there_is_told_at_the_deadline(tmp_path: Path) -> None:
    with closing(HostsClient(SharedParent(tmp_path / "hosts.sock"))) as client:
        began = time.monotonic()
        with pytest.raises(HostsUnavailable, match="not there"):
            client.status(seconds=SOON)
        assert time.monotonic() - began < SECONDS


def test_a_parent_that_does_not_answer_is_told_at_the_deadline(tmp_path: Path) -> None:
    path = tmp_path / "hosts.sock"
    with (
        listening(path),
        closing(HostsClient(SharedParent(path))) as client,
        pytest.raises(HostsUnavailable, match="in time"),
    ):
        client.status(seconds=SOON)


def test_the_nearest_parent_is_the_one_that_listens_and_lives_on(tmp_path: Path) -> None:
    path = tmp_path / "hosts.sock"
    with listening(path) as listener, launched(listener) as parent:
        for _ in range(2):
            with closing(HostsClient(NearestParent(path, PARENTAGE))) as client:
                assert client.is_there
                assert client.status()["pid"] == parent.process.pid
        assert parent.process.poll() is None


@pytest.mark.parametrize("leaves_its_socket", [True, False])
def test_where_no_parent_listens_the_nearest_is_started_and_kept(
    tmp_path: Path, *, leaves_its_socket: bool
) -> None:
    path = tmp_path / "hosts.sock"
    if leaves_its_socket:
        orders.listen(path).close()
    with closing(HostsClient(NearestParent(path, PARENTAGE))) as client:
        assert not client.is_there
        own = client.status()["pid"]
        assert psutil.Process(own).ppid() == os.getpid()
        with listening(path) as listener, launched(listener):
            assert client.status()["pid"] == own
    assert not psutil.pid_exists(own)


def test_what_listens_for_another_user_is_given_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hosts.sock"
    monkeypatch.setattr(orders, "is_ours", lambda _connection: False)
    with (
        listening(path) as listener,
        closing(HostsClient(NearestParent(path, PARENTAGE))) as client,
    ):
        own = client.status()["pid"]
        listener.setblocking(False)
        stranger, _ = listener.accept()
        with stranger:
            assert stranger.recv(100) == b""
    assert own != os.getpid()


def test_when_the_parent_that_listened_is_gone_the_nearest_is_started(tmp_path: Path) -> None:
    path = tmp_path / "hosts.sock"
    with ExitStack() as stack:
        client = stack.enter_context(closing(HostsClient(NearestParent(path, PARENTAGE))))
        with listening(path) as listener, launched(listener) as parent:
            assert client.status()["pid"] == parent.process.pid
        assert client.status()["pid"] != parent.process.pid


def test_a_parent_ends_with_its_lifeline_and_its_hosts_with_it(tmp_path: Path) -> None:
    path = tmp_path / "hosts.sock"
    with (
        listening(path) as listener,
        launched(listener) as parent,
        closing(HostsClient(SharedParent(path))) as client,
    ):
        hosts = Hosts(client)
        hosts.executor.warm(hosts.doing("add"))
        (host,) = client.status()["hosts"]

        parent.hang_up()

        parent.process.wait(SECONDS)
        until(lambda: not psutil.pid_exists(host["pid"]))


def test_a_sandbox_that_is_too_weak_is_refused_in_one_line(tmp_path: Path) -> None:
    weak = tmp_path / "weak_parent.py"
    weak.write_text(
        "import sys\n"
        "from models.hosting import sandbox\n"
        "from models.hosting.births import Craft\n"
        "from models.hosting.parent import main\n"
        "sandbox.LAYERS['calls'] = lambda _confinement: None\n"
        "main(sys.argv[1:], Craft(lambda _flavour: None, None, None))\n"
    )
    python, *words = replace(PARENTAGE, level="full").argv
    options = words[words.index(LIGHT) + 1 :]
    with (
        listening(tmp_path / "hosts.sock") as listener,
        launched(listener, [python, "-P", str(weak), *options]) as parent,
    ):
        _, said = parent.process.communicate(timeout=60)

    assert parent.process.returncode == 78
    (line,) = said.splitlines()
    assert line.startswith("Error: the sandbox for models is")


def test_workers_share_a_tenants_host(tmp_path: Path) -> None:
    path = tmp_path / "hosts.sock"
    with listening(path) as listener, launched(listener), ExitStack() as stack:
        clients = [stack.enter_context(closing(HostsClient(SharedParent(path)))) for _ in "ab"]
        hosts = Hosts(clients[0])
        version = hosts.doing("add")
        hosts.executor.warm(version)

        second = hosts.worker(clients[1])

        assert second.is_warm(version)
        assert second.answer(version, "predict", GOOD, seconds=SECONDS).tolist() == [3.0]
        assert hosts.shelf.fetched == [version.id]
        assert [host["connections"] for host in hosts.status()["hosts"]] == [2]


def test_a_crash_under_two_workers_is_blamed_once(tmp_path: Path) -> None:
    path = tmp_path / "hosts.sock"
    with listening(path) as listener, launched(listener), ExitStack() as stack:
        clients = [stack.enter_context(closing(HostsClient(SharedParent(path)))) for _ in "ab"]
        hosts = Hosts(clients[0])
        second = hosts.worker(clients[1])
        version, slow = hosts.doing("exit"), hosts.doing("rest")
        for each in (version, slow):
            hosts.executor.warm(each)
        second.answer(version, "predict", GOOD, seconds=SECONDS)

        with ThreadPoolExecutor(3) as threads:
            busy = threads.submit(hosts.executor.answer, slow, "predict", BAD, seconds=SECONDS)
            until(lambda: hosts.status()["hosts"][0]["busy"])
            crashes = [
                threads.submit(worker.answer, version, "predict", BAD, seconds=SECONDS)
                for worker in (hosts.executor, second)
            ]
            assert [type(call.exception()) for call in crashes] == [HostCrashed] * 2
            busy.result()

        assert len(hosts.incidents.recorded) <= 2
        assert hosts.status()["counts"]["crashed"] == len(hosts.incidents.recorded)


def test_a_stopped_parent_serves_its_customers_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "hosts.sock"
    with listening(path) as listener, launched(listener) as parent:
        client = HostsClient(SharedParent(path))
        hosts = Hosts(client)
        version = hosts.doing("add")
        hosts.executor.warm(version)

        parent.process.send_signal(signal.SIGTERM)

        answer = hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS)
        assert answer.tolist() == [3.0]
        assert hosts.executor.answer(
            hosts.doing("add", tenant="tnt_globex"), "predict", GOOD, seconds=SECONDS
        ).tolist() == [3.0]
        client.close()
        assert parent.process.wait(SECONDS) == 0


def test_a_replaced_parent_hands_its_customers_over_without_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "hosts.sock"
    with (
        listening(path) as listener,
        launched(listener) as old,
        closing(HostsClient(SharedParent(path))) as client,
    ):
        hosts = Hosts(client)
        version = hosts.doing("add")
        hosts.executor.warm(version)
        with launched(listener) as new:
            old.process.send_signal(signal.SIGTERM)
            while old.process.poll() is None:
                answer = hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS)
                assert answer.tolist() == [3.0]
            assert old.process.returncode == 0
            answer = hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS)
            assert answer.tolist() == [3.0]
            assert client.status()["pid"] == new.process.pid
    assert hosts.incidents.recorded == []


def test_a_workshop_works_for_one_customer(start: Start) -> None:
    hosts = start()

    with hosts.client.workshop(memory_bytes=2**27, seconds=SECONDS).connection as connection:
        connection.sendall(b"wood")
        assert connection.recv(100) == b"wood"

    until(lambda: hosts.status()["workshops"] == [])


@pytest.mark.parametrize("is_left", [True, False])
def test_a_workshop_that_hangs_is_ended(start: Start, is_left: bool) -> None:
    hosts = start()
    seconds = SECONDS if is_left else 0.5

    with hosts.client.workshop(memory_bytes=2**27, seconds=seconds).connection as connection:
        connection.sendall(b"hang")
        if not is_left:
            assert connection.recv(100) == b""

    until(lambda: hosts.status()["workshops"] == [])


def test_the_status_tells_what_hosts_use(start: Start) -> None:
    hosts = start()
    version = hosts.doing("add")
    for _ in range(3):
        hosts.executor.answer(version, "predict", np.ones((2, 2)), seconds=SECONDS)

    until(lambda: hosts.status()["hosts"][0]["bytes"] > 0)
    status = hosts.status()

    (host,) = status["hosts"]
    assert status["sandbox"]["level"] in {"full", "reduced"}
    assert status["counts"] == {"started": 1}
    assert host["tenant"] == "tnt_acme"
    assert host["batches"] >= 3
    assert host["connections"] == 1
    assert 0 < host["bytes"] < 128 * 1024**2
