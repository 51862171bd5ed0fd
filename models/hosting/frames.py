"""The frames between a worker and a host: fixed headers, arrays behind them, nothing that runs.

    request  72 bytes, then the rows, or what is to be loaded (its bytes follow as a descriptor)
    answer   40 bytes, then the answers, or why there are none

Either side takes the other for hostile. A length is compared with what was asked and with a bound
before anything is allocated for it; a header that claims anything else ends the connection.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.errors import FrameMalformed
from models.hosting.payloads import (
    NUMBER_BYTES,
    Buffer,
    Reader,
    decode_matrix,
    decode_table,
    encode_features,
    encode_texts,
)
from models.signature import METHODS
from models.tables import Features, Table, column_count, row_count

MAGIC: Final = 0x53_4C_59_31
MOST_PAYLOAD_BYTES: Final = 2**31
MOST_TEXTS_BYTES: Final = 2**28  # of the texts in an answer
MOST_ARTEFACT_BYTES: Final = 2**36
MOST_REASON_BYTES: Final = 1000
MOST_COLUMNS: Final = 2**20
EXACT: Final = 2**53  # the integers that a float64 holds

# magic, kind, method, form, padding, call, version, rows, columns, deadline, length of the payload
REQUEST: Final = struct.Struct("<IBBBxQ32sIIdQ")
# magic, status, dtype, calls in the batch, call, rows, width, microseconds, padding, length
ANSWER: Final = struct.Struct("<IBBHQIIIxxxxQ")
LOAD: Final = struct.Struct("<Q32s32s")

PREDICT, PUT, HOLDS = range(3)  # kinds of requests: answer rows; open a version; is it open?
MATRIX, TABLE, NOTHING = range(3)  # forms of a payload
# How a request ends: with answers; open; not open; the model fails; the file is refused; too late.
ANSWERED, OPEN, NOT_OPEN, FAILED, REFUSED, EXPIRED = range(6)
DTYPES: Final = ("<f8", "<i8", "|b1", "text")
TEXTS: Final = DTYPES.index("text")
ITEM_BYTES: Final = (8, 8, 1)


class Request(NamedTuple):
    """The header of what a worker asks; `deadline` is on the machine's monotonic clock."""

    kind: int
    call: int
    version: bytes
    deadline: float
    method: int = 0
    form: int = NOTHING
    rows: int = 0
    columns: int = 0
    length: int = 0


class Answer(NamedTuple):
    """The header of what a host answers; `width` 0 is one answer per row."""

    status: int
    call: int
    rows: int = 0
    width: int = 0
    dtype: int = 0
    batch: int = 0
    microseconds: int = 0
    length: int = 0


@dataclass(frozen=True, slots=True)
class Artefact:
    """What a host is to open: the size, digest and format of the bytes in the descriptor."""

    size: int
    digest: bytes
    format: str


def version_key(tenant_id: str, version_id: str, digest: str, role: str) -> bytes:
    """A file of a version as hosts name it: none of the four alone says whose answer it is."""
    text = "\0".join((tenant_id, version_id, digest, role))
    return hashlib.sha256(text.encode()).digest()


def prediction(
    call: int, version: bytes, method: str, features: Features, *, deadline: float
) -> list[Buffer]:
    """The frame that asks for a method's answer to each row."""
    parts = encode_features(features)
    form = TABLE if isinstance(features, Table) else MATRIX
    shape = row_count(features), column_count(features)
    return [
        _request(PREDICT, call, version, deadline, METHODS.index(method), form, shape, parts),
        *parts,
    ]


def put(call: int, version: bytes, artefact: Artefact, *, deadline: float) -> list[Buffer]:
    """The frame that has a version opened; the descriptor of its bytes goes with it."""
    payload = LOAD.pack(artefact.size, artefact.digest, artefact.format.encode())
    return [_request(PUT, call, version, deadline, 0, NOTHING, (0, 0), [payload]), payload]


def holds(call: int, version: bytes, *, deadline: float) -> list[Buffer]:
    """The frame that asks whether a version is open."""
    return [_request(HOLDS, call, version, deadline, 0, NOTHING, (0, 0), [])]


def read_request(header: Buffer) -> Request:
    """Read a request's header; raises FrameMalformed for anything that no worker sends."""
    magic, kind, method, form, call, version, rows, columns, deadline, length = REQUEST.unpack(
        header
    )
    request = Request(kind, call, version, deadline, method, form, rows, columns, length)
    if magic != MAGIC or length > MOST_PAYLOAD_BYTES:
        raise FrameMalformed("a request has no such header")
    if kind >= len(_FITS) or not _FITS[kind](request):
        raise FrameMalformed("a request contradicts itself")
    return request


def _fits_prediction(request: Request) -> bool:
    rows, columns = request.rows, request.columns
    if request.method >= len(METHODS) or rows == 0 or not 0 < columns <= MOST_COLUMNS:
        return False
    if request.form == MATRIX:
        return request.length == rows * columns * NUMBER_BYTES
    return request.form == TABLE


# By the kind of the request.
_FITS: Final[tuple[Callable[[Request], bool], ...]] = (
    _fits_prediction,
    lambda request: request.form == NOTHING and request.length == LOAD.size,
    lambda request: request.form == NOTHING and request.length == 0,
)


def read_features(request: Request, payload: Buffer) -> Features:
    """Read the rows of a prediction; raises FrameMalformed unless they are as the header says."""
    read = decode_table if request.form == TABLE else decode_matrix
    return read(payload, request.rows, request.columns)


