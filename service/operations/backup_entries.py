"""The contents of a backup: entries of a header and a body, one after another.

about      what made it, when, and the revision of the tables
rows       some rows of one table; tables come in an order that references allow
loaded     no rows follow
file       a file of the instance folder
artefact   the artefact of one model version
end        how many entries came before: nothing is missing
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from config.errors import SealBroken
from config.sealed_stream import SealedReader, SealedWriter

PURPOSE: Final = "backup"
FORMAT: Final = 1
HEADER: Final = struct.Struct(">I")
BINARY: Final = "base64"  # the one member of an object that stands for bytes
Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its kind, the other members of its header, and its body."""

    kind: str
    members: Mapping[str, Any]
    body: bytes

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows of a `rows` entry, by column."""
        for row in orjson.loads(self.body):
            yield dict(zip(self.members["columns"], map(_value, row), strict=True))


def write_entry(stream: SealedWriter, kind: str, body: bytes = b"", **members: Any) -> None:
    """Append one entry."""
    header = orjson.dumps({"kind": kind, "size": len(body), **members})
    stream.write(HEADER.pack(len(header)) + header + body)


def write_rows(
    stream: SealedWriter, table: str, columns: Sequence[str], rows: Iterable[Row]
) -> None:
    """Append some rows of a table."""
    body = orjson.dumps([list(row) for row in rows], default=_binary)
    write_entry(stream, "rows", body, table=table, columns=list(columns))


def read_entries(stream: SealedReader) -> Iterator[Entry]:
    """Every entry up to the end; raises SealBroken if the stream is not as it was written."""
    count = 0
    while True:
        (size,) = HEADER.unpack(stream.read(HEADER.size))
        header = orjson.loads(stream.read(size))
        entry = Entry(header.pop("kind"), header, stream.read(header.pop("size")))
        if entry.kind == "end":
            break
        yield entry
        count += 1
    stream.finish()
    if entry.members["entries"] != count:
        raise SealBroken("the number of entries")


def _binary(value: object) -> dict[str, str]:
    assert isinstance(value, bytes), "columns hold JSON's types, or bytes"
    return {BINARY: base64.b64encode(value).decode()}


def _value(value: Any) -> Any:
    return base64.b64decode(value[BINARY]) if isinstance(value, dict) else value
