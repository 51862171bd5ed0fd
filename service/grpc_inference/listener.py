"""The port: held by the supervisor, listened on by each worker, handed over without a refusal.

gRPC's server makes its listening sockets itself, one in every process (SO_REUSEPORT), and cannot
be given one. So the supervisor holds the port with a socket that never listens, and when workers
are replaced, those that leave tell the kernel to give new connections to those that came.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import unquote

# Of <linux/filter.h> and <asm-generic/socket.h>; Python names none of them.
SO_ATTACH_FILTER: Final = 26
SO_ATTACH_REUSEPORT_CBPF: Final = 51
LOAD_WORD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
MODULO: Final = 0x94  # BPF_ALU | BPF_MOD | BPF_K
ADD: Final = 0x04  # BPF_ALU | BPF_ADD | BPF_K
RETURN: Final = 0x16  # BPF_RET | BPF_A
RETURN_IT: Final = 0x06  # BPF_RET | BPF_K
SAME: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
RANDOM: Final = 0xFFFFF000 + 56  # SKF_AD_OFF + SKF_AD_RANDOM
PROTOCOL: Final = 0xFFFFF000  # SKF_AD_OFF + SKF_AD_PROTOCOL
IPV4: Final = 0x0800  # ETH_P_IP
WHOLE: Final = 0xFFFFFFFF
ANY_IPV4: Final = "0.0.0.0"  # noqa: S104 - what is told apart here


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
    _attach(
        port,
        SO_ATTACH_REUSEPORT_CBPF,
        _Instruction(LOAD_WORD, 0, 0, RANDOM),
        _Instruction(MODULO, 0, 0, chosen),
        _Instruction(ADD, 0, 0, workers),
        _Instruction(RETURN, 0, 0, 0),
    )


def keep_to(address: str) -> None:
    """Listen where it was asked: gRPC takes every IPv4 address for every address there is.

    To be called before connections are accepted, which go by what their listener does.
    """
    host, _, port = address.rpartition(":")
    if host == ANY_IPV4:
        _attach(
            int(port),
            SO_ATTACH_FILTER,
            _Instruction(LOAD_WORD, 0, 0, PROTOCOL),
            _Instruction(SAME, 0, 1, IPV4),
            _Instruction(RETURN_IT, 0, 0, WHOLE),
            _Instruction(RETURN_IT, 0, 0, 0),  # as if nobody were there
        )


def hang_up(peer: str) -> None:
    """End the connection of a client by gRPC's name of it, and with it every call on it."""
    host, _, port = unquote(peer).partition(":")[2].rpartition(":")
    for found in _sockets():
        with suppress(OSError, ValueError):  # one that listens, or that has just ended
            name = found.getpeername()
            if str(name[1]) == port and _plain(name[0]) == _plain(host.strip("[]")):
                found.shutdown(socket.SHUT_RDWR)


def _attach(port: int, option: int, *instructions: _Instruction) -> None:
    program = (_Instruction * len(instructions))(*instructions)
    described = struct.pack("HL", len(program), ctypes.addressof(program))
    for listener in _listeners(port):
        with suppress(OSError):  # a kernel without it listens and hands over as gRPC does
            listener.setsockopt(socket.SOL_SOCKET, option, described)


def _plain(host: str) -> object:
    """An address as it is compared: IPv4 within IPv6 is IPv4, a scope is the link's own."""
    address = ipaddress.ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _listeners(port: int) -> Iterator[socket.socket]:
    """This process's sockets that listen on a port, each until the next is asked for."""
    return (found for found in _sockets() if _listens(found, port))


def _sockets() -> Iterator[socket.socket]:
    """This process's sockets of the Internet: gRPC does not tell which they are."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names alone, and no path
        with suppress(OSError):
            if not Path("/proc/self/fd", name).readlink().name.startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(name))) as found:
                if found.family in (socket.AF_INET, socket.AF_INET6):
                    yield found


def _listens(found: socket.socket, port: int) -> bool:
    listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    return bool(listens) and int(found.getsockname()[1]) == port


def _name(found: socket.socket) -> tuple[int, int, str]:
    with found:
        name = found.getsockname()
        return found.family, int(name[1]), str(name[0])
