"""The two ends of each dialect on the short way: its bodies are read and written as ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from numpy.typing import NDArray
from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header

from models.errors import InputRefused
from models.requests.bounds import Bounds
from models.requests.tensors import read_prediction_request
from models.signature import Signature
from models.versions import Version
from service import loose_json, native
from service.express.heads import Head, Reading
from service.mlflow.requests import read_json_call, read_target
from service.open_inference import inference_answers
from service.open_inference.answers import outputs_of
from service.open_inference.framing import HEADER_LENGTH
from service.open_inference.inference_requests import Target, read_request
from service.tensorflow_serving import answers as serving_answers
from service.tensorflow_serving.requests import Target as Servable
from service.tensorflow_serving.requests import read_predict
from service.visits import MLFLOW, NATIVE, OPEN_INFERENCE, TENSORFLOW_SERVING
from service.wsgi import Headers

JSON: Final = "application/json"
BINARY: Final = "application/octet-stream"
SPELLINGS: Final = frozenset({JSON, f"{JSON}; charset=utf-8", f"{JSON};charset=utf-8"})
AS_JSON: Final[Headers] = [("content-type", JSON)]
LENGTH: Final = HEADER_LENGTH.lower()
VARY: Final = ("vary", "Accept-Encoding")


class Native:
    """The platform's own JSON."""

    name: Final = NATIVE

    def takes(self, headers: Mapping[str, str]) -> bool:
        """Whether they say that it is JSON."""
        return headers.get("content-type", "") in SPELLINGS

    def read(self, head: Head, body: bytes, bounds: Bounds) -> Reading:
        """Read a body; raises InputRefused."""
        asked = read_prediction_request(body, bounds)
        return Reading(asked, asked.method)

    def write(
        self, head: Head, reading: Reading, version: Version, method: str, answers: NDArray[Any]
    ) -> tuple[Headers, bytes]:
        """Write an answer; raises InputRefused."""
        return AS_JSON, native.encode(version, answers)


class OpenInference:
    """The Open Inference Protocol V2, with tensors in JSON or in binary form."""

    name: Final = OPEN_INFERENCE

    def takes(self, headers: Mapping[str, str]) -> bool:
        """Always: its clients send any content type."""
        return True

    def read(self, head: Head, body: bytes, bounds: Bounds) -> Reading:
        """Read a body; raises InputRefused, also where only its model says what it means."""
        model, version = head.address.model, head.address.version
        assert model is not None, "its addresses name one"
        target = Target(model=model, version=version, bounds=bounds, signature=_unknown)
        asked, wishes = read_request(target, body, head.headers.get(LENGTH))
        return Reading(asked, asked.outputs, wishes)

    def write(
        self, head: Head, reading: Reading, version: Version, method: str, answers: NDArray[Any]
    ) -> tuple[Headers, bytes]:
        """Write an answer, compressed as on the long way; raises InputRefused."""
        outputs = outputs_of({method: answers}, version.signature, reading.wanted)
        encoded = inference_answers.encode_answer(version, outputs, reading.wishes)
        accepted = parse_accept_header(head.headers.get("accept-encoding"), Accept)
        coding, body = inference_answers.compress(encoded.body, accepted)
        headers = [*AS_JSON, VARY]
        if encoded.json_length is not None:
            headers = [("content-type", BINARY), (LENGTH, str(encoded.json_length)), VARY]
        return (headers if coding is None else [*headers, ("content-encoding", coding)]), body


class TensorflowServing:
    """TF Serving's predictions, and KServe's V1."""

    name: Final = TENSORFLOW_SERVING

    def takes(self, headers: Mapping[str, str]) -> bool:
        """Always: its clients send any content type."""
        return True

    def read(self, head: Head, body: bytes, bounds: Bounds) -> Reading:
        """Read a body; raises InputRefused."""
        model, version = head.address.model, head.address.version
        assert model is not None, "its addresses name one"
        asked = read_predict(body, Servable(model, version), bounds)
        return Reading(asked, asked.signature_name, asked)

    def write(
        self, head: Head, reading: Reading, version: Version, method: str, answers: NDArray[Any]
    ) -> tuple[Headers, bytes]:
        """Write an answer in the form of the request."""
        found = {method: answers}
        return AS_JSON, serving_answers.write_predictions(reading.wishes, version.signature, found)


class Mlflow:
    """MLflow's scoring protocol, with rows in JSON."""

    name: Final = MLFLOW

    def takes(self, headers: Mapping[str, str]) -> bool:
        """Whether they say that it is JSON."""
        return headers.get("content-type", "") in SPELLINGS

    def read(self, head: Head, body: bytes, bounds: Bounds) -> Reading:
        """Read a body; raises InputRefused."""
        asked = read_json_call(body, read_target(head.address.model, None), bounds)
        return Reading(asked, asked.method)

    def write(
        self, head: Head, reading: Reading, version: Version, method: str, answers: NDArray[Any]
    ) -> tuple[Headers, bytes]:
        """Write an answer."""
        return AS_JSON, loose_json.encode({"predictions": answers}, [answers])


def _unknown() -> Signature:
    raise InputRefused("/inputs", "a list of numbers, of which only the model says what it is")
