"""What a model may ask of the kernel, by name; docs/decisions/0009-sandbox.md has the reasons."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from models.hosting.seccomp import ALLOW, KILL, UNKNOWN, Condition, Rule, assemble, install

WHOLE: Final = 0xFFFF_FFFF_FFFF_FFFF
INT: Final = 0xFFFF_FFFF
PROT_EXEC: Final = 0x4
NOT_EXECUTABLE: Final = (Condition(2, PROT_EXEC, 0),)
UNADDRESSED: Final = (Condition(4, WHOLE, 0),)
# What glibc asks for a thread: VM FS FILES SIGHAND THREAD SYSVSEM SETTLS PARENT_SETTID
# CHILD_CLEARTID. A process, or a namespace, would be other flags.
A_THREAD: Final = (Condition(0, WHOLE, 0x003D_0F00),)

# A call's name, and its numbers on x86-64 and on aarch64 (None: there is no such call).
Numbers = dict[str, tuple[int | None, int | None]]

# Often used ones first.
ALLOWED: Final[Numbers] = {
    "recvmsg": (47, 212),
    "sendmsg": (46, 211),
    "recvfrom": (45, 207),
    "read": (0, 63),
    "write": (1, 64),
    "futex": (202, 98),
    "munmap": (11, 215),
    "madvise": (28, 233),
    "mremap": (25, 216),
    "brk": (12, 214),
    "poll": (7, None),
    "ppoll": (271, 73),
    "epoll_wait": (232, None),
    "epoll_pwait": (281, 22),
    "epoll_ctl": (233, 21),
    "clock_gettime": (228, 113),
    "close": (3, 57),
    "lseek": (8, 62),
    "fstat": (5, 80),
    "getrandom": (318, 278),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getrusage": (98, 165),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
MAPPING: Final[Numbers] = {
    "mmap": (9, 222),
    "mprotect": (10, 226),
}
SENDING: Final[Numbers] = {"sendto": (44, 206)}
SIGNALLING: Final[Numbers] = {"tgkill": (234, 131)}
# Beside the allowed ones where a library starts threads.
OF_THREADS: Final[Numbers] = {
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "uname": (63, 160),
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
}
STARTING: Final[Numbers] = {"clone": (56, 220)}
STARTING_ANEW: Final[Numbers] = {"clone3": (435, 435)}

# No library of ours asks for these, so that who does is up to no good and ends at once.
LETHAL: Final[Numbers] = {
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "personality": (135, 92),
    "modify_ldt": (154, None),
    "iopl": (172, None),
    "ioperm": (173, None),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
}


@dataclass(frozen=True, slots=True)
class Machine:
    """An architecture: its name in the kernel's audit, and which column of the tables is its."""

    audit: int
    column: int
    seccomp: int  # the number of the call that puts a filter on


MACHINES: Final = {
    "x86_64": Machine(0xC000_003E, 0, 317),
    "aarch64": Machine(0xC000_00B7, 1, 277),
}


def this_machine() -> Machine:
    """Return the architecture that this runs on; raises OSError for one without a table."""
    name = platform.machine()
    if name not in MACHINES:
        raise OSError(f"no table of system calls for {name}")
    return MACHINES[name]


def number_of(name: str) -> int | None:
    """Return the number of a call that this module lists, if the machine has it; or raise."""
    tables = (ALLOWED, MAPPING, SENDING, SIGNALLING, OF_THREADS, STARTING, STARTING_ANEW, LETHAL)
    return next(table[name] for table in tables if name in table)[this_machine().column]


def filter_calls(*, threads: bool) -> None:
    """Leave this process the calls that models need; others fail with EPERM, or are lethal.

    The filter names this process by its number, so it is made after the fork. Raises OSError.
    """
    machine = this_machine()
    rules = _rules(machine.column, threads=threads)
    install(assemble(rules, architecture=machine.audit), number=machine.seccomp)


def _rules(column: int, *, threads: bool) -> Iterator[Rule]:
    table = partial(_numbered, column=column)
    yield from table(ALLOWED)
    yield from table(MAPPING, conditions=NOT_EXECUTABLE)
    yield from table(SENDING, conditions=UNADDRESSED)
    yield from table(SIGNALLING, conditions=(Condition(0, INT, os.getpid()),))
    if threads:
        yield from table(OF_THREADS)
        yield from table(STARTING, conditions=A_THREAD)
        # Its arguments lie in memory, where no filter can look: glibc then falls back to clone.
        yield from table(STARTING_ANEW, action=UNKNOWN)
    yield from table(LETHAL, action=KILL)


def _numbered(
    table: Numbers,
    *,
    column: int,
    action: int = ALLOW,
    conditions: tuple[Condition, ...] = (),
) -> Iterator[Rule]:
    for numbers in table.values():
        number = numbers[column]
        if number is not None:
            yield Rule(number, action, conditions)
