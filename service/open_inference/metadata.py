"""What the protocol says of the server and of models, as plain dictionaries."""

from __future__ import annotations

from typing import Any, Final

from models.requests.binding import INPUT
from models.signature import Part, Signature, spans
from models.versions import Version
from service.bootstrap import Platform

SERVER: Final = "sallyport"
API_VERSION: Final = "1"  # not the release: strangers may ask, and could look up its weaknesses
EXTENSIONS: Final = (
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "parameters",
    "statistics",
)
BATCH: Final = -1  # any number of rows
OF_ANSWERS: Final = {"number": "FP64", "integer": "INT64", "boolean": "BOOL", "text": "BYTES"}
OF_COLUMNS: Final = {"number": "FP64", "text": "BYTES"}

Tensor = dict[str, Any]


def describe_server() -> dict[str, Any]:
    """The server's name, version and protocol extensions; nothing of any tenant."""
    return {"name": SERVER, "version": API_VERSION, "extensions": list(EXTENSIONS)}


def describe_model(version: Version, versions: list[int]) -> dict[str, Any]:
    """The metadata of a version; `versions` are the numbers of all that may be asked for."""
    signature = version.signature
    return {
        "name": version.model,
        "versions": [str(number) for number in versions],
        "platform": _platform(version),
        "inputs": inputs_of(signature),
        "outputs": outputs_of(signature),
        "properties": {"task": signature.task, "default_output": signature.default_method},
    }


def configure_model(version: Version, platform: Platform) -> dict[str, Any]:
    """The configuration of a version in Triton's form.

    Rows are a dimension like any other there, which is what `max_batch_size` 0 says.
    """
    signature = version.signature
    return {
        "name": version.model,
        "platform": _platform(version),
        "backend": SERVER,
        "version_policy": {"specific": {"versions": [version.number]}},
        "max_batch_size": 0,
        "input": [_configured(tensor) for tensor in inputs_of(signature)],
        "output": [_configured(tensor) for tensor in outputs_of(signature)],
        "parameters": {
            "max_rows": {"string_value": str(platform.bounds.max_rows)},
            "default_output": {"string_value": signature.default_method},
        },
    }


def inputs_of(signature: Signature) -> list[Tensor]:
    """The inputs: its graph's own; else one tensor of rows of numbers, or one for each column."""
    if signature.inputs:
        kinds = signature.column_kinds
        starts = {name: span.start for name, span in spans(signature.inputs).items()}
        return [_part(part, OF_COLUMNS[kinds[starts[part.name]]]) for part in signature.inputs]
    if signature.numbers_alone:
        return [{"name": INPUT, "datatype": "FP64", "shape": [BATCH, signature.columns]}]
    return [
        {"name": name, "datatype": OF_COLUMNS[kind], "shape": [BATCH]}
        for name, kind in zip(signature.names, signature.column_kinds, strict=True)
    ]


def outputs_of(signature: Signature) -> list[Tensor]:
    """The outputs: of each method those of its graph, or one."""
    return [
        _part(part, OF_ANSWERS[output.dtype])
        for name, output in signature.methods.items()
        for part in output.parts or (Part(name, output.width),)
    ]


def _part(part: Part, datatype: str) -> Tensor:
    shape = [BATCH] if part.width is None else [BATCH, part.width]
    return {"name": part.name, "datatype": datatype, "shape": shape}


def _configured(tensor: Tensor) -> dict[str, Any]:
    datatype = "STRING" if tensor["datatype"] == "BYTES" else tensor["datatype"]
    return {"name": tensor["name"], "data_type": f"TYPE_{datatype}", "dims": tensor["shape"]}


def _platform(version: Version) -> str:
    """What runs it, as Triton names backends: the library, and the engine that stands for it."""
    contents = version.manifest.contents
    return f"{contents.flavour}_{contents.engine.replace('-', '_')}"
