"""An inference answer over HTTP: JSON, with the outputs that are wanted so in binary after it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from models.versions import Version
from service.open_inference.answers import OutputTensor
from service.open_inference.framing import PARAMETER
from service.open_inference.inference_requests import Wishes

LEAST_COMPRESSED: Final = 1024  # bytes; below, a coding costs more than it saves
FAST: Final = 1  # whoever waits for the answer waits for its compression as well
CODINGS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "gzip": lambda body: gzip.compress(body, FAST, mtime=0),
    "deflate": lambda body: zlib.compress(body, FAST),
}


@dataclass(frozen=True, slots=True)
class Encoded:
    """An answer's body; `json_length` is how much of it is JSON, None if all of it is."""

    body: bytes
    json_length: int | None = None


def encode_answer(version: Version, outputs: Sequence[OutputTensor], wishes: Wishes) -> Encoded:
    """Write an answer; raises InputRefused for what JSON cannot hold.

    Binary outputs are joined with the JSON in one step, which is their only copy.
    """
    parts = [output.raw() for output in outputs if wishes.in_binary(output.name)]
    sizes = iter(map(len, parts))
    described = [
        _describe(output, next(sizes) if wishes.in_binary(output.name) else None)
        for output in outputs
    ]
    answer: dict[str, Any] = {"model_name": version.model, "model_version": str(version.number)}
    if wishes.id is not None:
        answer["id"] = wishes.id
    text = orjson.dumps(answer | {"outputs": described}, option=orjson.OPT_SERIALIZE_NUMPY)
    if not parts:
        return Encoded(text)
    return Encoded(b"".join([text, *parts]), len(text))


def compress(body: bytes, accepted: Iterable[tuple[str, float]]) -> tuple[str | None, bytes]:
    """The body in the content coding that a client prefers, if it names one that there is."""
    if len(body) < LEAST_COMPRESSED:
        return None, body
    named = ((str(coding).lower(), quality) for coding, quality in accepted)
    known = (coding for coding, quality in named if quality > 0 and coding in CODINGS)
    coding = next(known, None)
    return coding, body if coding is None else CODINGS[coding](body)


def _describe(output: OutputTensor, size: int | None) -> dict[str, Any]:
    described = {
        "name": output.name,
        "datatype": output.datatype.name,
        "shape": list(output.shape),
    }
    if size is None:
        return described | {"data": output.cells()}
    return described | {"parameters": {PARAMETER: size}}
