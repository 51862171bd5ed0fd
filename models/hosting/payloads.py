"""Rows and texts as bytes: what the frames between a worker and a host carry, besides numbers.

    matrix  rows * columns float64, row by row
    table   a kind for each column (0 number, 1 text), then column by column its content
    number  rows float64
    text    length of the UTF-8, 8 bytes | rows + 1 offsets into it, 4 bytes each
            | a byte for each row, 1 where it is missing | the UTF-8

All is little-endian, and every part is padded to 8 bytes, so that numbers lie where native code
wants them. A reader takes nothing on trust: whatever a part claims is compared with what is there.
"""

from __future__ import annotations

import itertools
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import FrameMalformed
from models.tables import Features, Table

NUMBER_BYTES: Final = 8
OFFSET_BYTES: Final = 4
LENGTH_BYTES: Final = 8
MOST_TEXT_BYTES: Final = 2**31 - 1
TEXT: Final = 1

Buffer = bytes | bytearray | memoryview


def encode_features(features: Features) -> list[Buffer]:
    """The parts of a payload that holds the rows."""
    if not isinstance(features, Table):
        return [np.ascontiguousarray(features, "<f8").data.cast("B")]
    kinds = bytes(int(column.dtype == object) for column in features.columns)
    parts: list[Buffer] = [_padded(kinds)]
    for column, is_text in zip(features.columns, kinds, strict=True):
        if is_text:
            parts += encode_texts(column.tolist())
        else:
            parts.append(np.ascontiguousarray(column, "<f8").data.cast("B"))
    return parts


def decode_matrix(payload: Buffer, rows: int, columns: int) -> NDArray[np.float64]:
    """Read a matrix, writable; raises FrameMalformed unless it has exactly this shape."""
    if len(payload) != rows * columns * NUMBER_BYTES:
        raise FrameMalformed("a matrix is not as long as its shape says")
    matrix = np.frombuffer(payload, "<f8").reshape(rows, columns)
    # Some native code asks for memory that it could write to, though it never does.
    return matrix if matrix.flags.writeable and matrix.flags.aligned else matrix.copy()


def decode_table(payload: Buffer, rows: int, columns: int) -> Table:
    """Read a table; raises FrameMalformed unless it has exactly this shape."""
    reader = Reader(payload)
    kinds = bytes(reader.take(columns))
    if any(kind > TEXT for kind in kinds):
        raise FrameMalformed("a column is neither of numbers nor of texts")
    read = [_decode_column(reader, rows, is_text=kind == TEXT) for kind in kinds]
    reader.end()
    return Table(tuple(read))


def encode_texts(texts: list[str | None]) -> list[Buffer]:
    """The parts of a payload that holds texts, each of which may be missing."""
    encoded = [(text or "").encode() for text in texts]
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    if offsets[-1] > MOST_TEXT_BYTES:
        raise FrameMalformed("the texts of one column are too long")
    missing = bytes(text is None for text in texts)
    length = int(offsets[-1]).to_bytes(LENGTH_BYTES, "little")
    placed = _padded(offsets.astype("<u4").tobytes())
    return [length, placed, _padded(missing), _padded(b"".join(encoded))]


class Reader:
    """Takes parts off a payload, never more than there is."""

    def __init__(self, payload: Buffer) -> None:
        self._payload = memoryview(payload)
        self._at = 0

    def take(self, length: int) -> memoryview:
        """The next part, without its padding; raises FrameMalformed if it is cut off."""
        end = self._at + length
        padded = end + -length % NUMBER_BYTES
        if padded > len(self._payload):
            raise FrameMalformed("a payload is cut off")
        part = self._payload[self._at : end]
        self._at = padded
        return part

    def texts(self, rows: int) -> NDArray[Any]:
        """Texts, or None where one is missing, as objects: no text is as long as the longest."""
        length = int.from_bytes(self.take(LENGTH_BYTES), "little")
        offsets = np.frombuffer(self.take((rows + 1) * OFFSET_BYTES), "<u4").astype(np.int64)
        missing = np.frombuffer(self.take(rows), np.uint8)
        content = bytes(self.take(length))
        if offsets[0] or offsets[-1] != length or (np.diff(offsets) < 0).any():
            raise FrameMalformed("the offsets of texts do not rise to their length")
        texts = np.empty(rows, dtype=object)
        texts[:] = _cut(content, offsets.tolist())
        texts[missing != 0] = None
        return texts

    def end(self) -> None:
        """Raise FrameMalformed unless the whole payload was taken."""
        if self._at != len(self._payload):
            raise FrameMalformed("a payload is longer than its content")


def _decode_column(reader: Reader, rows: int, *, is_text: bool) -> NDArray[Any]:
    if is_text:
        return reader.texts(rows)
    return np.frombuffer(reader.take(rows * NUMBER_BYTES), "<f8").copy()


def _cut(content: bytes, offsets: list[int]) -> list[str]:
    pairs = itertools.pairwise(offsets)
    try:
        if content.isascii():
            text = content.decode("ascii")
            return [text[start:end] for start, end in pairs]
        return [content[start:end].decode() for start, end in pairs]
    except UnicodeDecodeError as error:
        raise FrameMalformed("a text is not UTF-8") from error


def _padded(part: bytes) -> bytes:
    return part + bytes(-len(part) % NUMBER_BYTES)
