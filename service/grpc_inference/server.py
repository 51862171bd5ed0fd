"""Takes calls from gRPC on one event loop, and answers them in bounded threads.

gRPC hands over a call when its metadata have come. Every method is served as a stream, so that
who calls is known before a message of theirs is read: until then a call costs its bytes on the
wire and 64 KiB at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import grpc
from grpc import aio

from service.bootstrap import Platform
from service.grpc_inference.arrivals import Arrival, Reply
from service.grpc_inference.callers import Metadata, credential_of
from service.grpc_inference.exchange import CallRefused, read_next, read_only_message, write
from service.grpc_inference.listener import keep_to
from service.grpc_inference.messages import RPCS
from service.grpc_inference.methods import METHODS, Method
from service.grpc_inference.refusals import Refusal, busy
from service.grpc_inference.responses import error_in_stream
from service.grpc_inference.transport import credentials, options
from service.lanes import Lanes, LanesFull, Pace, Turns
from service.memory import HELD_EACH, Memory, MemoryFull
from service.monitoring import Load, Monitor
from service.operations.guesses import counted_address

CALLS: Final = 1024  # of known callers, open at once in one process
CALLS_EACH: Final = 256
STRANGERS: Final = 256  # of addresses, beside them
STRANGERS_EACH: Final = 32
STREAMS: Final = 128  # of them, what may idle
STREAMS_EACH: Final = 32
READS: Final = 128  # messages that arrive at once, beside those of streams
READS_EACH: Final = 16
STRANGE_READS: Final = 64
STRANGE_READS_EACH: Final = 8
WAITING_CALLS: Final = 512
WAITING_CALLS_EACH: Final = 128
WAITING_THREADS: Final = 32
FIRST_SECONDS: Final = 15.0
LEAST_BYTES_PER_SECOND: Final = 64 * 1024
IDLE_SECONDS: Final = 600.0
# Of what everybody may ask, which are names at most; and of what is asked but rows.
PUBLIC_SECONDS: Final = 5.0
PUBLIC_BYTES: Final = 4 * 1024
SMALL_BYTES: Final = 64 * 1024
ROWS: Final = "inference.ModelInferRequest"


@dataclass(frozen=True, slots=True)
class Standing:
    """Whose turn a call uses, what it will wait for, and whether its messages may be read.

    It is its tenant's turn if the credential is known, else its address's. Strangers, whose
    credential never was, have places of their own.
    """

    lane: Hashable
    pace: Pace = "quick"
    is_admitted: bool = False
    is_strange: bool = False


class Inference(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers every method there is, and those that there are not."""

    def __init__(self, platform: Platform, monitor: Monitor) -> None:
        self._platform = platform
        self._monitor = monitor
        settings = platform.settings
        self._calls = _places(CALLS, CALLS_EACH)
        self._entering = _places(STRANGERS, STRANGERS_EACH)
        self._strangers = _places(STRANGERS, STRANGERS_EACH)
        self._streams = _places(STREAMS, STREAMS_EACH)
        self._reads = Turns(
            places=READS, most_each=READS_EACH, waiting=CALLS, waiting_each=CALLS_EACH
        )
        self._strange_reads = Turns(
            places=STRANGE_READS,
            most_each=STRANGE_READS_EACH,
            waiting=STRANGERS,
            waiting_each=STRANGERS_EACH,
        )
        self._lanes: dict[Pace, Lanes] = {
            "quick": self._make_lanes("quick", settings.threads),
            # What waits for a model's process may take as long as its author likes.
            "waiting": self._make_lanes("waiting", WAITING_THREADS),
        }
        self._memory = Memory(settings.max_body_bytes, what="messages")
        self.leaving = asyncio.Event()
        monitor.watch(self._load)

    def service(self, details: Any) -> Any:
        """The handler of a call; asked by gRPC."""
        return grpc.stream_stream_rpc_method_handler(partial(self._serve, details.method))

    async def _serve(self, path: str, _messages: Any, context: Any) -> None:
        try:
            await self._take(self._arrival(path, context), context)
        except CallRefused as refused:
            self._refuse(refused.refusal, context)
        except LanesFull as full:
            self._refuse(busy(str(full)), context)
        except aio.InternalError:
            # The client is gone. gRPC would write an error with a traceback for each that leaves.
            raise asyncio.CancelledError from None

    def _arrival(self, path: str, context: Any) -> Arrival:
        metadata, settings = Metadata(context.invocation_metadata()), self._platform.settings
        return Arrival(
            platform=self._platform,
            method=METHODS.get(path),
            metadata=metadata,
            credential=credential_of(
                metadata, context.peer(), trusted_proxies=settings.trusted_proxies
            ),
        )

    async def _take(self, arrival: Arrival, context: Any) -> None:
        """Answer a call once it has a place: a stranger's one is first asked who it is.

        What a stranger sends is waited for in the strangers' places alone.
        """
        standing = self._stand(arrival)
        if standing.is_strange:
            async with self._entering.turn(standing.lane):
                if not await self._enter(arrival, standing, context):
                    return
            standing = replace(self._stand(arrival), is_admitted=True)
        places = self._strangers if standing.is_strange else self._calls
        async with places.turn(standing.lane):
            if not standing.is_admitted:
                if not await self._enter(arrival, standing, context):
                    return
                standing = self._stand(arrival)
            await self._answer(arrival, standing, context)

    async def _enter(self, arrival: Arrival, standing: Standing, context: Any) -> bool:
        """Whether a call's messages may be read; it is finished if not."""
        refusal = await self._lanes[standing.pace].run(standing.lane, arrival.enter)
        if refusal is not None:
            _finish(refusal, context)
        return refusal is None

    async def _answer(self, arrival: Arrival, standing: Standing, context: Any) -> None:
        assert arrival.method is not None
        if arrival.method.streams:
            async with self._streams.turn(standing.lane):
                await self._answer_each(arrival, context)
        else:
            await self._answer_one(arrival, standing, context)

    async def _answer_one(self, arrival: Arrival, standing: Standing, context: Any) -> None:
        assert arrival.method is not None
        most, seconds = self._bounds(arrival.method)
        reads = self._strange_reads if standing.is_strange else self._reads
        async with reads.turn(standing.lane):
            data = await read_only_message(context, seconds=seconds, most_bytes=most)
        reply = await self._work(arrival, standing, data)
        if reply.data is not None:
            await self._write(standing.lane, reply.data, context)
        _finish(reply, context)

    async def _answer_each(self, arrival: Arrival, context: Any) -> None:
        """Answer each message of a stream in its turn, until the client ends it or we must."""
        while True:
            data = await read_next(context, seconds=IDLE_SECONDS, leaving=self.leaving)
            if data is None:
                return
            try:
                standing = self._stand(arrival)
                reply = await self._work(arrival, standing, data)
                assert reply.data is not None
                await self._write(standing.lane, reply.data, context)
            except CallRefused as refused:
                self._monitor.refused(refused.refusal.problem)
                await write(context, error_in_stream(refused.refusal.words, ""))

    def _bounds(self, method: Method) -> tuple[int, float]:
        """How many bytes a method's message has at most, and in how many seconds it comes."""
        if method.permission is None:
            return PUBLIC_BYTES, PUBLIC_SECONDS
        takes_rows = RPCS[method.path].request == ROWS
        most = self._platform.settings.max_body_bytes if takes_rows else SMALL_BYTES
        return most, FIRST_SECONDS + most / LEAST_BYTES_PER_SECOND

    async def _write(self, lane: Hashable, data: bytes, context: Any) -> None:
        """Send an answer, whose bytes count until they have left; raises CallRefused.

        One that is alone finds room, however large it is.
        """
        size = min(len(data), HELD_EACH * self._platform.settings.max_body_bytes)
        try:
            self._memory.take(lane, size)
        except MemoryFull as full:
            raise CallRefused(busy(str(full))) from None
        await write(context, data, left=partial(self._memory.give_back, lane, size))

    async def _work(self, arrival: Arrival, standing: Standing, data: bytes) -> Reply:
        """Answer a message, whose bytes count until it has left; raises CallRefused."""
        lane, work = standing.lane, partial(arrival.answer, data)
        try:
            self._memory.take(lane, len(data))
            left = partial(self._memory.give_back, lane, len(data))
            return await self._lanes[standing.pace].run(lane, work, left=left)
        except (MemoryFull, LanesFull) as full:
            raise CallRefused(busy(str(full))) from None

    def _stand(self, arrival: Arrival) -> Standing:
        scope, method = arrival.known(), arrival.method
        if scope is None:
            strange = arrival.credential.is_strange(self._platform)
            return Standing(counted_address(arrival.credential.address), is_strange=strange)
        opens = method is not None and method.opens
        waits = opens or self._platform.hosting.keeps_waiting(scope.tenant_id)
        admitted = method is not None and method.may_be_called_by(scope)
        return Standing(scope.tenant_id, "waiting" if waits else "quick", admitted)

    def _refuse(self, refusal: Refusal, context: Any) -> None:
        self._monitor.refused(refusal.problem)
        _finish(Reply(None, refusal.code, refusal.words, refusal.trailing), context)

    def _make_lanes(self, name: Pace, threads: int) -> Lanes:
        return Lanes(
            name,
            threads=threads,
            waiting=WAITING_CALLS,
            waiting_each=WAITING_CALLS_EACH,
            waited=self._monitor.waited(name),
        )

    def _load(self) -> Load:
        crowds = {str(pace): lanes.crowd for pace, lanes in self._lanes.items()}
        return Load(crowds, self._memory.held)


def make_server(platform: Platform, inference: Inference, address: str) -> Any:
    """gRPC's server over TLS at an address, not started yet."""
    server = aio.server(options=options(platform.settings))
    server.add_generic_rpc_handlers((inference,))
    server.add_secure_port(address, credentials(platform))
    keep_to(address)
    return server


def _places(places: int, most_each: int) -> Turns:
    """Places for which nobody waits."""
    return Turns(places=places, most_each=most_each, waiting=0, waiting_each=0)


def _finish(reply: Reply, context: Any) -> None:
    """End a call with a status; the answer is sent when its handler returns."""
    context.set_code(reply.code)
    context.set_details(reply.words)
    context.set_trailing_metadata(reply.trailing)