def read_artefact(payload: Buffer) -> Artefact:
    """Read what is to be opened; raises FrameMalformed if it cannot be."""
    size, digest, name = LOAD.unpack(payload)
    text = name.rstrip(b"\0")
    if size > MOST_ARTEFACT_BYTES or not text.isascii():
        raise FrameMalformed("an artefact has no such size or format")
    return Artefact(size, digest, text.decode("ascii"))


def answers(call: int, values: NDArray[Any], *, batch: int, microseconds: int) -> list[Buffer]:
    """The frame with the answers, one dimension or two; raises FrameMalformed for other kinds."""
    plain = _plain(values)
    rows, width = len(plain), plain.shape[1] if plain.ndim == 2 else 0
    if plain.dtype == object:
        dtype, parts = TEXTS, encode_texts(plain.ravel().tolist())
    else:
        dtype, parts = DTYPES.index(plain.dtype.str), [_bytes_of(plain)]
    length = sum(len(part) for part in parts)
    if length > (MOST_TEXTS_BYTES if dtype == TEXTS else MOST_PAYLOAD_BYTES):
        raise FrameMalformed(f"the answers take {length} bytes")
    head = ANSWER.pack(
        MAGIC, ANSWERED, dtype, batch, call, rows, width, min(microseconds, 2**32 - 1), length
    )
    return [head, *parts]


def outcome(call: int, status: int, reason: str = "") -> list[Buffer]:
    """The frame that ends a request without answers; a reason is cut to its bound."""
    text = reason.encode("utf-8", "replace")[:MOST_REASON_BYTES]
    return [ANSWER.pack(MAGIC, status, 0, 0, call, 0, 0, 0, len(text)), text]


def read_answer(header: Buffer) -> Answer:
    """Read an answer's header; raises FrameMalformed for anything that no host sends."""
    magic, status, dtype, batch, call, rows, width, microseconds, length = ANSWER.unpack(header)
    answer = Answer(status, call, rows, width, dtype, batch, microseconds, length)
    if magic != MAGIC or status > EXPIRED or length > MOST_PAYLOAD_BYTES:
        raise FrameMalformed("an answer has no such header")
    if status != ANSWERED:
        if rows or width or length > MOST_REASON_BYTES:
            raise FrameMalformed("an answer contradicts itself")
    elif dtype > TEXTS or width > MOST_COLUMNS or (dtype == TEXTS and length > MOST_TEXTS_BYTES):
        raise FrameMalformed("answers are of no known kind")
    elif dtype != TEXTS and length != rows * max(1, width) * ITEM_BYTES[dtype]:
        raise FrameMalformed("answers are not as long as their shape says")
    return answer


def read_values(answer: Answer, payload: Buffer) -> NDArray[Any]:
    """Read the answers; raises FrameMalformed unless they are as the header says."""
    shape = (answer.rows, answer.width) if answer.width else (answer.rows,)
    if answer.dtype == TEXTS:
        reader = Reader(payload)
        texts = reader.texts(answer.rows * max(1, answer.width))
        reader.end()
        if any(text is None for text in texts):
            raise FrameMalformed("a text is missing in an answer")
        return texts.reshape(shape)
    flat = np.frombuffer(payload, DTYPES[answer.dtype])
    if flat.dtype == bool and (flat.view(np.uint8) > 1).any():
        raise FrameMalformed("a truth value is neither 0 nor 1")
    return flat.reshape(shape)


def read_reason(payload: Buffer) -> str:
    """Read why there are no answers: opaque, for a log or a report."""
    return bytes(payload).decode("utf-8", "replace")


def _request(
    kind: int,
    call: int,
    version: bytes,
    deadline: float,
    method: int,
    form: int,
    shape: tuple[int, int],
    parts: list[Buffer],
) -> bytes:
    length = sum(len(part) for part in parts)
    if length > MOST_PAYLOAD_BYTES:
        raise FrameMalformed(f"the rows take {length} bytes")
    return REQUEST.pack(MAGIC, kind, method, form, call, version, *shape, deadline, length)


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """The answers in one of the kinds that travel."""
    if values.ndim not in (1, 2) or (values.ndim == 2 and not 0 < values.shape[1] <= MOST_COLUMNS):
        raise FrameMalformed(f"the answers have the shape {values.shape}")
    kind = values.dtype.kind
    if kind == "O":
        return _plain_objects(values)
    if kind == "u" and values.size and int(values.max()) >= 2**63:
        raise FrameMalformed("an answer is an integer that is too large")
    wanted = {"f": "<f8", "i": "<i8", "u": "<i8", "b": "|b1", "U": "O"}.get(kind)
    if wanted is None or (values.dtype.itemsize > NUMBER_BYTES and kind == "f"):
        raise FrameMalformed(f"the answers are of the kind {values.dtype}")
    return values.astype(wanted, copy=False)


def _plain_objects(values: NDArray[Any]) -> NDArray[Any]:
    flat = values.ravel().tolist()
    if all(isinstance(value, str) for value in flat):
        return values
    if all(isinstance(value, bool | np.bool_) for value in flat):
        return values.astype("|b1")
    if all(type(value) is int and -(2**63) <= value < 2**63 for value in flat):
        return values.astype("<i8")
    if all(isinstance(v, float) or (type(v) is int and abs(v) <= EXACT) for v in flat):
        return values.astype("<f8")
    raise FrameMalformed("the answers are of mixed kinds")


def _bytes_of(values: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
