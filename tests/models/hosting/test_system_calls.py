"""The numbers of system calls are those of the kernel, on every architecture that is served."""

from __future__ import annotations

import pytest

from models.hosting import system_calls
from models.hosting.system_calls import LETHAL, MACHINES, Numbers

ALLOWED: Numbers = {
    name: numbers
    for table in (
        system_calls.ALLOWED,
        system_calls.MAPPING,
        system_calls.SENDING,
        system_calls.SIGNALLING,
        system_calls.OF_THREADS,
        system_calls.STARTING,
        system_calls.STARTING_ANEW,
    )
    for name, numbers in table.items()
}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_those_that_libseccomp_knows(machine: str) -> None:
    seccomp = pytest.importorskip("pyseccomp", reason="libseccomp's table is not here")
    column = MACHINES[machine].column
    architecture = getattr(seccomp.Arch, machine.upper())
    known = {
        name: seccomp.resolve_syscall(architecture, name) for name in [*ALLOWED, *LETHAL, "seccomp"]
    }
    assert known.pop("seccomp") == MACHINES[machine].seccomp
    assert {name: number if number >= 0 else None for name, number in known.items()} == {
        name: numbers[column] for name, numbers in (ALLOWED | LETHAL).items()
    }


def test_no_call_is_both_allowed_and_lethal() -> None:
    assert not ALLOWED.keys() & LETHAL.keys()
    for column in range(len(MACHINES)):
        numbers = [each[column] for each in (ALLOWED | LETHAL).values() if each[column] is not None]
        assert len(numbers) == len(set(numbers))


def test_no_call_is_allowed_that_opens_starts_or_reaches_anything() -> None:
    # Whoever adds one of these has to change this line, and say why in the decision.
    assert not ALLOWED.keys() & {
        "open", "openat", "openat2", "creat", "stat", "newfstatat", "statx", "access", "readlink",
        "socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "setsockopt",
        "fork", "vfork", "execve", "kill", "tkill", "ptrace", "prctl", "ioctl", "fcntl", "dup",
        "memfd_create", "prlimit64", "setrlimit", "chdir", "unlink", "rename", "mkdir", "chmod",
        "getdents64", "shmget", "shmat", "msgget", "semget", "mq_open", "inotify_init1",
        "pkey_mprotect", "remap_file_pages", "vmsplice", "splice", "sched_setaffinity",
    }  # fmt: skip
