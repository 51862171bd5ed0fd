"""Hosts as workers know them: real processes in the sandbox, with models that misbehave."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest

from models.errors import (
    ArtefactBroken,
    DeadlineExceeded,
    HostCrashed,
    HostsUnavailable,
    PredictionFailed,
    RowsRefused,
    VersionBroken,
)
from models.signature import Output
from models.tables import Table
from tests.models.hosting.conftest import SECONDS, Hosts, Start

GOOD = np.array([[1.0, 2.0]])
BAD = np.array([[-1.0, 2.0]])
DEADLINE = 20.0


def until(holds: Callable[[], object], *, seconds: float = DEADLINE) -> None:
    """Poll until a condition holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "the state was not reached in time"
        time.sleep(0.01)


def test_rows_are_answered_in_order(hosts: Hosts) -> None:
    version = hosts.doing("add")
    rows = np.arange(20_000.0).reshape(-1, 2)

    answer = hosts.executor.answer(version, "predict", rows, seconds=SECONDS)

    assert answer.tolist() == rows.sum(axis=1).tolist()


def test_texts_and_missing_values_arrive_whole(hosts: Hosts) -> None:
    version = hosts.shelf.file(b"add", columns=2, methods={"predict": Output("text")})
    table = Table((np.array([1.5, np.nan]), np.array(["ä\0€", None], dtype=object)))

    answer = hosts.executor.answer(version, "predict", table, seconds=SECONDS)

    assert answer.tolist() == ["1.5|ä\0€", "nan|None"]


def test_a_file_goes_into_a_host_once(hosts: Hosts) -> None:
    version = hosts.doing("add")

    for _ in range(3):
        hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS)

    assert hosts.shelf.fetched == [version.id]


def test_many_threads_open_a_version_once(hosts: Hosts) -> None:
    version = hosts.doing("add")

    with ThreadPoolExecutor(8) as threads:
        calls = [
            threads.submit(hosts.executor.answer, version, "predict", GOOD, seconds=SECONDS)
            for _ in range(16)
        ]
        assert [call.result().tolist() for call in calls] == [[3.0]] * 16

    assert hosts.shelf.fetched == [version.id]


def test_hosts_yield_to_who_called_them(hosts: Hosts) -> None:
    hosts.executor.answer(hosts.doing("add"), "predict", GOOD, seconds=SECONDS)

    host = hosts.host_of("tnt_acme")
    assert host is not None
    assert psutil.Process(host["pid"]).nice() > psutil.Process().nice()


def test_tenants_never_share_a_host(hosts: Hosts) -> None:
    tenants = ("tnt_acme", "tnt_globex", "tnt_initech")
    for tenant in tenants:
        hosts.executor.answer(hosts.doing("add", tenant=tenant), "predict", GOOD, seconds=SECONDS)

    listed = hosts.status()["hosts"]

    assert sorted(host["tenant"] for host in listed) == sorted(tenants)
    assert len({host["pid"] for host in listed}) == len(tenants)


def test_calls_that_wait_are_answered_together_and_each_its_own(hosts: Hosts) -> None:
    slow, version = hosts.doing("rest"), hosts.doing("add")
    for each in (slow, version):
        hosts.executor.warm(each)
    rows = [np.array([[float(n), 0.0]]) for n in range(24)]
    hosts.batches.clear()

    with ThreadPoolExecutor(26) as threads:
        busy = threads.submit(hosts.executor.answer, slow, "predict", BAD, seconds=SECONDS)
        until(lambda: (host := hosts.host_of("tnt_acme")) and host["busy"])
        calls = [
            threads.submit(hosts.executor.answer, version, "predict", row, seconds=SECONDS)
            for row in rows
        ]
        answers = [call.result().tolist() for call in calls]
        busy.result()

    assert answers == [[float(n)] for n in range(24)]
    assert max(hosts.batches) > 1


def test_one_bad_row_fails_alone(hosts: Hosts) -> None:
    slow, version = hosts.doing("rest"), hosts.doing("fail")
    for each in (slow, version):
        hosts.executor.warm(each)

    with ThreadPoolExecutor(12) as threads:
        busy = threads.submit(hosts.executor.answer, slow, "predict", BAD, seconds=SECONDS)
        until(lambda: (host := hosts.host_of("tnt_acme")) and host["busy"])
        calls = [
            threads.submit(hosts.executor.answer, version, "predict", row, seconds=SECONDS)
            for row in (GOOD, GOOD, BAD, GOOD, GOOD)
        ]
        failures = [call.exception() for call in calls]
        busy.result()

    assert [type(failure) for failure in failures] == [
        type(None),
        type(None),
        PredictionFailed,
        type(None),
        type(None),
    ]
    assert isinstance(failures[2], PredictionFailed)
    assert failures[2].reason == "ArithmeticError: as asked"


