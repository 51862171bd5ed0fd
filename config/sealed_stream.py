"""Sealing of long streams, whose parts can be neither altered, reordered, repeated nor cut off.

The construction is STREAM (Hoang, Reyhanitabar, Rogaway, Vizar 2015, as in age): AES-256-GCM over
parts of one size, each under its number as the nonce, the last one marked. The key belongs to one
stream: HKDF-SHA-256 of the master key with a random salt, so that numbers may start from zero.
"""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from config.errors import SealBroken

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAGIC: Final = b"sallyport sealed stream 1\n"
SALT_BYTES: Final = 32
KEY_BYTES: Final = 32
TAG_BYTES: Final = 16
PART_BYTES: Final = 256 * 1024
HEADER_BYTES: Final = len(MAGIC) + SALT_BYTES
KEPT_PARTS: Final = 32  # as many columns may be read side by side


@dataclass(frozen=True, slots=True)
class Sealed:
    """A finished stream, and all that opens it: a descriptor of its file, its key and its size."""

    descriptor: int
    key: bytes = field(repr=False)
    size: int
    purpose: str


class SealedWriter:
    """Seals what is written into a file; only after `finish` can it be opened."""

    def __init__(self, file: IO[bytes], master_key: bytes, *, purpose: str) -> None:
        salt = os.urandom(SALT_BYTES)
        self.name = salt.hex()
        self._file = file
        self._header = MAGIC + salt
        self._cipher = AESGCM(_derive(master_key, salt, purpose))
        self._pending = bytearray()
        self._number = 0
        file.write(self._header)

    def write(self, data: bytes) -> None:
        """Append data."""
        self._pending += data
        # One part is held back: whether it is the last is not known yet.
        while len(self._pending) > PART_BYTES:
            self._seal(PART_BYTES, last=False)

    def finish(self) -> None:
        """Write the last part."""
        self._seal(len(self._pending), last=True)

    def _seal(self, size: int, *, last: bool) -> None:
        part = bytes(self._pending[:size])
        del self._pending[:size]
        nonce = _nonce(self._number, last=last)
        self._file.write(self._cipher.encrypt(nonce, part, self._header))
        self._number += 1


class SealedReader:
    """Opens a sealed stream; every byte it returns is authentic and in its place."""

    def __init__(self, file: IO[bytes], master_keys: tuple[bytes, ...], *, purpose: str) -> None:
        self._file = file
        self._header = file.read(HEADER_BYTES)
        if len(self._header) != HEADER_BYTES or not self._header.startswith(MAGIC):
            raise SealBroken("the header")
        salt = self._header[len(MAGIC) :]
        self.name = salt.hex()
        self._ciphers = [AESGCM(_derive(key, salt, purpose)) for key in master_keys]
        self._next = self._read_part()
        self._opened = b""
        self._position = 0
        self._number = 0
        self._ended = False

    def read(self, size: int) -> bytes:
        """Return exactly so many bytes; raises SealBroken where the stream is not as written."""
        while len(self._opened) - self._position < size:
            if self._ended:
                raise SealBroken("the end of the stream")
            self._open_part()
        self._position += size
        return self._opened[self._position - size : self._position]

    def finish(self) -> None:
        """Raise SealBroken unless everything has been read."""
        if not self._ended:
            self._open_part()
        if self._position != len(self._opened):
            raise SealBroken("what follows the end")

    @property
    def offset(self) -> int:
        """How many bytes of the file have been read."""
        return self._file.tell()

    def _open_part(self) -> None:
        sealed, self._next = self._next, self._read_part()
        self._ended = not self._next
        nonce = _nonce(self._number, last=self._ended)
        for cipher in self._ciphers:
            try:
                part = cipher.decrypt(nonce, sealed, self._header)
            except (InvalidTag, ValueError):
                continue
            self._ciphers = [cipher]
            self._number += 1
            self._opened = self._opened[self._position :] + part
            self._position = 0
            return
        raise SealBroken(f"part {self._number + 1}")

    def _read_part(self) -> bytes:
        return self._file.read(PART_BYTES + TAG_BYTES)


class Unsealed(io.RawIOBase):
    """A sealed stream of a known size as a file to read, of which no plaintext is kept."""

    def __init__(self, reader: SealedReader, size: int) -> None:
        self._reader = reader
        self._left = size

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill the buffer; at the end of the stream, raises SealBroken unless it is whole."""
        target = memoryview(buffer).cast("B")
        size = min(len(target), self._left)
        target[:size] = self._reader.read(size)
        self._left -= size
        if not self._left:
            self._reader.finish()
        return size


class UnsealedAnywhere(io.RawIOBase):
    """A sealed stream of a known size as a file to read from anywhere.

    Every byte that it returns is authentic and in its place; raises SealBroken. Some of the parts
    that were read last are kept.
    """

    def __init__(self, file: io.FileIO, sealed: Sealed) -> None:
        self._file = file
        self._size = sealed.size
        self._count = max(1, -(-sealed.size // PART_BYTES))
        self._position = 0
        self._parts: OrderedDict[int, memoryview] = OrderedDict()
        header = file.read(HEADER_BYTES)
        if header is None or len(header) != HEADER_BYTES or not header.startswith(MAGIC):
            raise SealBroken("the header")
        self._header = header
        self._cipher = AESGCM(_derive(sealed.key, header[len(MAGIC) :], sealed.purpose))

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next byte is read from."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Read from another place next."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("a place before the beginning")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill the buffer as far as the stream goes."""
        target = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(target) and self._position < self._size:
            number, start = divmod(self._position, PART_BYTES)
            piece = self._part(number)[start : start + len(target) - filled]
            target[filled : filled + len(piece)] = piece
            filled += len(piece)
            self._position += len(piece)
        return filled

    def _part(self, number: int) -> memoryview:
        if number not in self._parts:
            if len(self._parts) >= KEPT_PARTS:
                self._parts.popitem(last=False)
            self._parts[number] = memoryview(self._open_part(number))
        self._parts.move_to_end(number)
        return self._parts[number]

    def _open_part(self, number: int) -> bytes:
        last = number == self._count - 1
        size = self._size - number * PART_BYTES if last else PART_BYTES
        self._file.seek(HEADER_BYTES + number * (PART_BYTES + TAG_BYTES))
        sealed = bytearray(size + TAG_BYTES)
        view, filled = memoryview(sealed), 0
        while filled < len(sealed) and (count := self._file.readinto(view[filled:])):
            filled += count
        try:
            return self._cipher.decrypt(_nonce(number, last=last), sealed, self._header)
        except (InvalidTag, ValueError):
            raise SealBroken(f"part {number + 1}") from None


def _derive(master_key: bytes, salt: bytes, purpose: str) -> bytes:
    info = b"sallyport " + purpose.encode()
    return HKDF(SHA256(), length=KEY_BYTES, salt=salt, info=info).derive(master_key)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11) + bytes([last])
