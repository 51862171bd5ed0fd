"""How tuples of text become keys of bytes: no two tuples share one."""

from __future__ import annotations

import struct
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from config.counters import Key

LONGEST: Final = 480  # LMDB's limit is 511
SLIDING: Final = b"c"
FORMER: Final = b"s"  # sliding counters before a record held two of them
DAILY: Final = b"d"
PLACES: Final = b"p"
USAGE: Final = b"u"
STATISTICS: Final = b"v"
_HASHED: Final = b"#"
_PLAIN: Final = b"="
_LENGTH: Final = struct.Struct(">I")


@lru_cache(maxsize=65_536)
def encode(kind: bytes, key: Key, detail: int | str = 0) -> bytes:
    """Write kind, detail (a window's bucket width, a day) and parts, each with its length."""
    return fit(kind, join((str(detail), *key)))


def join(parts: Key) -> bytes:
    """Write the parts one after the other, each after its length."""
    return b"".join(_LENGTH.pack(len(part)) + part for part in map(_bytes, parts))


def split(encoded: bytes) -> Key:
    """Read back what `join` wrote."""
    parts = []
    at = 0
    while at < len(encoded):
        start = at + _LENGTH.size
        at = start + _LENGTH.unpack_from(encoded, at)[0]
        parts.append(encoded[start:at].decode("utf-8", "surrogatepass"))
    return tuple(parts)


def fit(kind: bytes, joined: bytes) -> bytes:
    """Put the kind in front; what is too long for LMDB is replaced by its hash."""
    if len(joined) <= LONGEST:
        return kind + _PLAIN + joined
    return kind + _HASHED + blake2b(joined, digest_size=32).digest()


def _bytes(part: str) -> bytes:
    return part.encode("utf-8", "surrogatepass")  # any text, lone surrogates too
