"""Seccomp: a filter in the kernel that names what this process may still ask of it.

A filter is a short program of classic BPF: <linux/filter.h>, <linux/seccomp.h>. It cannot be
taken off again, and every process and thread that is started later inherits it.
"""

from __future__ import annotations

import ctypes
import errno
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from models.hosting.kernel import system_call

SET_FILTER: Final = 1
ALL_THREADS: Final = 1
ALLOW: Final = 0x7FFF_0000
KILL: Final = 0x8000_0000  # the whole process, with SIGSYS
REFUSE: Final = 0x0005_0000 | errno.EPERM
UNKNOWN: Final = 0x0005_0000 | errno.ENOSYS  # as of a kernel that does not have the call

LOAD: Final = 0x20  # a 32-bit word of struct seccomp_data into the accumulator
MASK: Final = 0x54
EQUAL: Final = 0x15
AT_LEAST: Final = 0x35
RETURN: Final = 0x06
NUMBER_AT: Final = 0
ARCHITECTURE_AT: Final = 4
ARGUMENTS_AT: Final = 16
X32: Final = 0x4000_0000  # x86-64's second table of calls, whose numbers carry this bit
WORD: Final = 0xFFFF_FFFF
INSTRUCTION: Final = 8  # bytes

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant


@dataclass(frozen=True, slots=True)
class Condition:
    """That an argument of a call, by its position, is `value` in the bits of `mask`."""

    argument: int
    mask: int
    value: int


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of one system call; if a condition fails, it is refused."""

    number: int
    action: int = ALLOW
    conditions: tuple[Condition, ...] = ()


def assemble(rules: Iterable[Rule], *, architecture: int, otherwise: int = REFUSE) -> bytes:
    """Return the filter of some rules, the often needed ones first, as bytes for `install`."""
    program: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE_AT),
        (EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER_AT),
        (AT_LEAST, 0, 1, X32),
        (RETURN, 0, 0, KILL),
    ]
    for rule in rules:
        block = list(_block(rule))
        program += [(EQUAL, 0, len(block), rule.number), *block]
    program.append((RETURN, 0, 0, otherwise))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def install(program: bytes, *, number: int) -> None:
    """Put a filter on every thread of this process for ever; needs no_new_privs.

    `number` is that of the system call seccomp. Raises OSError.
    """
    instructions = ctypes.create_string_buffer(program, len(program))
    content = struct.pack("@HP", len(program) // INSTRUCTION, ctypes.addressof(instructions))
    filter_ = ctypes.create_string_buffer(content, len(content))
    thread = system_call(number, SET_FILTER, ALL_THREADS, filter_)
    if thread:
        raise OSError(f"thread {thread} does not take the filter")


def _block(rule: Rule) -> Iterator[Instruction]:
    """What is done once the call is known to be the rule's; it always ends in a return."""
    for condition in rule.conditions:
        for half, shift in _halves():
            mask, value = condition.mask >> shift & WORD, condition.value >> shift & WORD
            if mask:
                yield (LOAD, 0, 0, ARGUMENTS_AT + 8 * condition.argument + half)
                yield (MASK, 0, 0, mask)
                yield (EQUAL, 1, 0, value)
                yield (RETURN, 0, 0, REFUSE)
    yield (RETURN, 0, 0, rule.action)


def _halves() -> tuple[tuple[int, int], tuple[int, int]]:
    """Where the low and the high half of a 64-bit argument lie, and how far to shift for each."""
    low = 0 if sys.byteorder == "little" else 4
    return (low, 0), (4 - low, 32)
