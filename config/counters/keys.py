"""How tuples of text become keys of bytes: no two tuples share one.

A key begins with its first part, which says whose it is, before the kind. What one call changes
then stands side by side in a sorted store, and is on few of its pages however many tenants there
are. Each kind by itself would have pages of its own, and a way to them that gets longer.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from config.counters import Key

LONGEST: Final = 480  # LMDB's limit is 511
SLIDING: Final = b"c"
DAILY: Final = b"d"
PLACES: Final = b"p"
USAGE: Final = b"u"
STATISTICS: Final = b"v"
_HASHED: Final = b"#"
_PLAIN: Final = b"="
_LENGTH: Final = struct.Struct(">I")


@lru_cache(maxsize=65_536)
def encode(kind: bytes, key: Key, detail: int | str = 0) -> bytes:
    """Write the first part, the kind, detail (a bucket's width, a day) and the other parts."""
    owner, *parts = key
    return fit(join((owner,)), kind, join((str(detail), *parts)))


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


def owned(owner: bytes, kind: bytes, parts: bytes) -> bytes:
    """The key of what is joined already."""
    return _PLAIN + owner + kind + parts


def fit(owner: bytes, kind: bytes, parts: bytes) -> bytes:
    """The same; what is too long for LMDB is replaced by its hash."""
    if len(owner) + len(kind) + len(parts) <= LONGEST:
        return owned(owner, kind, parts)
    return _HASHED + kind + blake2b(owner + kind + parts, digest_size=32).digest()


def after_first(joined: bytes, start: int = 0) -> int:
    """Where the second of the parts begins that are joined from a place on."""
    end: int = start + _LENGTH.size + _LENGTH.unpack_from(joined, start)[0]
    return end


def of_kind(name: bytes) -> bytes:
    """A key from its kind on, without whose it is."""
    return name[after_first(name, 1) :] if name.startswith(_PLAIN) else name[1:]


def parts_of(name: bytes) -> Key:
    """Read back the parts of a key that was not hashed: whose it is, and the others."""
    at = after_first(name, 1)
    return split(name[1:at]) + split(name[at + 1 :])


def _bytes(part: str) -> bytes:
    return part.encode("utf-8", "surrogatepass")  # any text, lone surrogates too