def test_rows_that_the_library_refuses_are_the_callers(hosts: Hosts) -> None:
    version = hosts.doing("refuse")

    with pytest.raises(RowsRefused, match="its own library refuses them"):
        hosts.executor.answer(version, "predict", BAD, seconds=SECONDS)
    assert hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS).tolist() == [3.0]


@pytest.mark.parametrize("act", ["invade", "exit", "execute"])
def test_a_crash_is_told_blamed_and_followed_by_a_new_host(hosts: Hosts, act: str) -> None:
    version = hosts.doing(act)
    hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS)
    before = hosts.host_of("tnt_acme")

    with pytest.raises(HostCrashed):
        hosts.executor.answer(version, "predict", BAD, seconds=SECONDS)
    assert hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS).tolist() == [3.0]

    after = hosts.host_of("tnt_acme")
    assert before is not None
    assert after is not None
    assert after["pid"] != before["pid"]
    assert [blamed for blamed, _ in hosts.incidents.recorded] == [version.id]


def test_an_incident_says_how_the_host_ended(hosts: Hosts) -> None:
    version = hosts.doing("invade")

    with pytest.raises(HostCrashed):
        hosts.executor.answer(version, "predict", BAD, seconds=SECONDS)

    assert hosts.incidents.recorded == [
        (version.id, "it was ended by SIGSEGV (an invalid memory access)")
    ]


@pytest.mark.parametrize("act", ["connect", "read", "fork"])
def test_what_the_sandbox_forbids_fails_in_the_call_alone(hosts: Hosts, act: str) -> None:
    version = hosts.doing(act)

    with pytest.raises(PredictionFailed, match="failed on this input") as failure:
        hosts.executor.answer(version, "predict", BAD, seconds=SECONDS)

    assert "PermissionError" in failure.value.reason or "OSError" in failure.value.reason
    assert hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS).tolist() == [3.0]
    host = hosts.host_of("tnt_acme")
    assert host is not None
    assert psutil.Process(host["pid"]).children() == []


def test_a_memory_bomb_ends_in_its_own_host(hosts: Hosts) -> None:
    version, other = hosts.doing("take memory"), hosts.doing("add", tenant="tnt_globex")
    hosts.executor.answer(other, "predict", GOOD, seconds=SECONDS)

    with pytest.raises((PredictionFailed, HostCrashed)):
        hosts.executor.answer(version, "predict", BAD, seconds=SECONDS)

    assert hosts.executor.answer(other, "predict", GOOD, seconds=SECONDS).tolist() == [3.0]
    assert hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS).tolist() == [3.0]


def test_an_endless_loop_ends_at_the_deadline_and_others_go_on(hosts: Hosts) -> None:
    version, other = hosts.doing("loop"), hosts.doing("add", tenant="tnt_globex")
    for each in (version, other):
        hosts.executor.answer(each, "predict", GOOD, seconds=SECONDS)

    with ThreadPoolExecutor(1) as threads:
        looping = threads.submit(hosts.executor.answer, version, "predict", BAD, seconds=0.5)
        while not looping.done():
            answer = hosts.executor.answer(other, "predict", GOOD, seconds=SECONDS)
            assert answer.tolist() == [3.0]
        assert isinstance(looping.exception(), DeadlineExceeded)

    assert hosts.incidents.recorded == [(version.id, "it did not answer within 0.5 s")]
    assert hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS).tolist() == [3.0]


def test_calls_behind_a_loop_go_to_the_next_host(hosts: Hosts) -> None:
    loop, version = hosts.doing("loop"), hosts.doing("add")
    for each in (loop, version):
        hosts.executor.warm(each)

    with ThreadPoolExecutor(5) as threads:
        looping = threads.submit(hosts.executor.answer, loop, "predict", BAD, seconds=1.0)
        until(lambda: (host := hosts.host_of("tnt_acme")) and host["busy"])
        behind = [
            threads.submit(hosts.executor.answer, version, "predict", GOOD, seconds=SECONDS)
            for _ in range(4)
        ]
        assert [call.result().tolist() for call in behind] == [[3.0]] * 4
        assert isinstance(looping.exception(), DeadlineExceeded)

    assert [blamed for blamed, _ in hosts.incidents.recorded] == [loop.id]


