"""Landlock: from here on this process opens no file, whatever its user may do."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from typing import Final

from models.hosting.kernel import system_call

# The numbers of newer system calls are the same on every architecture.
CREATE_RULESET: Final = 444
ADD_RULE: Final = 445
RESTRICT_SELF: Final = 446
ASK_VERSION: Final = 1
FILE_BENEATH: Final = 1
READ_FILE: Final = 1 << 2

# What each version of the interface can forbid: <linux/landlock.h>. A bit that the kernel does not
# know is refused as a whole, so that the version is asked first.
FILES: Final = {1: 13, 2: 14, 3: 15, 5: 16}  # version: how many of the access bits exist
CONNECTIONS: Final = 0b11  # binding and connecting TCP, since version 4
OUTSIDERS: Final = 0b11  # abstract Unix sockets and signals, since version 6
CONNECTIONS_SINCE: Final = 4
OUTSIDERS_SINCE: Final = 6


def version() -> int:
    """Return the version of the interface that the kernel speaks; raises OSError for none."""
    return system_call(CREATE_RULESET, 0, 0, ASK_VERSION)


def forbid_files(*, but: Iterable[str] = ()) -> None:
    """Forbid every access to files, TCP and processes outside; needs no_new_privs.

    Nothing is granted but to read the files of `but`. What is open stays open. Raises OSError.
    """
    spoken = version()
    bits = max(count for since, count in FILES.items() if since <= spoken)
    # An older kernel takes a longer structure if what it does not know is zero.
    attributes = struct.pack(
        "=QQQ",
        (1 << bits) - 1,
        CONNECTIONS if spoken >= CONNECTIONS_SINCE else 0,
        OUTSIDERS if spoken >= OUTSIDERS_SINCE else 0,
    )
    ruleset = system_call(CREATE_RULESET, _buffer(attributes), len(attributes), 0)
    try:
        for path in but:
            _grant_reading(ruleset, path)
        system_call(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _grant_reading(ruleset: int, path: str) -> None:
    file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _buffer(struct.pack("=Qi", READ_FILE, file))
        system_call(ADD_RULE, ruleset, FILE_BENEATH, rule, 0)
    finally:
        os.close(file)


def _buffer(content: bytes) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(content, len(content))
