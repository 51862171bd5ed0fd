"""The protocol's messages, made from their descriptions in a pool that nobody else uses.

A process may hold a client library's modules as well, which describe messages of the same names.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from models.errors import InputRefused
from service.grpc_inference.proto_files import Rpc, read_proto

FILES: Final = ("inference.proto", "health.proto")
VARINT, FIXED64, SIZED, FIXED32 = 0, 1, 2, 5  # of protobuf's encoding, "Message structure"
VARINT_BYTES: Final = 10
LARGE: Final = 256 * 1024


def _read_files() -> tuple[DescriptorPool, dict[str, Rpc]]:
    pool, rpcs = DescriptorPool(), dict[str, Rpc]()
    for name in FILES:
        file = read_proto(name)
        pool.AddSerializedFile(file.descriptor.SerializeToString())
        rpcs |= {rpc.path: rpc for rpc in file.rpcs}
    return pool, rpcs


POOL, RPCS = _read_files()
_ALONE: Final = threading.Lock()


def message_class(full_name: str) -> Any:
    """The class of a message by its full name, such as `inference.ModelInferRequest`."""
    return GetMessageClass(POOL.FindMessageTypeByName(full_name))


def decode(kind: Any, data: bytes, *, most_fields: int) -> Any:
    """A message from its bytes; raises InputRefused.

    Two bytes may make an object of a hundred. So the fields of the outermost message are counted
    first, of which well-meant ones have few.
    """
    _count_fields(data, most_fields)
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise _malformed() from error


@contextmanager
def taking_apart(data: bytes) -> Iterator[None]:
    """Take a large message apart while no other one is.

    What is made of its bytes may take twenty times as much for a moment. It costs no time: all of
    it happens under the interpreter's own lock.
    """
    if len(data) < LARGE:
        yield
        return
    with _ALONE:
        yield


def encode(kind: Any, described: dict[str, Any]) -> bytes:
    """The bytes of a message that is described by a plain dictionary; what it lacks is left out."""
    message: Message = ParseDict(described, kind(), ignore_unknown_fields=True)
    encoded: bytes = message.SerializeToString()
    return encoded


def _count_fields(data: bytes, most: int) -> None:
    at, size = 0, len(data)
    for _ in range(most):
        if at == size:
            return
        tag, at = _varint(data, at)
        at = _skip(data, at, tag & 7)
    if at != size:
        raise InputRefused("", f"more than {most} fields in one message")


def _skip(data: bytes, at: int, wire_type: int) -> int:
    """Where a field ends whose value begins here."""
    if wire_type == VARINT:
        return _varint(data, at)[1]
    if wire_type == SIZED:
        length, at = _varint(data, at)
    elif wire_type in (FIXED32, FIXED64):
        length = 4 if wire_type == FIXED32 else 8
    else:
        raise _malformed()  # groups, which the protocol has none of
    if length > len(data) - at:
        raise _malformed()
    return at + length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for position in range(at, min(at + VARINT_BYTES, len(data))):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + 1
        shift += 7
    raise _malformed()


def _malformed() -> InputRefused:
    return InputRefused("", "not the message that this method takes")
