"""Models as TF Serving describes them: its versions, and its signatures as protobuf's JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from models.requests.binding import INPUT
from models.signature import Output, Signature
from models.versions import Version
from service.operations.version_states import VersionState
from service.tensorflow_serving.signatures import (
    CLASSIFICATION,
    REGRESSION,
    SERVING_DEFAULT,
    classifies,
    regresses,
)

KINDS: Final = {"number": "DOUBLE", "integer": "INT64", "boolean": "BOOL", "text": "STRING"}
METHOD: Final = "tensorflow/serving/"
ANY: Final = -1

Members = dict[str, Any]


def describe_states(name: str, versions: Iterable[VersionState]) -> Members:
    """The state of each version; `name` and `ready` besides, which KServe's clients look for."""
    states = [_describe_state(version) for version in versions]
    return {
        "name": name,
        "ready": any(state["state"] == "AVAILABLE" for state in states),
        "model_version_status": states,
    }


def describe_version(version: Version) -> Members:
    """The signatures that a version has."""
    spec = {"name": version.model, "signature_name": "", "version": str(version.number)}
    definitions = {"signature_def": {"signature_def": _definitions(version.signature)}}
    return {"model_spec": spec, "metadata": definitions}


def _describe_state(version: VersionState) -> Members:
    state = "AVAILABLE" if version.is_available else "END"
    status = {"error_code": "OK", "error_message": ""}
    return {"version": str(version.number), "state": state, "status": status}


def _definitions(signature: Signature) -> Members:
    inputs = _inputs(signature)
    methods = {
        method: _definition("predict", inputs, {method: _output(method, output)})
        for method, output in signature.methods.items()
    }
    found = {SERVING_DEFAULT: methods[signature.default_method]} | methods
    examples = {"inputs": _tensor("inputs", "text", ANY)}
    if classifies(signature):
        outputs = {
            "classes": _tensor("classes", "text", ANY, ANY),
            "scores": _tensor("scores", "number", ANY, ANY),
        }
        found[CLASSIFICATION] = _definition("classify", examples, outputs)
    if regresses(signature, signature.default_method):
        outputs = {"outputs": _tensor("outputs", "number", ANY)}
        found[REGRESSION] = _definition("regress", examples, outputs)
    return found


def _definition(method: str, inputs: Members, outputs: Members) -> Members:
    return {"inputs": inputs, "outputs": outputs, "method_name": METHOD + method}


def _inputs(signature: Signature) -> Members:
    """One matrix for a model of numbers alone, else a tensor for each column."""
    if signature.numbers_alone:
        return {INPUT: _tensor(INPUT, "number", ANY, signature.columns)}
    pairs = zip(signature.names, signature.column_kinds, strict=True)
    return {name: _tensor(name, kind, ANY) for name, kind in pairs}


def _output(method: str, output: Output) -> Members:
    shape = (ANY,) if output.width is None else (ANY, output.width)
    return _tensor(method, output.dtype, *shape)


def _tensor(name: str, kind: str, *shape: int) -> Members:
    dimensions = [{"size": str(size), "name": ""} for size in shape]
    return {
        "dtype": f"DT_{KINDS[kind]}",
        "tensor_shape": {"dim": dimensions, "unknown_rank": False},
        "name": f"{name}:0",
    }