def test_a_call_that_only_waited_too_long_blames_nobody(hosts: Hosts) -> None:
    slow, version = hosts.doing("rest"), hosts.doing("add")
    for each in (slow, version):
        hosts.executor.warm(each)

    with ThreadPoolExecutor(2) as threads:
        busy = threads.submit(hosts.executor.answer, slow, "predict", BAD, seconds=SECONDS)
        until(lambda: (host := hosts.host_of("tnt_acme")) and host["busy"])
        with pytest.raises(DeadlineExceeded):
            hosts.executor.answer(version, "predict", GOOD, seconds=0.02)
        assert busy.result().tolist() == [1.0]

    assert hosts.incidents.recorded == []
    assert hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS).tolist() == [3.0]


def test_a_loop_at_opening_ends_at_the_deadline(hosts: Hosts) -> None:
    version = hosts.doing("loop at opening")
    hosts.executor.warm(hosts.doing("add"))

    with pytest.raises(DeadlineExceeded):
        hosts.executor.answer(version, "predict", GOOD, seconds=0.5)

    assert [blamed for blamed, _ in hosts.incidents.recorded] == [version.id]


def test_a_file_that_does_not_open_is_refused_with_the_reason(hosts: Hosts) -> None:
    with pytest.raises(ArtefactBroken, match="nobody knows how to sing"):
        hosts.executor.answer(hosts.doing("sing"), "predict", GOOD, seconds=SECONDS)


def test_a_broken_version_is_not_run(hosts: Hosts) -> None:
    version = hosts.doing("add")
    hosts.incidents.broken[version.id] = "it ended its process 3 times"

    for ask in (
        lambda: hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS),
        lambda: hosts.executor.warm(version),
    ):
        with pytest.raises(VersionBroken, match="3 times"):
            ask()

    assert hosts.status()["counts"] == {}


def test_a_killed_host_is_replaced(hosts: Hosts) -> None:
    version = hosts.doing("add")
    hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS)
    host = hosts.host_of("tnt_acme")
    assert host is not None

    os.kill(host["pid"], signal.SIGKILL)

    assert hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS).tolist() == [3.0]
    assert hosts.incidents.recorded == []


def test_a_host_that_hangs_without_a_batch_is_replaced(hosts: Hosts) -> None:
    version = hosts.doing("add")
    hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS)
    host = hosts.host_of("tnt_acme")
    assert host is not None
    os.kill(host["pid"], signal.SIGSTOP)

    def is_answered() -> bool:
        try:
            answer = hosts.executor.answer(version, "predict", GOOD, seconds=0.3)
        except DeadlineExceeded:
            return False
        return bool(answer.tolist() == [3.0])

    until(is_answered)

    assert hosts.incidents.recorded == []


def test_hosts_end_with_their_parent_and_a_new_one_serves(hosts: Hosts) -> None:
    version = hosts.doing("add")
    hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS)
    host = hosts.host_of("tnt_acme")
    assert host is not None

    hosts.parent.kill()

    assert hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS).tolist() == [3.0]
    until(lambda: not psutil.pid_exists(host["pid"]))
    assert hosts.incidents.recorded == []


def test_a_host_finds_no_page_but_its_own_in_its_memory(hosts: Hosts) -> None:
    for version in (hosts.doing("add", tenant="tnt_globex"), hosts.doing("search")):
        hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS)

    answer = hosts.executor.answer(version, "predict", BAD, seconds=SECONDS)

    assert answer.tolist() == [float(BAD.sum())]


def test_a_parent_ends_with_its_nursery_and_a_new_one_serves(hosts: Hosts) -> None:
    version = hosts.doing("add")
    hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS)
    status, parent = hosts.status(), hosts.parent

    psutil.Process(status["nursery"]).kill()

    until(lambda: not parent.is_running() or parent.status() == psutil.STATUS_ZOMBIE)
    assert hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS).tolist() == [3.0]
    until(lambda: not psutil.pid_exists(status["hosts"][0]["pid"]))
    assert hosts.incidents.recorded == []


def test_an_idle_host_is_evicted(start: Start) -> None:
    hosts = start(host_idle_seconds=0.2)
    version = hosts.doing("add")
    hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS)

    until(lambda: hosts.host_of("tnt_acme") is None)

    assert hosts.status()["counts"]["evicted"] == 1
    assert hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS).tolist() == [3.0]
    assert hosts.incidents.recorded == []


