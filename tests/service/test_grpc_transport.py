"""What a gRPC client may take of the server: bytes, time, streams, and certificates."""

from __future__ import annotations

import asyncio
import gzip
import logging
import shutil
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2

from config.settings import load_settings
from service.grpc_inference import exchange, server
from service.grpc_inference.arrivals import Arrival
from service.memory import Memory, MemoryFull
from tests.house import Actor, House, opened
from tests.journeys.served import until
from tests.service.grpc_door import (
    SERVICE,
    Door,
    answers,
    bearer,
    numbers,
    open_door,
    own_connection,
    trailing,
    trusting,
)

Code = grpc.StatusCode
SMALL = 64 * 1024  # the largest message of this house


@pytest.fixture(scope="module")
def house(demo_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """An installation behind a proxy whose messages are small and whose threads are two."""
    folder = tmp_path_factory.mktemp("bounded") / "instance"
    shutil.copytree(demo_template, folder, symlinks=True)
    bounds = {"max_body_bytes": SMALL, "threads": 2, "max_columns": 100, "trusted_proxies": 1}
    with opened(load_settings(folder, **bounds)) as house:
        yield house


@pytest.fixture(scope="module")
def door(house: House) -> Iterator[Door]:
    with open_door(house) as door:
        yield door


@pytest.fixture
def rob(house: House) -> Actor:
    return house.rob


def test_message_over_the_bound_is_refused(door: Door, rob: Actor) -> None:
    error = door.refusal("ModelInfer", b"\0" * (SMALL + 1), actor=rob)
    assert error.code() is Code.RESOURCE_EXHAUSTED


def test_compressed_messages_are_read_and_bombs_are_not(door: Door, rob: Actor) -> None:
    rows = numbers(*[[5, 10]] * 1000)
    bomb = b"\x0a" + b"\xff\xff\xff\x03" + b"a" * (8 * 1024 * 1024)
    assert len(gzip.compress(bomb)) < SMALL

    answer = door.call("ModelInfer", rows, actor=rob, compression=grpc.Compression.Gzip)
    error = door.refusal("ModelInfer", bomb, actor=rob, compression=grpc.Compression.Gzip)

    assert answers(answer) == pytest.approx([15] * 1000)
    assert error.code() is Code.RESOURCE_EXHAUSTED


def test_message_of_countless_parts_is_not_taken_apart(door: Door, rob: Actor) -> None:
    error = door.refusal("ModelInfer", b"\x2a\x00" * 2000, actor=rob)
    assert error.code() is Code.INVALID_ARGUMENT
    assert "more than 1664 fields" in error.details()


def test_metadata_over_the_bound_are_refused(door: Door, rob: Actor) -> None:
    error = door.refusal("ModelInfer", metadata=[*bearer(rob), ("x-padding", "a" * 20_000)])
    assert error.code() is Code.RESOURCE_EXHAUSTED
    assert door.call("ModelInfer", numbers([5, 10]), actor=rob)


def test_message_that_does_not_come_is_not_waited_for(
    house: House, rob: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "FIRST_SECONDS", 0.1)
    monkeypatch.setattr(server, "LEAST_BYTES_PER_SECOND", SMALL * 10)
    over = threading.Event()

    def sent() -> Iterator[bytes]:
        over.wait(10)
        yield from ()

    with open_door(house) as door:
        method = door.channel.stream_unary(f"/{SERVICE}/ModelInfer")
        with pytest.raises(grpc.RpcError) as refused:
            method(sent(), metadata=tuple(bearer(rob)), timeout=10)
        over.set()
    assert refused.value.code() is Code.DEADLINE_EXCEEDED
    assert refused.value.details() == "the message did not arrive in time"


def silent(door: Door, method: str, *metadata: tuple[str, str]) -> Any:
    """A call whose message never comes; it is over when its test cancels it."""
    called = door.channel.stream_unary(f"/{SERVICE}/{method}")
    return called.future(iter(threading.Event().wait, True), metadata=metadata, timeout=60)


def test_strangers_never_have_the_places_of_known_callers(
    house: House, rob: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {"CALLS": 40, "CALLS_EACH": 8, "READS": 8, "STRANGERS": 16, "STRANGERS_EACH": 4}
    for name, number in places.items():
        monkeypatch.setattr(server, name, number, raising=False)
    ready = service_pb2.ModelReadyRequest(name="linear")
    with open_door(house) as door:
        strangers = [
            silent(door, "ServerLive", ("x-forwarded-for", f"192.0.2.{at % 10}"))
            for at in range(60)
        ]
        until(lambda: sum(call.done() for call in strangers) == 60 - 16)

        assert {call.code() for call in strangers if call.done()} == {Code.UNAVAILABLE}
        assert door.call("ModelReady", ready, actor=rob).ready
        house.platform.caches.callers.forget(rob.token)
        assert door.call("ServerLive", actor=rob).live, "a credential is verified first"
        for call in strangers:
            call.cancel()


def test_message_that_everybody_may_send_is_small_and_comes_soon(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PUBLIC_SECONDS", 0.1)
    with open_door(house) as door:
        assert silent(door, "ServerLive").exception(10).code() is Code.DEADLINE_EXCEEDED
    monkeypatch.undo()
    with open_door(house) as door:
        refused = door.refusal("ServerLive", b"\x0a\x80\x40" + b"a" * 8192)
        assert refused.code() is Code.RESOURCE_EXHAUSTED


def hold_answer(door: Door, actor: Actor) -> Any:
    """A prediction whose answer its client does not take up, as a future of the call's code."""

    async def held() -> Any:
        narrow = own_connection(**{"grpc.http2.lookahead_bytes": 0, "grpc.http2.bdp_probe": 0})
        where = f"localhost:{door.port}"
        async with grpc.aio.secure_channel(where, trusting(door.house), narrow) as channel:
            method = channel.stream_stream(f"/{SERVICE}/ModelInfer")
            call = method(metadata=tuple(bearer(actor)))
            await call.write(numbers(*[[5, 10]] * 1000).SerializeToString())
            return await call.code()

    return asyncio.run_coroutine_threadsafe(held(), door.loop)


def test_answer_counts_as_long_as_its_client_does_not_take_it_up(door: Door, rob: Actor) -> None:
    held = hold_answer(door, rob)
    until(lambda: door.inference._memory.held > 8000)
    until(lambda: all(lanes.crowd.busy == 0 for lanes in door.inference._lanes.values()))
    assert door.inference._memory.held < 16_000, "the message itself counts no more"
    held.cancel()
    until(lambda: door.inference._memory.held == 0)


def test_connection_whose_client_takes_up_no_answer_is_ended(
    door: Door, rob: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "WRITE_SECONDS", 0.1)
    assert hold_answer(door, rob).result(20) is Code.UNAVAILABLE
    until(lambda: door.inference._memory.held == 0)
    monkeypatch.undo()
    assert door.call("ModelInfer", numbers([5, 10]), actor=rob), "nobody else's is"


def test_clients_that_leave_write_no_errors(
    door: Door, rob: Actor, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        silent(door, "ModelInfer", *bearer(rob)).cancel()
    calls = [silent(door, "ModelInfer", *bearer(rob)) for _ in range(10)]
    until(lambda: door.inference._calls.crowd.busy == 10)
    for call in calls:
        call.cancel()
    held = [hold_answer(door, rob) for _ in range(3)]
    until(lambda: door.inference._memory.held > 24_000)
    for one in held:
        one.cancel()
    until(lambda: door.inference._calls.crowd.busy == 0)
    until(lambda: door.inference._memory.held == 0)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_call_without_a_message_is_refused(door: Door, rob: Actor) -> None:
    method = door.channel.stream_unary(f"/{SERVICE}/ModelInfer")
    with pytest.raises(grpc.RpcError) as refused:
        method(iter([]), metadata=tuple(bearer(rob)), timeout=10)
    assert refused.value.code() is Code.INVALID_ARGUMENT


def waiting(door: Door) -> list[asyncio.Future[None]]:
    """The calls that wait for a thread, those given up among them."""
    queues = [q for lanes in door.inference._lanes.values() for q in lanes._turns._queues.values()]
    return [call for queue in queues for call in queue]


def test_call_past_its_deadline_is_not_begun(
    door: Door, rob: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, begun = threading.Event(), threading.Semaphore(0)
    answer = Arrival.answer

    def held(arrival: Arrival, data: bytes) -> Any:
        begun.release()
        gate.wait(10)
        return answer(arrival, data)

    assert door.call("ModelInfer", numbers([5, 10]), actor=rob)
    monkeypatch.setattr(Arrival, "answer", held)
    method = door.channel.unary_unary(f"/{SERVICE}/ModelInfer")
    message = numbers([5, 10]).SerializeToString()
    first = method.future(message, metadata=tuple(bearer(rob)), timeout=10)
    assert begun.acquire(timeout=10)  # of two threads one tenant has one

    late = door.refusal("ModelInfer", message, actor=rob, timeout=0.2)

    assert late.code() is Code.DEADLINE_EXCEEDED
    # The server has a clock of its own, which may be a little later than the client's.
    until(lambda: all(call.done() for call in waiting(door)))
    gate.set()
    assert first.result(10)
    assert door.call("ModelInfer", numbers([5, 10]), actor=rob)
    assert begun.acquire(timeout=10)
    assert not begun.acquire(blocking=False), "the late call was begun, too"


def test_callers_that_hang_up_hold_neither_memory_nor_threads(door: Door, rob: Actor) -> None:
    method = door.channel.unary_unary(f"/{SERVICE}/ModelInfer")
    message = numbers(*[[5, 10]] * 1000).SerializeToString()
    for _ in range(30):
        method.future(message, metadata=tuple(bearer(rob)), timeout=10).cancel()

    assert door.call("ModelInfer", numbers([5, 10]), actor=rob)
    until(lambda: door.inference._memory.held == 0)
    until(lambda: all(lanes.crowd.busy == 0 for lanes in door.inference._lanes.values()))


def test_messages_in_memory_are_bounded_for_each_and_for_all() -> None:
    memory = Memory(100, what="messages")
    for _ in range(8):
        memory.take("a", 100)
    with pytest.raises(MemoryFull, match="too many of your messages"):
        memory.take("a", 1)
    for lane in "bc":
        memory.take(lane, 400)
    with pytest.raises(MemoryFull, match="too many messages"):
        memory.take("d", 1)
    memory.give_back("a", 800)
    memory.take("d", 100)
    assert memory.held == 900


def test_full_memory_refuses_a_call_until_there_is_room(door: Door, rob: Actor) -> None:
    lane = door.call("ModelInfer", numbers([5, 10]), actor=rob) and _tenant(rob, door)
    door.inference._memory.take(lane, 8 * SMALL)

    refused = door.refusal("ModelInfer", numbers([5, 10]), actor=rob)

    assert refused.code() is Code.UNAVAILABLE
    assert trailing(refused)["retry-after"] == "1"
    [in_stream] = door.stream([numbers([5, 10])], actor=rob)
    assert "too many of your messages" in in_stream.error_message
    door.inference._memory.give_back(lane, 8 * SMALL)
    assert door.call("ModelInfer", numbers([5, 10]), actor=rob)


def _tenant(actor: Actor, door: Door) -> str:
    scope = door.house.platform.caches.callers.get(actor.token)
    assert scope is not None
    return scope.scope.tenant_id


def test_streams_end_when_the_process_is_to_leave(house: House, rob: Actor) -> None:
    over = threading.Event()

    def sent() -> Iterator[Any]:
        yield numbers([5, 10])
        over.wait(10)

    with open_door(house) as door:
        received = door.stream(sent(), actor=rob)
        assert not next(received).error_message
        door.loop.call_soon_threadsafe(door.inference.leaving.set)
        with pytest.raises(grpc.RpcError) as ended:
            next(received)
    over.set()
    assert ended.value.code() is Code.UNAVAILABLE


def test_renewed_certificate_is_shown_to_the_next_connection(door: Door, rob: Actor) -> None:
    platform = door.house.platform
    first = _certificate(door)
    assert _certificate(door) == first

    platform.authority.renew(force=True)

    assert _certificate(door) != first
    assert door.call("ModelInfer", numbers([5, 10]), actor=rob), "connections that stand go on"


def _certificate(door: Door) -> str:
    """The certificate that a new connection is shown."""
    return ssl.get_server_certificate(
        ("localhost", door.port), ca_certs=str(door.house.folder / "certs" / "ca.pem"), timeout=10
    )
