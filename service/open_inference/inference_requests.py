"""An inference request over HTTP: JSON with tensors in it or after it, or a raw tensor alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from models.errors import InputRefused
from models.names import Reference
from models.requests.bounds import Bounds
from models.signature import Signature
from service.open_inference.asking import TensorRequest, ask, ask_raw
from service.open_inference.datatypes import datatype_of
from service.open_inference.documents import read_document, read_objects
from service.open_inference.framing import PARAMETER, Parts, read_length, split
from service.open_inference.parameters import (
    check_input,
    check_output,
    check_request,
    read_switch,
)
from service.open_inference.tensors import InputTensor, check_name, read_cells, read_raw


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a client wants its answer: its own identifier in it, and which outputs in binary form."""

    id: str | None = None
    binary: bool = False
    by_output: Mapping[str, bool] = field(default_factory=dict)

    def in_binary(self, output: str) -> bool:
        """Whether an output is wanted in binary form."""
        return self.by_output.get(output, self.binary)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which model is asked, as the address says; `signature` looks up what it takes."""

    model: str
    version: Reference
    bounds: Bounds
    signature: Callable[[], Signature]


def read_request(
    target: Target, body: bytes, header_length: str | None
) -> tuple[TensorRequest, Wishes]:
    """Read a request from its body and the header that says how much of that is JSON.

    Raises InputRefused. A length of 0 is a raw request, all of whose answers are binary.
    """
    if header_length is not None and read_length(header_length) == 0:
        asked = ask_raw(
            target.model, target.version, body, bounds=target.bounds, signature=target.signature
        )
        return asked, Wishes(binary=True)
    text, parts = split(body, header_length)
    document = read_document(text, target.bounds)
    parameters = check_request(document.get("parameters"))
    tensors = _read_inputs(document.get("inputs"), parts)
    by_output = _read_outputs(document.get("outputs"))
    asked = ask(
        target.model,
        target.version,
        tensors,
        [name for name, _ in by_output],
        bounds=target.bounds,
        signature=target.signature,
    )
    binary = read_switch(parameters, "binary_data_output", "/parameters") or False
    wished = {name: binary for name, binary in by_output if binary is not None}
    return asked, Wishes(_read_id(document.get("id")), binary, wished)


def _read_id(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise InputRefused("/id", "not a string")


def _read_inputs(value: object, parts: Parts) -> list[InputTensor]:
    inputs = read_objects(value, "/inputs")
    tensors = [_read_input(given, f"/inputs/{at}", parts) for at, given in enumerate(inputs)]
    parts.finish()
    return tensors


def _read_input(given: dict[str, Any], where: str, parts: Parts) -> InputTensor:
    name = check_name(given.get("name"), where)
    shape: Any = given.get("shape")
    datatype = datatype_of(given.get("datatype"), where)
    if "shape" not in given:
        raise InputRefused(f"{where}/shape", "missing")
    size = check_input(given.get("parameters"), f"{where}/parameters").get(PARAMETER)
    if size is None:
        if "data" not in given:
            raise InputRefused(f"{where}/data", f"missing; give data, or {PARAMETER}")
        return read_cells(name, datatype, shape, given["data"], where)
    if "data" in given:
        raise InputRefused(f"{where}/data", f"given beside {PARAMETER}; give the tensor once")
    return read_raw(name, datatype, shape, parts.take(size, where), where)


def _read_outputs(value: object) -> list[tuple[str, bool | None]]:
    return [
        _read_output(given, f"/outputs/{at}")
        for at, given in enumerate(read_objects(value, "/outputs"))
    ]


def _read_output(given: dict[str, Any], where: str) -> tuple[str, bool | None]:
    name = check_name(given.get("name"), where)
    parameters = check_output(given.get("parameters"), f"{where}/parameters")
    return name, read_switch(parameters, "binary_data", f"{where}/parameters")