def test_the_host_used_longest_ago_gives_way_to_another_tenants(start: Start) -> None:
    hosts = start(hosts_most=2)
    versions = {t: hosts.doing("add", tenant=t) for t in ("tnt_a", "tnt_b", "tnt_c")}
    for tenant in ("tnt_a", "tnt_b", "tnt_c"):
        hosts.executor.answer(versions[tenant], "predict", GOOD, seconds=SECONDS)

    assert {host["tenant"] for host in hosts.status()["hosts"]} == {"tnt_b", "tnt_c"}
    answer = hosts.executor.answer(versions["tnt_a"], "predict", GOOD, seconds=SECONDS)
    assert answer.tolist() == [3.0]


def test_a_tenant_is_told_when_every_host_works(start: Start) -> None:
    hosts = start(hosts_most=1)
    loop = hosts.doing("loop")
    hosts.executor.warm(loop)

    with ThreadPoolExecutor(1) as threads:
        looping = threads.submit(hosts.executor.answer, loop, "predict", BAD, seconds=2.0)
        until(lambda: (host := hosts.host_of("tnt_acme")) and host["busy"])
        other = hosts.doing("add", tenant="tnt_globex")
        with pytest.raises(HostsUnavailable, match="every place"):
            hosts.executor.answer(other, "predict", GOOD, seconds=0.3)
        assert isinstance(looping.exception(), DeadlineExceeded)


def test_a_host_that_works_for_nobody_is_ended(hosts: Hosts) -> None:
    version = hosts.doing("burn")
    hosts.executor.answer(version, "predict", BAD, seconds=SECONDS)

    until(lambda: hosts.host_of("tnt_acme") is None)

    assert hosts.status()["counts"]["burning"] == 1


def test_a_batch_that_outlasts_every_call_is_ended_by_the_parent(start: Start) -> None:
    hosts = start(predict_seconds=0.2)
    version = hosts.doing("loop")

    with pytest.raises(HostCrashed):
        hosts.executor.answer(version, "predict", BAD, seconds=SECONDS)

    assert hosts.incidents.recorded == [(version.id, "it ran longer than a call may take")]


def test_what_a_host_prints_harms_nothing(hosts: Hosts) -> None:
    version = hosts.doing("speak")

    answer = hosts.executor.answer(version, "predict", BAD, seconds=SECONDS)

    assert answer.tolist() == [1.0]


def test_a_forgotten_tenants_host_ends(hosts: Hosts) -> None:
    version, other = hosts.doing("add"), hosts.doing("add", tenant="tnt_globex")
    for each in (version, other):
        hosts.executor.answer(each, "predict", GOOD, seconds=SECONDS)

    hosts.executor.forget("tnt_acme")

    assert [host["tenant"] for host in hosts.status()["hosts"]] == ["tnt_globex"]
    assert not hosts.executor.is_warm(version)
    assert hosts.executor.is_warm(other)


def test_nothing_of_this_process_is_seen_by_a_parent(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SALLYPORT_MASTER_KEY", "secret")
    hosts = start()
    hosts.executor.answer(hosts.doing("add"), "predict", GOOD, seconds=SECONDS)
    host = hosts.host_of("tnt_acme")
    assert host is not None

    for pid in (hosts.parent.pid, host["pid"]):
        environment = psutil.Process(pid).environ() if os.geteuid() == 0 else {}
        assert not [name for name in environment if name.startswith("SALLYPORT")]


def test_descriptors_do_not_leak(hosts: Hosts) -> None:
    version = hosts.doing("exit")

    def crash() -> None:
        hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS)
        with pytest.raises(HostCrashed):
            hosts.executor.answer(version, "predict", BAD, seconds=SECONDS)

    crash()
    processes = [psutil.Process(), hosts.parent, psutil.Process(hosts.status()["nursery"])]
    before = [process.num_fds() for process in processes]
    for _ in range(5):
        crash()

    assert [process.num_fds() for process in processes] == before


def test_a_child_of_a_worker_has_a_connection_of_its_own(hosts: Hosts) -> None:
    version = hosts.doing("add")
    hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS)

    child = os.fork()
    if child == 0:
        try:
            answer = hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS)
            os._exit(0 if answer.tolist() == [3.0] else 1)
        finally:
            os._exit(2)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert hosts.executor.answer(version, "predict", GOOD, seconds=SECONDS).tolist() == [3.0]
