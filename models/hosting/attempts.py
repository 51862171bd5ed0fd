"""What nobody may do from inside the sandbox, as acts that are really tried.

An attempt that is refused raises OSError or MemoryError; one that returns has succeeded. None of
them does harm where nothing holds it back.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.hosting import kernel
from models.hosting.confinement import (
    CALLS,
    FILES,
    IDENTITY,
    LIMITS,
    NAMESPACES,
    PRIVILEGES,
    SURROUNDINGS,
)

CANARY: Final = "CANARY"  # a variable that is set before the sandbox is entered
PAGE: Final = 4096
READ, WRITE, EXECUTE = 1, 2, 4
PRIVATE_MEMORY: Final = 0x22
PR_GET_NO_NEW_PRIVS: Final = 39
PR_SET_TIMERSLACK: Final = 29
NO_SUCH_MAPPING: Final = ctypes.c_void_p(-1).value


@dataclass(frozen=True, slots=True)
class Target:
    """What attempts aim at: things outside that only a process without a sandbox can reach."""

    folder: str  # where anybody may write
    secret: int  # a descriptor that is not handed in
    handed: int  # a file open for writing that is handed in
    port: int  # of a listener on the loopback
    abstract: str  # name of a listener among abstract Unix sockets
    parent: int  # the process that started this one
    memory_bytes: int  # more than there is to be had


@dataclass(frozen=True, slots=True)
class Attempt:
    """An act, and the layers of which each must refuse it even if it is the only one."""

    act: Callable[[Target], object]
    layers: tuple[str, ...]


def _read_file(_target: Target) -> None:
    Path("/etc/passwd").read_bytes()


def _write_file(target: Target) -> None:
    path = Path(target.folder) / "written"
    path.write_bytes(b"")
    path.unlink()


def _list_folder(_target: Target) -> None:
    os.listdir("/")  # noqa: PTH208


def _read_own_memory(_target: Target) -> None:
    with open("/proc/self/mem", "rb"):  # noqa: PTH123
        pass


def _read_parents_memory(target: Target) -> None:
    with open(f"/proc/{target.parent}/mem", "rb"):  # noqa: PTH123
        pass


def _connect(target: Target) -> None:
    with closing(socket.socket()) as caller:
        caller.connect(("127.0.0.1", target.port))


def _connect_by_name(target: Target) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as caller:
        caller.connect(target.abstract)


def _open_socket(_target: Target) -> None:
    socket.socket(socket.AF_UNIX).close()


def _use_secret(target: Target) -> None:
    os.pread(target.secret, 1, 0)


def _read_environment(_target: Target) -> None:
    if CANARY not in os.environ:
        raise PermissionError(errno.EPERM, "the environment is empty")


def _grow(target: Target) -> None:
    bytearray(target.memory_bytes)


def _write_much(target: Target) -> None:
    os.write(target.handed, b"much")


def _multiply_descriptors(target: Target) -> None:
    copies: list[int] = []
    try:
        copies.extend(os.dup(target.handed) for _ in range(PAGE))
    finally:
        for copy in copies:
            os.close(copy)


def _fork(_target: Target) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    with suppress(OSError):
        os.waitpid(child, 0)


def _signal_parent(target: Target) -> None:
    os.kill(target.parent, 0)


def _signal_init(_target: Target) -> None:
    os.kill(1, 0)


def _signal_thread_of_parent(target: Target) -> None:
    if ctypes.CDLL(None, use_errno=True).tgkill(target.parent, target.parent, 0):
        raise OSError(ctypes.get_errno(), "tgkill")


def _become_root(_target: Target) -> None:
    if os.getresuid() != (0, 0, 0):
        os.setresuid(0, 0, 0)


def _rename_machine(_target: Target) -> None:
    socket.sethostname(socket.gethostname())


def _regain_privileges(_target: Target) -> None:
    if kernel.prctl(PR_GET_NO_NEW_PRIVS) == 1:
        raise PermissionError(errno.EPERM, "no program gains a privilege")


def _change_process(_target: Target) -> None:
    kernel.prctl(PR_SET_TIMERSLACK, 0)


def _make_file_in_memory(_target: Target) -> None:
    os.close(os.memfd_create("attempt"))


def _map_code(_target: Target) -> None:
    _map(READ | EXECUTE)


def _make_code_of_data(_target: Target) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    address = ctypes.c_void_p(_map(READ | WRITE))
    if libc.mprotect(address, ctypes.c_size_t(PAGE), READ | EXECUTE):
        raise OSError(ctypes.get_errno(), "mprotect")


def _map(protection: int) -> int | None:
    mmap = ctypes.CDLL(None, use_errno=True).mmap
    mmap.restype = ctypes.c_void_p
    size, offset = ctypes.c_size_t(PAGE), ctypes.c_long(0)
    address = mmap(None, size, protection, PRIVATE_MEMORY, -1, offset)
    if address == NO_SUCH_MAPPING:
        raise OSError(ctypes.get_errno(), "mmap")
    return int(address)


ATTEMPTS: Final[Mapping[str, Attempt]] = {
    "use a descriptor not handed in": Attempt(_use_secret, (SURROUNDINGS,)),
    "read the environment": Attempt(_read_environment, (SURROUNDINGS,)),
    "take more memory": Attempt(_grow, (LIMITS,)),
    "write to a file handed in": Attempt(_write_much, (LIMITS,)),
    "open very many descriptors": Attempt(_multiply_descriptors, (LIMITS, CALLS)),
    "connect over the network": Attempt(_connect, (NAMESPACES, CALLS)),
    "connect to an abstract socket": Attempt(_connect_by_name, (NAMESPACES, CALLS)),
    "become root": Attempt(_become_root, (IDENTITY,)),
    "use a capability": Attempt(_rename_machine, (IDENTITY,)),
    "regain privileges": Attempt(_regain_privileges, (PRIVILEGES,)),
    "read a file": Attempt(_read_file, (FILES, CALLS)),
    "write a file": Attempt(_write_file, (FILES, CALLS)),
    "list a folder": Attempt(_list_folder, (FILES, CALLS)),
    "read its own memory as a file": Attempt(_read_own_memory, (FILES, CALLS)),
    "read its parent's memory": Attempt(_read_parents_memory, (FILES, CALLS)),
    "open a Unix socket": Attempt(_open_socket, (CALLS,)),
    "start a process": Attempt(_fork, (CALLS,)),
    "signal its parent": Attempt(_signal_parent, (CALLS,)),
    "signal a thread of its parent": Attempt(_signal_thread_of_parent, (CALLS,)),
    "signal the first process": Attempt(_signal_init, (CALLS,)),
    "change a property of the process": Attempt(_change_process, (CALLS,)),
    "make a file in memory": Attempt(_make_file_in_memory, (CALLS,)),
    "map memory to run code from": Attempt(_map_code, (CALLS,)),
    "turn data into code": Attempt(_make_code_of_data, (CALLS,)),
}
# Calls that end the process; each is tried in one of its own, with no argument.
LETHAL_ATTEMPTS: Final = (
    "execve",
    "ptrace",
    "process_vm_readv",
    "io_uring_setup",
    "unshare",
    "setns",
    "mount",
    "personality",
    "userfaultfd",
    "bpf",
    "perf_event_open",
    "keyctl",
    "pidfd_open",
)
