"""The Open Inference Protocol over gRPC as a dialect; its status codes stand for HTTP's."""

from __future__ import annotations

from typing import Any, Final

import grpc
import numpy as np
from tritonclient.grpc import service_pb2

from tests.contracts.dialects import Reply, Wish, arrays, packed, shaped, texts
from tests.service.grpc_door import Door, trailing

STATUSES: Final = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 410,
    grpc.StatusCode.UNAVAILABLE: 503,
}
KINDS: Final = {"FP64": "<f8", "INT64": "<i8", "BOOL": "?"}


class GrpcInference:
    """`ModelInfer` with raw tensors."""

    name = "open inference, gRPC"
    unknown_alias = 404
    drops_columns = False
    takes_texts = True
    in_portions = False

    def __init__(self, door: Door) -> None:
        self._door = door

    def predict(self, token: str | None, wish: Wish) -> Reply:
        """Ask with a bearer token, or without one."""
        return self.send(token, self.encode(wish))

    def send(self, token: str | None, body: bytes) -> Reply:
        """Send other bytes where a prediction is asked for."""
        metadata = [("authorization", f"Bearer {token}")] if token else []
        try:
            answer, call = self._door.exchange("ModelInfer", body, metadata=metadata)
        except grpc.RpcError as error:
            status = STATUSES.get(error.code(), 500)
            return Reply(status, [], error.details(), trailing(error))
        return Reply(200, _decode(answer), "", trailing(call))

    def encode(self, wish: Wish) -> bytes:
        """The request's message."""
        tensors = arrays(wish)
        described = service_pb2.ModelInferRequest.InferInputTensor
        outputs = [] if wish.method is None else [wish.method]
        wanted = service_pb2.ModelInferRequest.InferRequestedOutputTensor
        encoded: bytes = service_pb2.ModelInferRequest(
            model_name=wish.model,
            model_version="" if wish.version is None else str(wish.version),
            inputs=[described(**tensor) for tensor, _values in tensors],
            outputs=[wanted(name=name) for name in outputs],
            raw_input_contents=[packed(values) for _tensor, values in tensors],
        ).SerializeToString()
        return encoded


def _decode(answer: Any) -> list[Any]:
    [output], [data] = answer.outputs, answer.raw_output_contents
    if output.datatype == "BYTES":
        return shaped(texts(data), list(output.shape))
    flat = np.frombuffer(data, KINDS[output.datatype]).tolist()
    return shaped(flat, list(output.shape))
