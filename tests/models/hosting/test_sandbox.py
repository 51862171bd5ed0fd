"""The sandbox: what is tried in it is refused, layer by layer and by all of them together."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from models.errors import SandboxTooWeak
from models.hosting import attempts, kernel, sandbox, system_calls
from models.hosting.attempts import ATTEMPTS, Target
from models.hosting.confinement import (
    CALLS,
    FILES,
    IDENTITY,
    NAMESPACES,
    Confinement,
    SandboxReport,
    require,
)
from models.hosting.probe import REFUSALS, probe, probe_apart, target_of_attempts
from models.hosting.sandbox import LAYERS, enter
from models.hosting.system_calls import LETHAL, number_of
from tests.models.hosting.children import End, become_nobody, deny, in_child

MEBIBYTE = 1024 * 1024
GROWTH = 64 * MEBIBYTE
USERS = pytest.mark.parametrize(
    "as_nobody", [pytest.param(False, id="as the user"), pytest.param(True, id="as nobody")]
)


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with target_of_attempts() as target:
        yield target


def confined(
    act: Callable[[], Any],
    *,
    keep: tuple[int, ...] = (),
    threads: bool = False,
    as_nobody: bool = False,
    memory_bytes: int = GROWTH,
) -> End:
    """Run something in a child within the whole sandbox."""

    def run(report: int) -> Any:
        enter(
            Confinement(
                memory_bytes=memory_bytes, keep=(report, *keep), threads=threads, level="full"
            )
        )
        return act()

    return in_child(run, as_nobody=as_nobody)


def outcome(act: Callable[[], object]) -> str:
    """How an act ended: `refused`, or what else."""
    try:
        act()
    except MemoryError:
        return "refused"
    except OSError as error:
        return "refused" if error.errno in REFUSALS else repr(error)
    return "done"


@USERS
@pytest.mark.parametrize("what", ATTEMPTS)
def test_within_the_sandbox_it_is_refused(target: Target, what: str, as_nobody: bool) -> None:
    end = confined(
        lambda: outcome(lambda: ATTEMPTS[what].act(target)),
        keep=(target.handed,),
        as_nobody=as_nobody,
    )
    assert end == End("refused", 0)


@pytest.mark.parametrize("what", ATTEMPTS)
def test_without_the_sandbox_it_would_be_done(target: Target, what: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may do all of it")
    os.environ[attempts.CANARY] = "set"
    try:
        end = in_child(lambda _: outcome(lambda: ATTEMPTS[what].act(target)))
    finally:
        del os.environ[attempts.CANARY]
    assert end == End("done", 0)


@pytest.mark.parametrize("call", LETHAL)
def test_a_call_that_no_library_needs_ends_the_process(call: str) -> None:
    number = number_of(call)
    if number is None:
        pytest.skip("this architecture has no such call")
    end = confined(lambda: kernel.system_call(number, *(0,) * 6))
    assert end.code == -signal.SIGSYS


@pytest.mark.parametrize(
    ("missing", "what"),
    [
        (missing, what)
        for missing in LAYERS
        for what, attempt in ATTEMPTS.items()
        if missing in attempt.layers and set(attempt.layers) - {missing}
    ],
)
def test_where_one_layer_is_missing_another_refuses(
    target: Target, missing: str, what: str
) -> None:
    def run(report: int) -> str:
        keep = (report, target.handed)
        rest = [name for name in LAYERS if name != missing]
        layers = sandbox.close(rest, Confinement(memory_bytes=GROWTH, keep=keep))
        assert all(layer.holds for layer in layers), layers
        return outcome(lambda: ATTEMPTS[what].act(target))

    assert in_child(run) == End("refused", 0)


@USERS
def test_a_memory_bomb_is_contained(as_nobody: bool) -> None:
    def explode() -> int:
        held: list[mmap.mmap] = []
        try:
            while True:
                held.append(mmap.mmap(-1, MEBIBYTE))  # shared with nobody, and not on the heap
                held[-1][0] = 1
        except (OSError, MemoryError):
            return len(held)

    end = confined(explode, as_nobody=as_nobody)
    assert end.code == 0
    assert 0 < end.told <= GROWTH // MEBIBYTE


def test_memory_cannot_be_had_by_giving_back_what_is_shared_with_the_parent() -> None:
    shared = mmap.mmap(-1, 4 * GROWTH, flags=mmap.MAP_SHARED)

    def trade() -> str:
        shared.close()
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        return outcome(lambda: mmap.mmap(-1, 2 * GROWTH, flags=private))

    assert confined(trade) == End("refused", 0)


@USERS
@pytest.mark.parametrize("threads", [False, True])
def test_a_fork_bomb_is_contained(as_nobody: bool, threads: bool) -> None:
    def multiply() -> list[str]:
        return [outcome(_fork) for _ in range(100)]

    assert confined(multiply, as_nobody=as_nobody, threads=threads).told == ["refused"] * 100


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


@USERS
def test_threads_are_for_those_who_need_them_and_bounded(as_nobody: bool) -> None:
    def start() -> int:
        over = threading.Event()
        count = 0
        try:
            while count < 10_000:
                threading.Thread(target=over.wait, daemon=True).start()
                count += 1
        except RuntimeError:
            over.set()
        return count

    threading.stack_size(64 * 1024)
    try:
        assert confined(start, as_nobody=as_nobody).told == 0
        assert 0 < confined(start, as_nobody=as_nobody, threads=True).told <= 64
    finally:
        threading.stack_size(0)


def test_endless_recursion_ends_its_own_process_at_most() -> None:
    def recurse() -> str:
        libc = ctypes.CDLL(None)
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
        items = (ctypes.c_int * 2)(2, 1)

        def again(_left: object, _right: object) -> int:
            libc.qsort((ctypes.c_int * 2)(2, 1), 2, 4, callback)
            return 0

        callback = kind(again)
        libc.qsort(items, 2, 4, callback)
        return "returned"

    end = in_child(lambda report: _deep(report, recurse))
    assert end.code in (0, 1, -signal.SIGSEGV, -signal.SIGABRT)


def _deep(report: int, act: Callable[[], Any]) -> Any:
    enter(Confinement(memory_bytes=GROWTH, keep=(report,), level="full"))
    sys.setrecursionlimit(1_000_000)
    return act()


def test_a_host_is_a_user_of_its_own_with_no_capability() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")

    def who(report: int) -> list[Any]:
        rest = [name for name in LAYERS if name not in (FILES, CALLS)]
        sandbox.close(rest, Confinement(memory_bytes=GROWTH, keep=(report,)))
        status = dict(
            line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines()
        )
        kinds = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
        return [*os.getresuid(), *os.getresgid(), os.getgroups(), [status[k] for k in kinds]]

    first, second = (in_child(who).told for _ in range(2))
    assert first[0] != second[0]
    assert len(set(first[:6])) == 1
    assert first[6:] == [[], ["0" * 16] * 5]


def test_a_host_can_neither_signal_nor_read_another_of_the_same_user(target: Target) -> None:
    def meddle() -> list[str]:
        acts = (ATTEMPTS[what].act for what in MEDDLING)
        return [outcome(partial(act, replace(target, parent=parents[0]))) for act in acts]

    def run(_report: int) -> Any:
        become_nobody()
        parents.append(os.getpid())
        return confined(meddle).told

    parents: list[int] = []

    assert in_child(run).told == ["refused"] * 3


def test_a_process_with_threads_is_refused() -> None:
    def run(report: int) -> Any:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        return enter(Confinement(memory_bytes=GROWTH, keep=(report,))).as_json()

    end = in_child(run)
    assert end.code == 1
    assert end.told.startswith("SandboxTooWeak")
    assert "threads" in end.told


def test_what_is_handed_in_is_all_that_stays_open(tmp_path: Path) -> None:
    handed, other = socket.socketpair()
    with handed, other, (tmp_path / "secret").open("w") as secret:

        def look() -> list[bool]:
            answers = []
            for descriptor in (handed.fileno(), other.fileno(), secret.fileno()):
                try:
                    os.lseek(descriptor, 0, os.SEEK_CUR)
                    answers.append(True)
                except OSError as error:
                    answers.append(error.errno != errno.EBADF)
            return answers

        assert confined(look, keep=(handed.fileno(),)).told == [True, False, False]


def test_standard_output_and_error_go_to_the_log_alone(capfd: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()

    def run(report: int) -> None:
        enter(Confinement(memory_bytes=GROWTH, keep=(report,), log=writer, level="full"))
        os.write(1, b"out ")
        os.write(2, b"error")

    assert in_child(run).code == 0
    os.close(writer)
    with os.fdopen(reader, "rb") as log:
        assert log.read() == b"out error"
    assert capfd.readouterr() == ("", "")


def test_a_host_dies_with_its_parent() -> None:
    ready, said = os.pipe()

    def run(report: int) -> None:
        if os.fork() == 0:
            enter(Confinement(memory_bytes=GROWTH, keep=(report, said), level="full"))
            os.write(said, b"1")
            while True:
                time.sleep(3600)
        os.read(ready, 1)
        os.kill(os.getpid(), signal.SIGKILL)

    # What the child reports on is closed only when the grandchild has ended as well.
    assert in_child(run) == End(None, -signal.SIGKILL)
    os.close(ready)
    os.close(said)


MEDDLING = ("signal its parent", "signal a thread of its parent", "read its parent's memory")
LACKING: dict[str, Callable[[], None]] = {
    "a kernel without landlock": lambda: deny(444, 445, 446, reason=errno.ENOSYS),
    "landlock switched off at boot": lambda: deny(444, 445, 446, reason=errno.EOPNOTSUPP),
    "a container without namespaces": lambda: deny(number_of("unshare") or 0, reason=errno.EPERM),
}


@USERS
@pytest.mark.parametrize("machine", LACKING)
def test_what_a_container_lacks_makes_the_level_reduced(machine: str, as_nobody: bool) -> None:
    def run(_report: int) -> dict[str, Any]:
        LACKING[machine]()
        return probe().as_json()

    report = SandboxReport.from_json(in_child(run, as_nobody=as_nobody).told)
    assert report.level == "reduced"
    missing = {layer.name for layer in report.layers if not layer.holds}
    assert missing == ({NAMESPACES} if "namespaces" in machine else {FILES})
    assert report.lacking
    require(report, "reduced")
    with pytest.raises(SandboxTooWeak, match="'full' is required"):
        require(report, "full")


@pytest.mark.parametrize("machine", LACKING)
def test_a_host_enters_no_weaker_sandbox_than_it_was_told_to(machine: str) -> None:
    def run(report: int) -> str:
        LACKING[machine]()
        enter(Confinement(memory_bytes=GROWTH, keep=(report,), level="full"))
        return "entered"

    end = in_child(run)
    assert end.code == 1
    assert end.told.startswith("SandboxTooWeak: ")


def test_where_no_filter_can_be_had_there_is_no_sandbox() -> None:
    def run(_report: int) -> dict[str, Any]:
        deny(system_calls.this_machine().seccomp, reason=errno.ENOSYS)
        return probe().as_json()

    report = SandboxReport.from_json(in_child(run).told)
    assert report.level == "none"
    assert [layer.name for layer in report.layers if not layer.holds] == [CALLS]
    with pytest.raises(SandboxTooWeak, match="calls"):
        require(report, "reduced")


@pytest.mark.parametrize("name", list(LAYERS))
def test_a_layer_that_only_claims_to_hold_is_found_out(name: str) -> None:
    if os.geteuid() != 0 and name == IDENTITY:
        pytest.skip("whoever is not root has nothing to give up")

    def run(_report: int) -> dict[str, Any]:
        pretending = dict(LAYERS) | {name: lambda _confinement: None}
        sandbox.LAYERS = pretending  # type: ignore[misc]
        return probe().as_json()

    report = SandboxReport.from_json(in_child(run).told)
    assert name in [layer.name for layer in report.layers if not layer.holds]


@USERS
def test_on_this_machine_the_whole_sandbox_holds(as_nobody: bool) -> None:
    report = SandboxReport.from_json(
        in_child(lambda _: probe("full").as_json(), as_nobody=as_nobody).told
    )
    assert (report.level, report.lacking) == ("full", "")


def test_a_process_with_secrets_asks_a_clean_one() -> None:
    report = probe_apart()
    assert [layer.name for layer in report.layers] == list(LAYERS)
    assert report.level == "full", report.lacking
    assert SandboxReport.from_json(report.as_json()) == report
