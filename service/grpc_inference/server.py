"""Takes calls from gRPC on one event loop, and answers them in bounded threads.

gRPC hands over a call when its metadata have come. Every method is served as a stream, so that
who calls is known before a message of theirs is read: until then a call costs its bytes on the
wire and 64 KiB at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import grpc
from grpc import aio

from service.bootstrap import Platform
from service.grpc_inference.arrivals import Arrival, Reply
from service.grpc_inference.callers import Metadata, credential_of
from service.grpc_inference.methods import METHODS
from service.grpc_inference.refusals import Refusal, busy
from service.grpc_inference.responses import error_in_stream
from service.grpc_inference.transport import credentials, options
from service.lanes import Lanes, LanesFull, Pace, Turns
from service.memory import Memory, MemoryFull
from service.monitoring import Load, Monitor
from service.operations.guesses import counted_address
from service.problems import BY_STATUS, UNAVAILABLE

CALLS: Final = 1024  # open at once in one process
CALLS_EACH: Final = 256
STREAMS: Final = 128  # of them, what may idle
STREAMS_EACH: Final = 32
READS: Final = 128  # messages that arrive at once, beside those of streams
READS_EACH: Final = 16
WAITING_CALLS: Final = 512
WAITING_CALLS_EACH: Final = 128
WAITING_THREADS: Final = 32
FIRST_SECONDS: Final = 15.0
LEAST_BYTES_PER_SECOND: Final = 64 * 1024
IDLE_SECONDS: Final = 600.0

LATE: Final = Refusal(
    BY_STATUS[408], grpc.StatusCode.DEADLINE_EXCEEDED, "the message did not arrive in time"
)
NO_MESSAGE: Final = Refusal(
    BY_STATUS[400], grpc.StatusCode.INVALID_ARGUMENT, "the call ended without a message"
)
IDLE: Final = Refusal(
    BY_STATUS[408], grpc.StatusCode.DEADLINE_EXCEEDED, "the stream was idle for too long"
)
LEAVING: Final = Refusal(
    UNAVAILABLE, grpc.StatusCode.UNAVAILABLE, "this process is stopping; open another stream"
)


class CallRefused(Exception):
    """Raised when a call is refused before a thread has taken it."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.words)


@dataclass(frozen=True, slots=True)
class Standing:
    """Whose turn a call uses, what it will wait for, and whether its messages may be read.

    It is its tenant's turn if the credential is known, else its address's.
    """

    lane: Hashable
    pace: Pace = "quick"
    is_admitted: bool = False


class Inference(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers every method there is, and those that there are not."""

    def __init__(self, platform: Platform, monitor: Monitor) -> None:
        self._platform = platform
        self._monitor = monitor
        settings = platform.settings
        self._calls = _places(CALLS, CALLS_EACH)
        self._streams = _places(STREAMS, STREAMS_EACH)
        self._reads = Turns(
            places=READS, most_each=READS_EACH, waiting=CALLS, waiting_each=CALLS_EACH
        )
        self._lanes: dict[Pace, Lanes] = {
            "quick": self._make_lanes("quick", settings.threads),
            # What waits for a model's process may take as long as its author likes.
            "waiting": self._make_lanes("waiting", WAITING_THREADS),
        }
        self._memory = Memory(settings.max_body_bytes, what="messages")
        self._read_seconds = FIRST_SECONDS + settings.max_body_bytes / LEAST_BYTES_PER_SECOND
        self.leaving = asyncio.Event()
        monitor.watch(self._load)

    def service(self, details: Any) -> Any:
        """The handler of a call; asked by gRPC."""
        return grpc.stream_stream_rpc_method_handler(partial(self._serve, details.method))

    async def _serve(self, path: str, _messages: Any, context: Any) -> None:
        metadata = Metadata(context.invocation_metadata())
        arrival = Arrival(
            platform=self._platform,
            method=METHODS.get(path),
            metadata=metadata,
            credential=credential_of(
                metadata,
                context.peer(),
                trusted_proxies=self._platform.settings.trusted_proxies,
            ),
        )
        standing = self._stand(arrival)
        try:
            async with self._calls.turn(standing.lane):
                await self._answer(arrival, standing, context)
        except CallRefused as refused:
            self._refuse(refused.refusal, context)
        except LanesFull as full:
            self._refuse(busy(str(full)), context)

    async def _answer(self, arrival: Arrival, standing: Standing, context: Any) -> None:
        if not standing.is_admitted:
            refusal = await self._lanes[standing.pace].run(standing.lane, arrival.enter)
            if refusal is not None:
                _finish(refusal, context)
                return
            standing = self._stand(arrival)
        assert arrival.method is not None
        if arrival.method.streams:
            async with self._streams.turn(standing.lane):
                await self._answer_each(arrival, context)
        else:
            await self._answer_one(arrival, standing, context)

    async def _answer_one(self, arrival: Arrival, standing: Standing, context: Any) -> None:
        async with self._reads.turn(standing.lane):
            data = await self._read(context, seconds=self._read_seconds, late=LATE)
        if data is None:
            raise CallRefused(NO_MESSAGE)
        reply = await self._work(arrival, standing, data)
        if reply.data is not None:
            await context.write(reply.data)
        _finish(reply, context)

    async def _answer_each(self, arrival: Arrival, context: Any) -> None:
        """Answer each message of a stream in its turn, until the client ends it or we must."""
        while True:
            data = await self._read(context, seconds=IDLE_SECONDS, late=IDLE)
            if data is None:
                return
            try:
                answered = (await self._work(arrival, self._stand(arrival), data)).data
            except CallRefused as refused:
                self._monitor.refused(refused.refusal.problem)
                answered = error_in_stream(refused.refusal.words, "")
            await context.write(answered)

    async def _read(self, context: Any, *, seconds: float, late: Refusal) -> bytes | None:
        """The next message, None at the end.

        A read is never cancelled, only left behind: gRPC still writes to where it was begun. It
        ends with its call.
        """
        read = asyncio.ensure_future(context.read())
        read.add_done_callback(_retrieve)
        leaving = asyncio.ensure_future(self.leaving.wait())
        try:
            await asyncio.wait(
                {read, leaving} if late is IDLE else {read},
                timeout=seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            leaving.cancel()
        if not read.done():
            raise CallRefused(LEAVING if self.leaving.is_set() else late)
        data = read.result()
        return None if data is aio.EOF else data

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
            return Standing(counted_address(arrival.credential.address))
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
    return server


def _places(places: int, most_each: int) -> Turns:
    """Places for which nobody waits."""
    return Turns(places=places, most_each=most_each, waiting=0, waiting_each=0)


def _finish(reply: Reply, context: Any) -> None:
    """End a call with a status; the answer is sent when its handler returns."""
    context.set_code(reply.code)
    context.set_details(reply.words)
    context.set_trailing_metadata(reply.trailing)


def _retrieve(read: asyncio.Future[Any]) -> None:
    """Look at how a read ended that nobody waits for any more."""
    if not read.cancelled():
        read.exception()
