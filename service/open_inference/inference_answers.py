"""An inference answer over HTTP: JSON, with the outputs that are wanted so in binary after it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from models.versions import Version
from service.open_inference.answers import OutputTensor
from service.open_inference.framing import PARAMETER
from service.open_inference.inference_requests import Wishes

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


def _describe(output: OutputTensor, size: int | None) -> dict[str, Any]:
    described = {
        "name": output.name,
        "datatype": output.datatype.name,
        "shape": list(output.shape),
    }
    if size is None:
        return described | {"data": output.cells()}
    return described | {"parameters": {PARAMETER: size}}
