"""Requests to the Linux kernel that Python has no function for."""

from __future__ import annotations

import ctypes
import os
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)

CLONE_NEWIPC: Final = 0x0800_0000
CLONE_NEWUSER: Final = 0x1000_0000
CLONE_NEWNET: Final = 0x4000_0000

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_CAPBSET_DROP: Final = 24
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

_CAPABILITY_VERSION_3: Final = 0x2008_0522


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def system_call(number: int, *arguments: int | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make a system call by its number; raises OSError with what the kernel says."""
    given = [
        ctypes.c_ulong(word & 0xFFFF_FFFF_FFFF_FFFF) if isinstance(word, int) else word
        for word in arguments
    ]
    return _checked(_LIBC.syscall(ctypes.c_long(number), *given))


def prctl(option: int, *arguments: int) -> int:
    """Change a property of this process; raises OSError."""
    given = (*arguments, *(0,) * (4 - len(arguments)))
    return _checked(_LIBC.prctl(ctypes.c_int(option), *map(ctypes.c_ulong, given)))


def unshare(flags: int) -> None:
    """Move this process into namespaces of its own; raises OSError."""
    _checked(_LIBC.unshare(ctypes.c_int(flags)))


def drop_capabilities() -> None:
    """Give up every capability of this process; raises OSError."""
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _checked(_LIBC.capset(ctypes.byref(header), ctypes.byref(nothing)))


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer
