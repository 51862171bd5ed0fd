"""Reading of uploads as they come: forms in parts, or a file that is the whole body.

No part is kept here and none goes to a temporary file: each is handed on while it is read.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final, Protocol

import flask
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from service.errors import InputMalformed
from service.parsing import refuse_encodings

READ_BYTES: Final = 64 * 1024
MOST_BUFFERED: Final = 2 * READ_BYTES  # what is between two boundaries is never kept longer
MOST_PARTS: Final = 16
MOST_FIELD: Final = 8 * 1024
MOST_BOUNDARY: Final = 128  # RFC 2046 has 70, and some clients write more
MOST_PREAMBLE: Final = 8 * 1024
FORM: Final = "multipart/form-data"
# RFC 9530: a dictionary of RFC 8941 whose members are byte sequences.
SHA_256: Final = re.compile(r"(?:^|,)\s*sha-256\s*=\s*:([A-Za-z0-9+/=]*):\s*(?=,|;|$)")
DIGESTS: Final = ("Content-Digest", "Repr-Digest")  # of a request they say the same here


class Receiver(Protocol):
    """Takes the file parts of an upload."""

    def begin(self, name: str) -> None:
        """Begin a part."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Append to it."""
        ...

    def finish(self, name: str, content_type: str = "") -> None:
        """End it."""
        ...


@dataclass(slots=True)
class _Part:
    """The part that is being read: a file to hand on, or the text of a field."""

    name: str
    content_type: str
    text: bytearray | None


def read_upload(
    request: flask.Request, receiver: Receiver, *, most: int, most_field: int = MOST_FIELD
) -> dict[str, str]:
    """Hand on the files of the body and return its fields; raises InputMalformed.

    Aborts with 413 where it is larger than `most`. A body that is no form is the part `file`.
    """
    refuse_encodings(request)
    request.max_content_length = most
    body = _Digesting(request.stream)
    if request.mimetype == FORM:
        fields = _read_form(request, body, receiver, most_field)
    else:
        fields = {}
        _read_file(body, receiver, request.mimetype)
    _check_digest(request, body)
    return fields


class Digested:
    """A receiver that hands on, and knows what it was by its names and contents alone.

    The boundaries of a form are made anew whenever it is sent again, and so do not count.
    """

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._parts: dict[str, Any] = {}

    def begin(self, name: str) -> None:
        """Begin a part."""
        self._receiver.begin(name)
        self._parts[name] = hashlib.sha256()

    def write(self, name: str, data: bytes) -> None:
        """Append to it."""
        self._receiver.write(name, data)
        self._parts[name].update(data)

    def finish(self, name: str, content_type: str = "") -> None:
        """End it."""
        self._receiver.finish(name, content_type)

    def content(self, wishes: Mapping[str, Any]) -> bytes:
        """What arrived, with what was said of it."""
        digests = {name: digest.hexdigest() for name, digest in self._parts.items()}
        return json.dumps([digests, dict(wishes)], sort_keys=True).encode()


class _Digesting:
    """A stream that is hashed while it is read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()

    def chunks(self) -> Iterator[bytes]:
        """The body, piece by piece."""
        while data := self._stream.read(READ_BYTES):
            self._digest.update(data)
            yield data

    def digest(self) -> bytes:
        """The SHA-256 of what was read."""
        return self._digest.digest()


def _read_file(body: _Digesting, receiver: Receiver, content_type: str) -> None:
    receiver.begin("file")
    for data in body.chunks():
        receiver.write("file", data)
    receiver.finish("file", content_type)


def _read_form(
    request: flask.Request, body: _Digesting, receiver: Receiver, most_field: int
) -> dict[str, str]:
    decoder = MultipartDecoder(_boundary(request), MOST_BUFFERED, max_parts=MOST_PARTS)
    reading = _Form(receiver, most_field)
    try:
        for data in body.chunks():
            decoder.receive_data(data)
            _drain(decoder, reading.take)
        decoder.receive_data(None)
        _drain(decoder, reading.take)
    except RequestEntityTooLarge:
        problem = f"more than {MOST_PARTS} parts, or headers that are too long"
        raise InputMalformed({"": problem}) from None
    except (ValueError, TypeError):  # what werkzeug says of a form that is none
        raise InputMalformed({"": "the body is no multipart/form-data, or was cut off"}) from None
    return reading.fields


def _drain(decoder: MultipartDecoder, take: Callable[[object], None]) -> None:
    while not isinstance(event := decoder.next_event(), NeedData):
        take(event)
        if isinstance(event, Epilogue):
            return


class _Form:
    """The parts of a form, as the decoder tells of them."""

    def __init__(self, receiver: Receiver, most_field: int) -> None:
        self._receiver = receiver
        self._most_field = most_field
        self._part: _Part | None = None
        self.fields: dict[str, str] = {}

    def take(self, event: object) -> None:
        """Take what the decoder found next."""
        if isinstance(event, File):
            self._part = _Part(event.name or "", event.headers.get("content-type", ""), None)
            self._receiver.begin(self._part.name)
        elif isinstance(event, Field):
            self._part = self._begin_field(event)
        elif isinstance(event, Data) and self._part is not None:
            self._append(self._part, event)

    def _begin_field(self, event: Field) -> _Part:
        part = _Part(event.name or "", event.headers.get("content-type", ""), bytearray())
        if part.name in self.fields:
            raise InputMalformed({f"/{part.name}"[:64]: "given twice"})
        return part

    def _append(self, part: _Part, event: Data) -> None:
        if part.text is None:
            self._receiver.write(part.name, event.data)
            if not event.more_data:
                self._receiver.finish(part.name, part.content_type)
            return
        part.text += event.data
        if len(part.text) > self._most_field:
            problem = f"longer than {self._most_field} bytes"
            raise InputMalformed({f"/{part.name}"[:64]: problem})
        if not event.more_data:
            self.fields[part.name] = _text(part)


def _text(part: _Part) -> str:
    assert part.text is not None, "only fields are texts"
    try:
        return part.text.decode()
    except UnicodeDecodeError:
        raise InputMalformed({f"/{part.name}"[:64]: "not UTF-8"}) from None


def _boundary(request: flask.Request) -> bytes:
    boundary = request.mimetype_params.get("boundary", "")
    if not 0 < len(boundary) <= MOST_BOUNDARY or not boundary.isascii():
        raise InputMalformed({"": "the content type names no boundary of 1 to 128 characters"})
    return boundary.encode()


def _check_digest(request: flask.Request, body: _Digesting) -> None:
    for name in DIGESTS:
        stated = SHA_256.search(request.headers.get(name, ""))
        if stated and not hmac.compare_digest(_decoded(stated[1], name), body.digest()):
            raise InputMalformed({f"/{name}": "the SHA-256 of what arrived is another"})


def _decoded(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise InputMalformed({f"/{name}": "not base64"}) from None
