"""The port: held by the supervisor, listened on by each worker, handed over without a refusal.

gRPC's server makes its listening sockets itself, one in every process (SO_REUSEPORT), and cannot
be given one. So the supervisor holds the port with a socket that never listens, and when workers
are replaced, those that leave tell the kernel to give new connections to those that came.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

# Of <linux/filter.h> and <asm-generic/socket.h>; Python names none of them.
SO_ATTACH_REUSEPORT_CBPF: Final = 51
LOAD_WORD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
MODULO: Final = 0x94  # BPF_ALU | BPF_MOD | BPF_K
ADD: Final = 0x04  # BPF_ALU | BPF_ADD | BPF_K
RETURN: Final = 0x16  # BPF_RET | BPF_A
RANDOM: Final = 0xFFFFF000 + 56  # SKF_AD_OFF + SKF_AD_RANDOM


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("jump_true", ctypes.c_ubyte),
        ("jump_false", ctypes.c_ubyte),
        ("operand", ctypes.c_uint),
    )


def address_of(reserved: int) -> str:
    """The address that the supervisor's socket holds, as gRPC writes addresses."""
    family, port, host = _name(socket.socket(fileno=os.dup(reserved)))
    return f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"


def step_aside(port: int, *, workers: int, last: bool = False) -> None:
    """Have the kernel give new connections to the successors of `workers` processes.

    Of the sockets that listen on a port the kernel keeps a list in the order in which they began,
    and the last one takes the place of one that ends. Those of a generation stand before those of
    the next: the places from `workers` on are the successors', and the first of these is one for
    as long as anybody of us is left, which the others are not. So it is all of them at first, and
    that one when we are about to end. Where there is nobody at a place, the kernel chooses as it
    did before: a program without a successor, or one that is alone again, is not concerned.
    """
    chosen = 1 if last else workers
    program = (_Instruction * 4)(
        _Instruction(LOAD_WORD, 0, 0, RANDOM),
        _Instruction(MODULO, 0, 0, chosen),
        _Instruction(ADD, 0, 0, workers),
        _Instruction(RETURN, 0, 0, 0),
    )
    described = struct.pack("HL", len(program), ctypes.addressof(program))
    for listener in _listeners(port):
        with suppress(OSError), listener:  # a kernel without it hands over as gRPC does
            listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, described)


def _listeners(port: int) -> Iterator[socket.socket]:
    """This process's sockets that listen on a port: gRPC does not tell which they are."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names alone, and no path
        with suppress(OSError):
            if not Path("/proc/self/fd", name).readlink().name.startswith("socket:"):
                continue
            found = socket.socket(fileno=os.dup(int(name)))
            if _listens(found, port):
                yield found
            else:
                found.close()


def _listens(found: socket.socket, port: int) -> bool:
    if found.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    return bool(listens) and int(found.getsockname()[1]) == port


def _name(found: socket.socket) -> tuple[int, int, str]:
    with found:
        name = found.getsockname()
        return found.family, int(name[1]), str(name[0])
