"""From what a model answered to a message: tensors in binary form, as clients expect them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from service.dataplane import Answer
from service.grpc_inference.messages import message_class
from service.open_inference.answers import OutputTensor, outputs_of

InferResponse: Final = message_class("inference.ModelInferResponse")
StreamResponse: Final = message_class("inference.ModelStreamInferResponse")


def describe_answer(answer: Answer, wanted: Sequence[str], request_id: str) -> Any:
    """The ModelInferResponse with the outputs wanted; the client finds its own identifier there."""
    outputs = outputs_of(answer.answers, answer.version.signature, wanted)
    return InferResponse(
        model_name=answer.version.model,
        model_version=str(answer.version.number),
        id=request_id,
        outputs=[_describe(output) for output in outputs],
        raw_output_contents=[bytes(output.raw()) for output in outputs],
    )


def in_stream(response: Any) -> bytes:
    """One answer of a stream."""
    encoded: bytes = StreamResponse(infer_response=response).SerializeToString()
    return encoded


def error_in_stream(words: str, request_id: str) -> bytes:
    """One refusal of a stream, which goes on; clients find by the identifier what it is about."""
    response = InferResponse(id=request_id)
    encoded: bytes = StreamResponse(
        error_message=words, infer_response=response
    ).SerializeToString()
    return encoded


def _describe(output: OutputTensor) -> Any:
    return InferResponse.InferOutputTensor(
        name=output.name, datatype=output.datatype.name, shape=output.shape
    )
