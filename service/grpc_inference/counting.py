"""What a message would be made of, counted before anything is: a few bytes may make an object.

An entry of a map takes a hundred bytes in memory and five on the wire, an empty text sixteen and
two. Well-meant messages have as many fields as their columns ask for, and elements of tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor

from models.errors import InputRefused

VARINT, FIXED64, SIZED, FIXED32 = 0, 1, 2, 5  # of protobuf's encoding, "Message structure"
FIXED: Final = {FIXED64: 8, FIXED32: 4}
VARINT_BYTES: Final = 10
CONTINUED: Final = bytes(range(0x80, 0x100))  # bytes of a varint that is not over yet
TENSORS: Final = "inference.InferTensorContents"
TEXT_WEIGHT: Final = 4  # of an element that is a text, in memory, beside one that is a number
LEAST_ELEMENTS: Final = 4 * 1024 * 1024
BYTES_AN_ELEMENT: Final = 2  # in messages larger than twice as many
SIZES: Final = {
    FieldDescriptor.TYPE_DOUBLE: 8,
    FieldDescriptor.TYPE_FLOAT: 4,
}


@dataclass(frozen=True, slots=True)
class Part:
    """A field that holds several: messages of a kind, or numbers of a size (0: of any).

    Elements of tensors have a `weight`; what has none counts as a field.
    """

    nested: Mapping[int, Part] | None = None
    size: int | None = None
    weight: int = 0


@cache
def parts_of(descriptor: Any) -> Mapping[int, Part]:
    """The fields of a message that hold several, by their numbers."""
    weighed = descriptor.full_name == TENSORS
    found = {}
    for field in descriptor.fields:
        if field.message_type is not None:
            found[field.number] = Part(nested=parts_of(field.message_type))
        elif field.type in (FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_STRING):
            found[field.number] = Part(weight=TEXT_WEIGHT if weighed else 0)
        elif field.is_repeated:
            found[field.number] = Part(size=SIZES.get(field.type, 0), weight=int(weighed))
    return found


def check_parts(descriptor: Any, data: bytes, *, most_fields: int) -> None:
    """Raise InputRefused if a message is malformed, or has more parts than one well meant has."""
    _Counter(data, most_fields).count(parts_of(descriptor), 0, len(data))


class _Counter:
    """Goes over a message, nested ones included, as far as it may have parts."""

    def __init__(self, data: bytes, most_fields: int) -> None:
        self._data = data
        self._most = self._fields = most_fields
        self._elements = max(LEAST_ELEMENTS, len(data) // BYTES_AN_ELEMENT)

    def count(self, parts: Mapping[int, Part], at: int, end: int) -> None:
        """Count what lies between two places."""
        data = self._data
        while at < end:
            tag = data[at]
            if tag < 0x80:
                at += 1
            else:
                tag, at = self._varint(at, end)
            part, wire_type = parts.get(tag >> 3), tag & 7
            begin, at = self._value(at, end, wire_type)
            self._take(part.weight if part is not None else 0, 1)
            if part is None or wire_type != SIZED:
                continue
            if part.nested is not None:
                self.count(part.nested, begin, at)
            elif part.size is not None:
                self._take(part.weight, self._packed(begin, at, part.size))
            elif part.weight and tag < 0x80:
                at = self._skip_short(tag, at, end)

    def _skip_short(self, tag: int, at: int, end: int) -> int:
        """Where a run of short texts ends; there may be a million of them."""
        data, last, count = self._data, end - 1, 0
        most = self._elements // TEXT_WEIGHT + 1
        while count < most and at < last and data[at] == tag and (length := data[at + 1]) < 0x80:
            at += 2 + length
            count += 1
        self._take(TEXT_WEIGHT, count)
        if at > end:
            raise malformed()
        return at

    def _take(self, weight: int, count: int) -> None:
        if weight:
            self._elements -= weight * count
            if self._elements < 0:
                raise InputRefused("", "too many elements in one message; send them in binary form")
            return
        self._fields -= count
        if self._fields < 0:
            raise InputRefused("", f"more than {self._most} fields in one message")

    def _packed(self, begin: int, end: int, size: int) -> int:
        """How many numbers are written one after another."""
        if size:
            return (end - begin) // size
        return len(self._data[begin:end].translate(None, CONTINUED))

    def _value(self, at: int, end: int, wire_type: int) -> tuple[int, int]:
        """Where a field's value begins and ends."""
        if wire_type == SIZED:
            if at < end and self._data[at] < 0x80:
                length, at = self._data[at], at + 1
            else:
                length, at = self._varint(at, end)
        elif wire_type == VARINT:
            return at, self._varint(at, end)[1]
        elif wire_type in FIXED:
            length = FIXED[wire_type]
        else:
            raise malformed()  # groups, which the protocol has none of
        if length > end - at:
            raise malformed()
        return at, at + length

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        data, value, shift = self._data, 0, 0
        for position in range(at, min(at + VARINT_BYTES, end)):
            byte = data[position]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position + 1
            shift += 7
        raise malformed()


def malformed() -> InputRefused:
    """The refusal of bytes that are not what a method takes."""
    return InputRefused("", "not the message that this method takes")
