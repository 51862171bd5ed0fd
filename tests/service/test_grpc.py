"""The Open Inference Protocol over gRPC: every method, and the gates in front of it."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as checking
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2 as pb

from auth.permissions import Permission
from config.settings import Settings
from service.grpc_inference import server
from service.grpc_inference.methods import METHODS, SERVICE
from tests.house import Actor, House, opened
from tests.service.grpc_door import Door, answers, bearer, numbers, open_door, trailing

Code = grpc.StatusCode
Tensor = pb.ModelInferRequest.InferInputTensor
OF_MODELS = {
    "ModelReady": lambda name: pb.ModelReadyRequest(name=name),
    "ModelMetadata": lambda name: pb.ModelMetadataRequest(name=name),
    "ModelConfig": lambda name: pb.ModelConfigRequest(name=name),
    "ModelStatistics": lambda name: pb.ModelStatisticsRequest(name=name),
    "ModelInfer": lambda name: numbers([5, 10], model=name),
    "RepositoryModelLoad": lambda name: pb.RepositoryModelLoadRequest(model_name=name),
    "RepositoryModelUnload": lambda name: pb.RepositoryModelUnloadRequest(model_name=name),
}
GUARDED = sorted(
    method.path.rpartition("/")[2] for method in METHODS.values() if method.permission is not None
)


@pytest.fixture(scope="module")
def door(shared_house: House) -> Iterator[Door]:
    shared_house.add_version("secret", tenant="globex")
    with open_door(shared_house) as door:
        yield door


@pytest.fixture
def ada(door: Door) -> Actor:
    return door.house.ada


@pytest.fixture
def rob(door: Door) -> Actor:
    return door.house.rob


def contents(datatype: str, *shape: int, **given: Any) -> Any:
    """A request whose tensor has its elements in typed fields."""
    inner = pb.InferTensorContents(**given)
    tensor = Tensor(name="input", datatype=datatype, shape=shape, contents=inner)
    return pb.ModelInferRequest(model_name="linear", inputs=[tensor])


# What everybody may ask.


def test_strangers_learn_that_the_server_lives_and_what_it_is(door: Door) -> None:
    assert door.call("ServerLive").live
    assert door.call("ServerReady").ready
    assert door.call("ServerMetadata").name == "sallyport"


@pytest.mark.parametrize(
    ("asked", "status"), [(b"", 1), (SERVICE.encode(), 1), (b"another.Service", 3)]
)
def test_load_balancers_learn_of_its_health(door: Door, asked: bytes, status: int) -> None:
    message = b"\x0a" + bytes([len(asked)]) + asked if asked else b""
    assert door.call("Check", message, service="grpc.health.v1.Health") == bytes([8, status])


# Predictions.


def test_answers_are_tensors_in_binary_form_with_the_clients_identifier(
    door: Door, rob: Actor
) -> None:
    answer, call = door.exchange("ModelInfer", numbers([5, 10], [1, 2], id="a7"), actor=rob)

    assert answers(answer) == pytest.approx([15, 3])
    assert (answer.model_name, answer.model_version, answer.id) == ("linear", "1", "a7")
    assert [tuple(output.shape) for output in answer.outputs] == [(2,)]
    told = trailing(call)
    assert told["x-request-id"]
    assert "rows_per_minute" in told["ratelimit-policy"]
    assert "compute;dur=" in told["server-timing"]


def test_message_without_a_model_asks_the_default_one(door: Door, rob: Actor) -> None:
    assert door.call("ModelInfer", numbers([5, 10], model=""), actor=rob).model_name == "linear"


@pytest.mark.parametrize(
    "request_message",
    [
        contents("FP64", 1, 2, fp64_contents=[5, 10]),
        contents("FP32", 1, 2, fp32_contents=[5, 10]),
        contents("INT8", 1, 2, int_contents=[5, 10]),
        contents("INT64", 1, 2, int64_contents=[5, 10]),
        contents("UINT16", 1, 2, uint_contents=[5, 10]),
        contents("UINT64", 2, uint64_contents=[5, 10]),
    ],
    ids=lambda message: message.inputs[0].datatype,
)
def test_elements_may_be_in_the_field_of_their_type(
    door: Door, rob: Actor, request_message: Any
) -> None:
    assert answers(door.call("ModelInfer", request_message, actor=rob)) == pytest.approx([15])


def with_raw(*raws: bytes, shape: tuple[int, ...] = (1, 2), datatype: str = "FP64") -> Any:
    tensor = Tensor(name="input", datatype=datatype, shape=shape)
    return pb.ModelInferRequest(model_name="linear", inputs=[tensor], raw_input_contents=raws)


def both() -> Any:
    message = contents("FP64", 1, 2, fp64_contents=[5, 10])
    message.raw_input_contents.append(np.array([5.0, 10.0]).tobytes())
    return message


def with_parameter(**parameters: Any) -> Any:
    message = numbers([5, 10])
    for name, value in parameters.items():
        message.parameters[name].CopyFrom(value)
    return message


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (both(), "/inputs/0/contents: given beside raw_input_contents"),
        (with_raw(b"\0" * 15), "16 bytes, where 15 are given"),
        (with_raw(b"\0" * 16, b""), "/raw_input_contents: 2 of them, where there are 1"),
        (with_raw(b"\0" * 16, shape=(-1, 2)), "/inputs/0/shape/0: negative"),
        (with_raw(b"\0" * 16, shape=(2**62, 4)), "/inputs/0/shape"),
        (with_raw(b"\0" * 16, shape=()), "/inputs/0/shape"),
        (with_raw(b"\0" * 16, datatype="FP65"), "/inputs/0/datatype: none of"),
        (with_raw(b"\xff" * 16), "not a finite number"),
        (contents("FP64", 1, 2, fp32_contents=[5, 10]), "fp32_contents: given, where FP64"),
        (contents("FP16", 1, 2, fp32_contents=[5, 10]), "FP16 is taken in raw_input_contents"),
        (contents("INT8", 1, 2, int_contents=[5, 300]), "beyond what INT8 holds"),
        (contents("FP64", 1, 2), "0 elements, where the shape"),
        (contents("FP64", 1, 3, fp64_contents=[1, 2, 3]), "3 columns, where the model takes 2"),
        (contents("BYTES", 1, 2, bytes_contents=[b"5", b"6"]), "BYTES, where the model takes"),
        (with_parameter(priority=pb.InferParameter()), "/parameters/priority"),
        (with_parameter(sequence_id=pb.InferParameter(int64_param=7)), "/parameters/sequence_id"),
        (numbers([5, 10], outputs=[{"name": "predict_proba"}]), "predict_proba"),
        (numbers([5, 10], outputs=[{"name": ""}]), "/outputs/0/name"),
        (numbers([5, 10], model="../linear"), "/model_name"),
        (pb.ModelInferRequest(model_name="linear"), "/inputs: empty"),
        (b"\x0b\x0c", "not the message that this method takes"),
    ],
    ids=lambda given: given[:24] if isinstance(given, str) else "",
)
def test_what_cannot_be_answered_is_refused_with_its_place(
    door: Door, rob: Actor, message: Any, words: str
) -> None:
    error = door.refusal("ModelInfer", message, actor=rob)

    assert error.code() is Code.INVALID_ARGUMENT
    assert words in error.details()


@pytest.mark.parametrize(
    ("version", "code"), [("99", Code.NOT_FOUND), ("never", Code.NOT_FOUND), ("", None)]
)
def test_versions_are_found_by_number_or_alias(
    door: Door, rob: Actor, version: str, code: Any
) -> None:
    message = numbers([5, 10], model_version=version)
    if code is None:
        assert door.call("ModelInfer", message, actor=rob).model_version == "1"
    else:
        assert door.refusal("ModelInfer", message, actor=rob).code() is code


@given(st.binary(max_size=60))
@checking(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_bytes_are_a_fault(door: Door, rob: Actor, data: bytes) -> None:
    for body in (data, numbers([5, 10]).SerializeToString() + data):
        assert code_of(door, body, rob) in (Code.OK, Code.INVALID_ARGUMENT, Code.NOT_FOUND)


def code_of(door: Door, message: Any, actor: Actor) -> Any:
    try:
        door.call("ModelInfer", message, actor=actor)
    except grpc.RpcError as error:
        return error.code()
    return Code.OK


# Streams.


def test_each_message_of_a_stream_is_answered_or_refused_by_itself(door: Door, rob: Actor) -> None:
    sent = [numbers([5, 10], id="1"), numbers([1], id="2"), numbers([1, 2], id="3")]

    first, second, third = door.stream(sent, actor=rob)

    assert answers(first.infer_response) == pytest.approx([15])
    assert second.error_message.startswith("/inputs/0/shape")
    assert second.infer_response.id == "2"
    assert answers(third.infer_response) == pytest.approx([3])


def test_token_that_is_revoked_in_mid_stream_ends_its_answers(door: Door) -> None:
    gail = door.house.gail
    assert gail.login().status_code == 200
    revoked = threading.Event()

    def sent() -> Iterator[Any]:
        yield numbers([5, 10])
        assert revoked.wait(10)
        yield numbers([5, 10])

    received = door.stream(sent(), actor=gail)
    assert not next(received).error_message
    form = {"token": gail.tokens["access_token"]}
    assert gail.post("/auth/revoke", data=form).status_code == 200
    revoked.set()

    assert next(received).error_message == "The access token is not valid"
    gail.tokens.clear()


def test_stream_of_a_stranger_is_refused_at_once(door: Door) -> None:
    method = door.channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")
    with pytest.raises(grpc.RpcError) as refused:
        next(method(iter([b""]), timeout=10))
    assert refused.value.code() is Code.UNAUTHENTICATED


def test_stream_that_idles_is_ended(door: Door, rob: Actor, monkeypatch: Any) -> None:
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.2)
    over = threading.Event()

    def sent() -> Iterator[Any]:
        over.wait(10)
        yield from ()

    with pytest.raises(grpc.RpcError) as refused:
        next(door.stream(sent(), actor=rob))
    over.set()
    assert refused.value.code() is Code.DEADLINE_EXCEEDED


def test_streams_of_one_tenant_are_bounded_and_leave_room_to_others(
    door: Door, rob: Actor, monkeypatch: Any
) -> None:
    over = threading.Event()

    def sent() -> Iterator[Any]:
        yield numbers([5, 10])
        over.wait(10)

    open_streams = [door.stream(sent(), actor=rob) for _ in range(server.STREAMS_EACH)]
    assert all(not next(stream).error_message for stream in open_streams)

    with pytest.raises(grpc.RpcError) as refused:
        next(door.stream(sent(), actor=rob))

    assert refused.value.code() is Code.UNAVAILABLE
    assert trailing(refused.value)["grpc-retry-pushback-ms"] == "1000"
    assert door.call("ModelInfer", numbers([5, 10]), actor=rob)
    assert not next(door.stream(sent(), actor=door.house.gail)).error_message
    over.set()


# Who may ask.


@pytest.mark.parametrize("name", GUARDED)
@pytest.mark.parametrize("metadata", [[], [("authorization", "Bearer a.b.c")]], ids=["no", "bad"])
def test_every_guarded_method_refuses_strangers(
    door: Door, name: str, metadata: list[tuple[str, str]]
) -> None:
    error = door.refusal(name, metadata=metadata)
    assert error.code() is Code.UNAUTHENTICATED


@pytest.mark.parametrize("name", GUARDED)
def test_every_guarded_method_refuses_who_lacks_its_permission(door: Door, name: str) -> None:
    needed = METHODS[f"/{SERVICE}/{name}"].permission
    actor = door.house.olga if needed is Permission.PREDICT else door.house.rob
    message = OF_MODELS.get(name, no_message)("linear")
    if name == "RepositoryIndex":  # which every role may
        secret = door.house.robot("predict")
        error = door.refusal(name, metadata=[basic(*secret)])
    elif name == "ModelStreamInfer":
        with pytest.raises(grpc.RpcError) as refused:
            next(door.stream([numbers([5, 10])], actor=actor))
        error = refused.value
    else:
        error = door.refusal(name, message, actor=actor)

    assert error.code() is Code.PERMISSION_DENIED


@pytest.mark.parametrize("name", sorted(OF_MODELS))
def test_another_tenants_model_is_as_one_that_is_not_there(
    door: Door, ada: Actor, name: str
) -> None:
    def said(model: str) -> tuple[Any, str]:
        try:
            return door.call(name, OF_MODELS[name](model), actor=ada), ""
        except grpc.RpcError as error:
            return error.code(), error.details().replace(model, "MODEL")

    assert said("secret") == said("absent")


def test_service_accounts_may_use_their_secret(door: Door) -> None:
    identifier, secret = door.house.robot("predict:linear")

    assert door.call("ModelInfer", numbers([5, 10]), metadata=[basic(identifier, secret)])
    wrong = door.refusal("ModelInfer", numbers([5, 10]), metadata=[basic(identifier, "x")])
    assert wrong.code() is Code.UNAUTHENTICATED


def test_secret_is_verified_once_and_its_holder_is_no_stranger(house_settings: Settings) -> None:
    with opened(replace(house_settings, address_requests_per_minute=10)) as house:
        known = [basic(*house.robot("predict:linear"))]
        with open_door(house) as door:
            for _ in range(12):
                assert door.call("ModelInfer", numbers([5, 10]), metadata=known)
            assert len(house.platform.caches.basics) == 1


def test_two_credentials_are_one_too_many(door: Door, rob: Actor) -> None:
    twice = [*bearer(rob), *bearer(rob)]
    assert door.refusal("ModelInfer", metadata=twice).code() is Code.INVALID_ARGUMENT


def no_message(_model: str) -> bytes:
    return b""


def basic(identifier: str, secret: str) -> tuple[str, str]:
    return "authorization", "Basic " + base64.b64encode(f"{identifier}:{secret}".encode()).decode()


# What is counted.


def test_strangers_are_counted_by_address_and_known_callers_are_not(
    house_settings: Settings,
) -> None:
    with opened(replace(house_settings, address_requests_per_minute=5)) as house:
        rob = house.rob
        assert rob.get("/models").status_code == 200  # known from here on
        with open_door(house) as door:
            codes = [door.refusal(name).code() for name in ["ModelInfer", "Nothing"] * 4]
            assert set(codes) == {Code.UNAUTHENTICATED, Code.UNIMPLEMENTED, Code.RESOURCE_EXHAUSTED}
            refused = door.refusal("ServerLive")
            assert refused.code() is Code.RESOURCE_EXHAUSTED
            assert 1 <= int(trailing(refused)["retry-after"]) <= 61
            assert house.client.get("/health/live").status_code == 429, "one count for all doors"
            assert door.call("ModelInfer", numbers([5, 10]), actor=rob)


def test_refused_callers_are_charged_and_calls_are_counted_by_method(
    door: Door, rob: Actor
) -> None:
    def left() -> int:
        error = door.refusal(
            "RepositoryModelLoad", OF_MODELS["RepositoryModelLoad"]("linear"), actor=rob
        )
        assert error.code() is Code.PERMISSION_DENIED
        return int(trailing(error)["ratelimit"].partition("r=")[2].partition(";")[0])

    assert left() > left()
    shown = door.house.platform.telemetry.exposition().decode()
    line = (
        'sallyport_requests_total{endpoint="grpc.RepositoryModelLoad",method="POST",status="403"}'
    )
    assert line in shown


# The repository.


def test_what_is_unloaded_answers_nobody_until_it_is_loaded(door: Door, ada: Actor) -> None:
    named = {"model_name": "secondary"}
    door.house.add_version("secondary")
    ready = pb.ModelReadyRequest(name="secondary")
    assert door.call("ModelReady", ready, actor=ada).ready

    door.call("RepositoryModelUnload", pb.RepositoryModelUnloadRequest(**named), actor=ada)

    assert not door.call("ModelReady", ready, actor=ada).ready
    error = door.refusal("ModelInfer", numbers([5, 10], model="secondary"), actor=ada)
    assert error.code() is not Code.OK
    listed = door.call("RepositoryIndex", pb.RepositoryIndexRequest(ready=True), actor=ada).models
    assert "secondary" not in [model.name for model in listed]
    door.call("RepositoryModelLoad", pb.RepositoryModelLoadRequest(**named), actor=ada)
    assert door.call("ModelInfer", numbers([5, 10], model="secondary"), actor=ada)


def test_models_are_described_as_they_are(door: Door, rob: Actor) -> None:
    metadata = door.call("ModelMetadata", OF_MODELS["ModelMetadata"]("linear"), actor=rob)
    config = door.call("ModelConfig", OF_MODELS["ModelConfig"]("linear"), actor=rob).config
    counted = door.call("ModelStatistics", pb.ModelStatisticsRequest(), actor=rob).model_stats

    assert (metadata.inputs[0].datatype, list(metadata.inputs[0].shape)) == ("FP64", [-1, 2])
    assert list(metadata.versions) == ["1"]
    assert (config.name, config.backend, config.max_batch_size) == ("linear", "sallyport", 0)
    assert next(one for one in counted if one.name == "linear").inference_count > 0
