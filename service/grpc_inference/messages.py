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

from service.grpc_inference.counting import check_parts, malformed
from service.grpc_inference.proto_files import Rpc, read_proto

FILES: Final = ("inference.proto", "health.proto")
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

    What it would be made of is counted first, nested messages included.
    """
    check_parts(kind.DESCRIPTOR, data, most_fields=most_fields)
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise malformed() from error


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
