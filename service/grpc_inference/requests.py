"""From a message to what the data plane is asked: tensors of whichever form the client chose."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from models.errors import InputRefused
from models.names import MODEL_NAME, Reference
from models.requests.bounds import Bounds
from models.signature import Signature
from service.open_inference.asking import TensorRequest, ask, version_of
from service.open_inference.datatypes import Datatype, datatype_of
from service.open_inference.parameters import check_input, check_output, check_request
from service.open_inference.tensors import (
    MOST_DIMENSIONS,
    InputTensor,
    check_name,
    read_cells,
    read_raw,
)

RAW: Final = "raw_input_contents"
CONTENTS: Final = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def model_of(name: str) -> str | None:
    """The model that a message names; None is the tenant's default."""
    if not name:
        return None
    if not MODEL_NAME.fullmatch(name):
        raise InputRefused("/model_name", "not the name of a model")
    return name


def reference_of(version: str) -> Reference:
    """The version that a message names, by number or alias; None is what the route says."""
    return version_of(version) if version else None


def read_request(
    message: Any, bounds: Bounds, signature: Callable[[str | None, Reference], Signature]
) -> TensorRequest:
    """What a ModelInferRequest asks; raises InputRefused."""
    model, version = model_of(message.model_name), reference_of(message.model_version)
    check_request(read_parameters(message.parameters))
    return ask(
        model,
        version,
        _read_inputs(message),
        [_read_output(given, f"/outputs/{at}") for at, given in enumerate(message.outputs)],
        bounds=bounds,
        signature=lambda: signature(model, version),
    )


def read_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as plain values; one that holds none stays None."""
    return {name: _value(parameter) for name, parameter in given.items()}


def _value(parameter: Any) -> Any:
    chosen = parameter.WhichOneof("parameter_choice")
    return getattr(parameter, chosen) if chosen else None


def _read_inputs(message: Any) -> list[InputTensor]:
    raws: Sequence[bytes] = message.raw_input_contents
    if raws and len(raws) != len(message.inputs):
        problem = f"{len(raws)} of them, where there are {len(message.inputs)} inputs"
        raise InputRefused(f"/{RAW}", problem)
    return [
        _read_input(given, f"/inputs/{at}", raws[at] if raws else None)
        for at, given in enumerate(message.inputs)
    ]


def _read_input(given: Any, where: str, raw: bytes | None) -> InputTensor:
    name = check_name(given.name, where)
    check_input(read_parameters(given.parameters), f"{where}/parameters")
    datatype = datatype_of(given.datatype, where)
    if len(given.shape) > MOST_DIMENSIONS:  # before any is made a number of ours
        raise InputRefused(f"{where}/shape", f"not 1 to {MOST_DIMENSIONS} dimensions")
    shape = list(given.shape)
    if raw is None:
        return read_cells(name, datatype, shape, _contents(given, datatype, where), where)
    if given.HasField("contents"):
        raise InputRefused(f"{where}/contents", f"given beside {RAW}; give the tensor once")
    return read_raw(name, datatype, shape, raw, where)


def _contents(given: Any, datatype: Datatype, where: str) -> list[Any]:
    """The elements in the field of their datatype; those of other fields are refused."""
    wanted = CONTENTS.get(datatype.name)
    if wanted is None:
        raise InputRefused(f"{where}/contents", f"{datatype.name} is taken in {RAW} alone")
    for described, _ in given.contents.ListFields():
        if described.name != wanted:
            problem = f"given, where {datatype.name} belongs in {wanted}"
            raise InputRefused(f"{where}/contents/{described.name}", problem)
    return list(getattr(given.contents, wanted))


def _read_output(given: Any, where: str) -> str:
    check_output(read_parameters(given.parameters), f"{where}/parameters")
    return check_name(given.name, where)
