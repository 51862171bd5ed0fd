"""The gRPC server of a house, in this process, and what calls it over TLS on loopback."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from tritonclient.grpc import service_pb2

from service.grpc_inference.server import Inference, make_server
from service.monitoring import Monitor
from tests.house import Actor, House
from tests.journeys.served import free_port

Metadata = Iterable[tuple[str, str]]
SERVICE = "inference.GRPCInferenceService"


@dataclass
class Door:
    """A channel to the server; messages are those that Triton's client library brings."""

    house: House
    channel: grpc.Channel
    inference: Inference
    port: int
    loop: asyncio.AbstractEventLoop = field(repr=False)

    def call(self, name: str, message: Any = b"", **given: Any) -> Any:
        """The answer to one message and the call that brought it; raises grpc.RpcError."""
        answered, _call = self.exchange(name, message, **given)
        return answered

    def exchange(
        self,
        name: str,
        message: Any = b"",
        *,
        actor: Actor | None = None,
        metadata: Metadata = (),
        service: str = SERVICE,
        timeout: float = 10.0,
        **options: Any,
    ) -> tuple[Any, Any]:
        """The answer with its call, which knows the metadata."""
        kind = getattr(service_pb2, f"{name}Response", None)
        method = self.channel.unary_unary(
            f"/{service}/{name}", response_deserializer=kind.FromString if kind else None
        )
        data = message if isinstance(message, bytes) else message.SerializeToString()
        sent = (*metadata, *bearer(actor))
        answered, call = method.with_call(data, metadata=sent, timeout=timeout, **options)
        return answered, call

    def refusal(self, name: str, message: Any = b"", **given: Any) -> grpc.RpcError:
        """The error of a call that is refused."""
        try:
            answered = self.call(name, message, **given)
        except grpc.RpcError as error:
            return error
        raise AssertionError(f"it was answered: {answered}")

    def stream(self, messages: Iterable[Any], *, actor: Actor, timeout: float = 10.0) -> Any:
        """The answers of a stream."""
        method = self.channel.stream_stream(
            f"/{SERVICE}/ModelStreamInfer",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=service_pb2.ModelStreamInferResponse.FromString,
        )
        return method(iter(messages), metadata=tuple(bearer(actor)), timeout=timeout)


def bearer(actor: Actor | None) -> Iterator[tuple[str, str]]:
    """The metadata of an actor's access token."""
    if actor is not None:
        yield "authorization", f"Bearer {actor.token}"


def trailing(call: Any) -> dict[str, str]:
    """The metadata after an answer or an error."""
    return dict(call.trailing_metadata())


@contextmanager
def open_door(house: House) -> Iterator[Door]:
    """Serve a house over gRPC until the end of the block."""
    port, loop = free_port(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[Inference, Any]:
        inference = Inference(house.platform, Monitor(house.platform.telemetry, "grpc"))
        server = make_server(house.platform, inference, f"127.0.0.1:{port}")
        await server.start()
        return inference, server

    inference, server = asyncio.run_coroutine_threadsafe(start(), loop).result(20)
    with grpc.secure_channel(f"localhost:{port}", trusting(house), own_connection()) as channel:
        yield Door(house, channel, inference, port, loop)
    asyncio.run_coroutine_threadsafe(server.stop(0.5), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)
    loop.close()


def trusting(house: House) -> Any:
    """Credentials of a client that was given the CA file alone."""
    return grpc.ssl_channel_credentials((house.folder / "certs" / "ca.pem").read_bytes())


def own_connection(**more: int) -> list[tuple[str, int]]:
    """Options of a channel that shares no connection with another."""
    return [("grpc.use_local_subchannel_pool", 1), *more.items()]


def numbers(*rows: Iterable[float], model: str = "linear", **members: Any) -> Any:
    """A request with one tensor of FP64 in binary form."""
    import numpy as np

    matrix = np.array(rows, dtype="<f8")
    tensor = service_pb2.ModelInferRequest.InferInputTensor(
        name="input", datatype="FP64", shape=matrix.shape
    )
    return service_pb2.ModelInferRequest(
        model_name=model, inputs=[tensor], raw_input_contents=[matrix.tobytes()], **members
    )


def answers(response: Any) -> list[float]:
    """The numbers of an answer's first output."""
    import numpy as np

    datatype = {"FP64": "<f8", "INT64": "<i8"}[response.outputs[0].datatype]
    values: list[float] = np.frombuffer(response.raw_output_contents[0], dtype=datatype).tolist()
    return values
