"""Reads our `.proto` files, which are so the one description of the messages.

Of the language's grammar only what the two files beside this module use. There is no compiler of
it in protobuf's own package, and what the compiler generates registers itself in the one pool of
the process, where it would meet the modules of client libraries under the same names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

Field = FieldDescriptorProto
FOLDER: Final = Path(__file__).parent
TOKEN: Final = re.compile(r"//[^\n]*|\"[^\"]*\"|[A-Za-z_][\w.]*|\d+|[{}()<>=;,]")
TYPES: Final = {
    name: getattr(Field, f"TYPE_{name.upper()}")
    for name in ("bool", "int32", "int64", "uint32", "uint64", "float", "double", "string", "bytes")
}


@dataclass(frozen=True, slots=True)
class Rpc:
    """One call of a service: its path on the wire, and the full names of what goes both ways."""

    path: str
    request: str
    response: str


@dataclass(slots=True)
class ProtoFile:
    """What a file describes; types of fields are named as the file does, to be found by scope."""

    descriptor: FileDescriptorProto
    rpcs: list[Rpc] = field(default_factory=list)


def read_proto(name: str) -> ProtoFile:
    """Read one of the files beside this module."""
    text = (FOLDER / name).read_text()
    tokens = [token for token in TOKEN.findall(text) if not token.startswith("//")]
    return _Reader(name, tokens).read()


class _Reader:
    def __init__(self, name: str, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._file = ProtoFile(FileDescriptorProto(name=f"sallyport/{name}", syntax="proto3"))

    def read(self) -> ProtoFile:
        while self._at < len(self._tokens):
            self._read_statement(self._next())
        return self._file

    def _read_statement(self, word: str) -> None:
        descriptor = self._file.descriptor
        if word == "syntax":
            self._expect("=", '"proto3"', ";")
        elif word == "package":
            descriptor.package = self._next()
            self._expect(";")
        elif word == "message":
            self._read_message(descriptor.message_type.add())
        elif word == "enum":
            self._read_enum(descriptor.enum_type.add())
        else:
            self._expect_word(word, "service")
            self._read_service()

    def _read_service(self) -> None:
        package = self._file.descriptor.package
        service = self._next()
        self._expect("{")
        while self._skips("rpc"):
            path = f"/{package}.{service}/{self._next()}"
            request = f"{package}.{self._read_streamed()}"
            self._expect("returns")
            response = f"{package}.{self._read_streamed()}"
            self._expect(";")
            self._file.rpcs.append(Rpc(path, request, response))
        self._expect("}")

    def _read_streamed(self) -> str:
        self._expect("(")
        self._skips("stream")
        name = self._next()
        self._expect(")")
        return name

    def _read_message(self, message: DescriptorProto) -> None:
        message.name = self._next()
        self._expect("{")
        while not self._skips("}"):
            word = self._next()
            if word == "message":
                self._read_message(message.nested_type.add())
            elif word == "enum":
                self._read_enum(message.enum_type.add())
            elif word == "oneof":
                self._read_oneof(message)
            elif word == "map":
                self._read_map(message)
            else:
                self._read_field(message, word)

    def _read_oneof(self, message: DescriptorProto) -> None:
        index = len(message.oneof_decl)
        message.oneof_decl.add(name=self._next())
        self._expect("{")
        while not self._skips("}"):
            self._read_field(message, self._next()).oneof_index = index

    def _read_map(self, message: DescriptorProto) -> None:
        """A map is a list of entries, each a message of its own (the language's guide, Maps)."""
        self._expect("<")
        key = self._next()
        self._expect(",")
        value = self._next()
        self._expect(">")
        name = self._next()
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        for number, (part, type_name) in enumerate((("key", key), ("value", value)), start=1):
            _type(entry.field.add(name=part, number=number, label=Field.LABEL_OPTIONAL), type_name)
        listed = message.field.add(name=name, label=Field.LABEL_REPEATED)
        _type(listed, entry.name)
        self._read_number(listed)

    def _read_field(self, message: DescriptorProto, word: str) -> FieldDescriptorProto:
        label = Field.LABEL_REPEATED if word == "repeated" else Field.LABEL_OPTIONAL
        type_name = self._next() if word == "repeated" else word
        added = message.field.add(name=self._next(), label=label)
        _type(added, type_name)
        self._read_number(added)
        return added

    def _read_number(self, added: FieldDescriptorProto) -> None:
        self._expect("=")
        added.number = int(self._next())
        self._expect(";")

    def _read_enum(self, enum: EnumDescriptorProto) -> None:
        enum.name = self._next()
        self._expect("{")
        while not self._skips("}"):
            name = self._next()
            self._expect("=")
            enum.value.add(name=name, number=int(self._next()))
            self._expect(";")

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _skips(self, word: str) -> bool:
        """Pass over the word if it is the next one."""
        found = self._tokens[self._at] == word
        self._at += found
        return found

    def _expect(self, *words: str) -> None:
        for word in words:
            self._expect_word(self._next(), word)

    def _expect_word(self, word: str, expected: str) -> None:
        if word != expected:
            name = self._file.descriptor.name
            raise SyntaxError(f"{name}: {word!r} at word {self._at}, where {expected!r} belongs")


def _type(described: FieldDescriptorProto, name: str) -> None:
    """Set a field's type: one of the language's, or the name of a message or enum."""
    if name in TYPES:
        described.type = TYPES[name]
    else:
        described.type_name = name  # the pool finds it, and whether it is a message or an enum
