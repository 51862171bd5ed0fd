"""The marks by which bytes of a format are known: looks at a file, bounded in time and memory.

This runs in web workers on bytes that a tenant chose. So nothing is unpacked or parsed as a whole:
only magic numbers, names in a table of contents, and the lengths of a message's fields are read.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

HEAD_BYTES: Final = 4096
ZIP: Final = b"PK\x03\x04"
END: Final = b"PK\x05\x06"
END_BYTES: Final = 22
MOST_COMMENT: Final = 65_535
END64: Final = b"PK\x06\x06"
LOCATOR64: Final = b"PK\x06\x07"
LOCATOR64_BYTES: Final = 20
ENTRY: Final = b"PK\x01\x02"
ENTRY_BYTES: Final = 46
MOST_DIRECTORY_BYTES: Final = 32 * 1024**2
IN_64: Final = 0xFFFF_FFFF
TAR_BLOCK: Final = 512
TAR_MARK: Final = b"ustar"
TAR_MARK_AT: Final = 257
MOST_TAR_MEMBERS: Final = 10_000
MOST_FIELDS: Final = 100_000
MOST_VARINT_BYTES: Final = 10
VARINT, COUNTED = 0, 2  # the wire types of protobuf that are met

ModelFields = dict[int, int]


def head(source: BinaryIO) -> bytes:
    """The first bytes of a file."""
    source.seek(0)
    return source.read(HEAD_BYTES)


def length(source: BinaryIO) -> int:
    """How many bytes a file has."""
    return source.seek(0, io.SEEK_END)


def zip_names(source: BinaryIO) -> frozenset[str]:
    """The names that a zip archive's table of contents lists; none where there is none."""
    if not head(source).startswith(ZIP):
        return frozenset()
    found = _directory(source)
    if found is None:
        return frozenset()
    start, size = found
    source.seek(start)
    return frozenset(_entries(source.read(size)))


def tar_names(source: BinaryIO) -> frozenset[str]:
    """The names of a tar archive's members; none where it is no such archive."""
    return frozenset(_members(source))


def message_fields(source: BinaryIO, known: ModelFields) -> frozenset[int]:
    """The fields of a protobuf message, if it has only known ones and ends with the file.

    `known` has the wire type of each field's number.
    """
    end, at, found = length(source), 0, set()
    for _ in range(MOST_FIELDS):
        source.seek(at)
        step = _field(source.read(2 * MOST_VARINT_BYTES), known)
        if step is None:
            return frozenset()
        number, size = step
        found.add(number)
        at += size
        if at >= end:
            return frozenset(found) if at == end else frozenset()
    return frozenset()


def matches(source: BinaryIO, pattern: re.Pattern[bytes]) -> bool:
    """Whether the first bytes of a file are like a pattern."""
    return pattern.match(head(source)) is not None


def _directory(source: BinaryIO) -> tuple[int, int] | None:
    """Where the table of contents lies, and its size, as the end of the archive says."""
    total = length(source)
    tail_at = max(0, total - END_BYTES - MOST_COMMENT)
    source.seek(tail_at)
    tail = source.read()
    at = tail.rfind(END)
    if at < 0 or at + END_BYTES > len(tail):
        return None
    size, start = struct.unpack_from("<II", tail, at + 12)
    if IN_64 in (size, start):
        found = _directory64(source, tail_at + at)
        if found is None:
            return None
        start, size = found
    return (start, size) if size <= MOST_DIRECTORY_BYTES and start + size <= total else None


def _directory64(source: BinaryIO, end_at: int) -> tuple[int, int] | None:
    if end_at < LOCATOR64_BYTES:
        return None
    source.seek(end_at - LOCATOR64_BYTES)
    locator = source.read(LOCATOR64_BYTES)
    if not locator.startswith(LOCATOR64):
        return None
    (record_at,) = struct.unpack_from("<Q", locator, 8)
    if record_at >= end_at:
        return None
    source.seek(record_at)
    record = source.read(56)
    if len(record) < 56 or not record.startswith(END64):
        return None
    size, start = struct.unpack_from("<QQ", record, 40)
    return start, size


def _entries(directory: bytes) -> Iterator[str]:
    at = 0
    while directory.startswith(ENTRY, at) and at + ENTRY_BYTES <= len(directory):
        name, extra, comment = struct.unpack_from("<HHH", directory, at + 28)
        at += ENTRY_BYTES
        yield directory[at : at + name].decode("utf-8", "replace")
        at += name + extra + comment


def _is_tar(block: bytes) -> bool:
    return block[TAR_MARK_AT : TAR_MARK_AT + len(TAR_MARK)] == TAR_MARK


def _members(source: BinaryIO) -> Iterator[str]:
    at = 0
    for _ in range(MOST_TAR_MEMBERS):
        source.seek(at)
        block = source.read(TAR_BLOCK)
        if not _is_tar(block):
            return
        size = block[124:136].strip(b"\0 ")
        if not re.fullmatch(rb"[0-7]{1,11}", size):
            return
        yield block[:100].partition(b"\0")[0].decode("utf-8", "replace")
        at += TAR_BLOCK + -(-int(size, 8) // TAR_BLOCK) * TAR_BLOCK


def _field(head_: bytes, known: ModelFields) -> tuple[int, int] | None:
    """The number of the field that begins here, and how many bytes it takes."""
    tag = _varint(head_, 0)
    if tag is None:
        return None
    number, wire = tag[0] >> 3, tag[0] & 7
    if known.get(number) != wire:
        return None
    value = _varint(head_, tag[1])
    if value is None:
        return None
    return number, value[1] + (value[0] if wire == COUNTED else 0)


def _varint(data: bytes, at: int) -> tuple[int, int] | None:
    """A number of seven bits a byte, and where it ends."""
    value = 0
    for index, byte in enumerate(data[at : at + MOST_VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    return None
