"""Starting, stopping, refusing: the supervisor and its programs over real TLS."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from certs.contexts import client_context
from config.settings import load_settings
from service.pidfile import PID_FILE, serving_pid, signal_reload
from tests.journeys.served import (
    DEADLINE,
    Served,
    end,
    free_port,
    launch,
    prepare,
    serving,
    until,
)


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    return prepare(tmp_path / "instance")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    instance = prepare(tmp_path_factory.mktemp("served") / "instance")
    with serving(instance, MAX_BODY_BYTES=1024, TLS_PROFILE="modern") as running:
        yield running


def test_answers_over_tls(served: Served) -> None:
    answer = served.ask("/a%20b?x=1", body=b"hello", headers={"X-Two": "words"})

    assert answer["bytes"] == 5
    assert answer["environ"]["PATH_INFO"] == "/a b"
    assert answer["environ"]["QUERY_STRING"] == "x=1"
    assert answer["environ"]["HTTP_X_TWO"] == "words"
    assert answer["environ"]["REMOTE_ADDR"] == "127.0.0.1"
    assert answer["environ"]["HTTP_HOST"] == f"127.0.0.1:{served.port}"


def test_a_header_cannot_pose_as_another_or_as_a_certificate(served: Served) -> None:
    forged = {
        "X_Forwarded_For": "10.0.0.1",
        "sallyport.client_certificate": "00",
        "Sallyport-Client-Certificate": "00",
    }

    answer = served.ask(headers=forged)

    assert "HTTP_X_FORWARDED_FOR" not in answer["environ"]
    assert answer["certificate"] is None


def test_a_body_over_the_bound_is_refused_before_it_is_read(served: Served) -> None:
    status, body = served.exchange(headers={"Content-Length": "1025"})

    assert status == 413
    assert b"at most 1024 bytes" in body


def test_a_chunked_body_over_the_bound_is_refused(served: Served) -> None:
    status, _body = served.exchange(body=iter([b"x" * 600] * 2), encode_chunked=True)

    assert status == 413


def test_a_chunked_body_within_the_bound_arrives_whole(served: Served) -> None:
    assert served.ask(body=iter([b"x" * 500] * 2), encode_chunked=True)["bytes"] == 1000


def test_an_application_that_raises_is_a_problem_without_its_inside(served: Served) -> None:
    status, body = served.exchange("/raise")

    assert status == 500
    assert b"as asked" not in body
    assert b"urn:sallyport:problem:internal" in body


def test_the_modern_profile_refuses_tls_1_2(served: Served) -> None:
    context = client_context(served.instance / "certs" / "ca.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    with (
        socket.create_connection(("127.0.0.1", served.port), timeout=5) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


def test_the_intermediate_profile_serves_tls_1_2(instance: Path) -> None:
    context = client_context(instance / "certs" / "ca.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    with (
        serving(instance, TLS_PROFILE="intermediate", WORKERS=1) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        assert secured.version() == "TLSv1.2"


def test_a_second_supervisor_of_an_instance_is_refused(served: Served) -> None:
    second = launch(served.instance, {})
    try:
        assert second.wait(20) == 1
    finally:
        end(second)

    assert served.serves()


def test_the_supervisor_is_found_by_its_instance(
    served: Served, instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("SALLYPORT_")]:
        monkeypatch.delenv(name)

    assert serving_pid(load_settings(served.instance)) == served.process.pid
    assert not signal_reload(load_settings(instance))


def test_a_supervisor_that_has_not_written_its_number_yet_is_not_signalled(instance: Path) -> None:
    settings = load_settings(instance)
    settings.state.mkdir(parents=True, exist_ok=True)
    with (settings.state / PID_FILE).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        assert serving_pid(settings) is None
        assert not signal_reload(settings)


def test_a_busy_port_is_refused_in_one_line(instance: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        refused = _refusal(instance, PORT=port)

    assert refused == [
        f"127.0.0.1 port {port} is in use; stop what listens there, or choose another --port"
    ]


def test_an_address_of_another_machine_is_refused_in_one_line(instance: Path) -> None:
    refused = _refusal(instance, HOST="192.0.2.1")

    assert refused == ["192.0.2.1 port 0 is no address of this machine; choose another --host"]


def _refusal(instance: Path, **settings: object) -> list[str]:
    process = launch(instance, settings, stderr=subprocess.PIPE)
    try:
        _out, err = process.communicate(timeout=20)
    finally:
        end(process)
    assert process.returncode == 1
    return err.splitlines()


def test_stopping_lets_a_running_request_finish(instance: Path) -> None:
    with serving(instance) as served, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(served.ask, "/slow/1.5")
        until(lambda: _established(served))
        served.process.send_signal(signal.SIGTERM)

        assert answer.result(20)["bytes"] == 0
        assert served.process.wait(20) == 0


def test_a_request_longer_than_the_drain_is_cut_off(instance: Path) -> None:
    with serving(instance, DRAIN_SECONDS=0.5) as served, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(served.ask, "/slow/60", seconds=70.0)
        until(lambda: _established(served))

        assert served.stop() == 0
        assert answer.exception(5) is not None


def test_a_second_signal_kills_at_once(instance: Path) -> None:
    with serving(instance, DRAIN_SECONDS=60) as served, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(served.ask, "/slow/60", seconds=70.0)
        until(lambda: _established(served))
        served.process.send_signal(signal.SIGTERM)
        served.process.send_signal(signal.SIGINT)

        assert served.process.wait(10) == 0
        assert answer.exception(5) is not None


def test_stopping_while_still_starting_ends_at_once(instance: Path) -> None:
    process = launch(instance, {"TINY_LOAD_SECONDS": 60})
    try:
        until(lambda: len(psutil.Process(process.pid).children(recursive=True)) >= 3)
        process.send_signal(signal.SIGTERM)

        assert process.wait(10) == 0
    finally:
        end(process)


def test_a_killed_supervisor_leaves_no_orphan_and_no_busy_port(instance: Path) -> None:
    port = free_port()
    with serving(instance, PORT=port) as served:
        family = psutil.Process(served.process.pid).children(recursive=True)
        served.process.kill()
        gone, alive = psutil.wait_procs(family, timeout=10)

        assert len(gone) >= 3
        assert not alive
    with serving(instance, PORT=port) as again:
        assert again.serves()


def _established(served: Served) -> bool:
    connections = psutil.net_connections("tcp4")
    ends = [c for c in connections if c.laddr.port == served.port and c.pid]
    return any(c.status == psutil.CONN_ESTABLISHED for c in ends)


@pytest.mark.parametrize("application", ["fail_to_start", "is_not_there"])
def test_what_never_serves_is_given_up(instance: Path, application: str) -> None:
    chosen = {"TINY_APPLICATION": f"tests.journeys.tiny_application:{application}"}
    process = launch(instance, chosen, stderr=subprocess.PIPE)
    try:
        _, said = process.communicate(timeout=DEADLINE)
    finally:
        end(process)

    assert process.returncode == 1
    assert said.splitlines()[-1] == "nothing is served; the lines above say why"


def test_connections_are_divided_among_the_workers(instance: Path) -> None:
    with serving(instance, WORKERS=2) as running, ExitStack() as stack:
        workers = running.web.children()
        before = {worker.pid: worker.num_fds() for worker in workers}
        for _ in range(48):
            stack.enter_context(socket.create_connection(("127.0.0.1", running.port)))

        def accepted() -> list[int]:
            return [worker.num_fds() - before[worker.pid] for worker in workers]

        until(lambda: sum(accepted()) >= 48)
        assert min(accepted()) > 4, accepted()  # by chance, in one of a billion runs
