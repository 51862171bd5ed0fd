"""A host: one tenant's models, run within the sandbox for whoever is connected.

It has one thread and no files: a socket from its parent, over which its callers' connections
arrive, and those connections.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from models.compilation import Predictor
from models.errors import FrameMalformed, RowsRefused
from models.hosting import frames
from models.hosting.batches import Outcome, Queue, Waiting, alike, answer_each
from models.hosting.descriptors import descriptors_in
from models.hosting.frames import Request
from models.hosting.open_versions import OpenVersions, RefusedToOpen, reason_of
from models.hosting.page import Page
from models.hosting.payloads import Buffer
from models.hosting.streams import Inbox, Outbox, StreamEnded
from models.signature import METHODS
from models.tables import Features

NUMBER_BYTES: Final = 8
MOST_WAITING_BYTES: Final = 256 * 1024**2
MOST_UNSENT_BYTES: Final = 64 * 1024**2
MOST_RECEIPTS: Final = 256  # from one connection before others have their turn

Opener = Callable[[str, bytes], Predictor]


class Caller:
    """A connection of one worker."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.socket = sock
        self.number = number
        self.inbox = Inbox(sock, frames.REQUEST.size, frames.read_request, takes_descriptors=True)
        self.outbox = Outbox(sock)

    @property
    def is_there(self) -> bool:
        """Whether the connection is open."""
        return self.socket.fileno() >= 0


class Delivery(NamedTuple):
    """A version's file: what it should be, and the descriptor that it is read from."""

    artefact: frames.Artefact
    descriptor: int


class Call(NamedTuple):
    """A request as it waits, with its rows or its file."""

    caller: Caller
    request: Request
    content: Features | Delivery | None

    @property
    def place(self) -> tuple[int, int]:
        """What names it among all calls of this host."""
        return self.caller.number, self.request.call


class Host:
    """Answers calls until its parent is gone."""

    def __init__(
        self, control: socket.socket, page: Page, opener: Opener, *, budget_bytes: int
    ) -> None:
        self._control = control
        self._page = page
        self._versions = OpenVersions(opener, budget_bytes=budget_bytes)
        self._queue: Queue[Call] = Queue()
        self._waiting_bytes = 0
        self._callers: dict[int, Caller] = {}
        self._poller = select.poll()
        self._poller.register(control.fileno(), select.POLLIN)

    def run(self) -> NoReturn:
        """Serve; ends with SystemExit."""
        while True:
            if self._waiting_bytes < MOST_WAITING_BYTES:
                self._attend(0 if len(self._queue) else None)
            if len(self._queue):
                self._serve(self._queue.next_batch())

    def _attend(self, milliseconds: int | None) -> None:
        """Take whatever arrives, at the latest after so long."""
        for descriptor, event in self._poller.poll(milliseconds):
            if descriptor == self._control.fileno():
                self._welcome()
                continue
            caller = self._callers[descriptor]
            try:
                if event & select.POLLOUT:
                    caller.outbox.flush()
                    self._watch(caller)
                if event & ~select.POLLOUT:
                    self._receive(caller)
            except (StreamEnded, FrameMalformed):
                self._part(caller)

    def _welcome(self) -> None:
        content, ancillary, _, _ = self._control.recvmsg(
            NUMBER_BYTES, socket.CMSG_SPACE(NUMBER_BYTES)
        )
        if not content:  # what is not begun goes to another host
            raise SystemExit(0)
        arrived = descriptors_in(ancillary)
        if not arrived:  # there are more connections than a host may have
            return
        descriptor = arrived[0]
        # All of it is given, since asking the kernel is not among what the sandbox allows.
        kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
        sock = socket.socket(socket.AF_UNIX, kind, 0, descriptor)
        self._callers[descriptor] = Caller(sock, int.from_bytes(content, "little"))
        self._poller.register(descriptor, select.POLLIN)

    def _part(self, caller: Caller) -> None:
        descriptor = caller.socket.fileno()
        if self._callers.pop(descriptor, None) is not None:
            self._poller.unregister(descriptor)
            caller.socket.close()
            for unused in caller.inbox.descriptors:
                os.close(unused)

    def _watch(self, caller: Caller) -> None:
        """Wait for what a connection needs next; who does not read is not read from."""
        events = 0 if caller.outbox.is_empty else select.POLLOUT
        if caller.outbox.size < MOST_UNSENT_BYTES:
            events |= select.POLLIN
        self._poller.modify(caller.socket.fileno(), events)

    def _receive(self, caller: Caller) -> None:
        for _ in range(MOST_RECEIPTS):
            try:
                arrived = caller.inbox.receive()
            except BlockingIOError:
                return
            for request, payload in arrived:
                self._admit(Call(caller, request, _content(caller, request, payload)))
            if not caller.inbox.may_have_more or self._waiting_bytes >= MOST_WAITING_BYTES:
                return

    def _admit(self, call: Call) -> None:
        request = call.request
        shared: tuple[object, ...] = call.place
        if request.kind == frames.PREDICT:
            shared = alike(request.version, request.method, call.content)  # type: ignore[arg-type]
        self._waiting_bytes += request.length
        self._queue.add(Waiting(shared, request.rows, call))

    def _serve(self, batch: list[Call]) -> None:
        self._waiting_bytes -= sum(call.request.length for call in batch)
        kind, version = batch[0].request.kind, batch[0].request.version
        now = time.monotonic()
        due: list[Call] = []
        for call in batch:
            if call.request.deadline > now and call.caller.is_there:
                due.append(call)
            else:
                self._drop(call)
        if not due:
            return
        if kind == frames.PREDICT:
            self._predict(version, due)
        elif kind == frames.PUT:
            self._put(version, due[0])
        else:
            self._end(due[0], frames.OPEN if version in self._versions else frames.NOT_OPEN)

    def _predict(self, version: bytes, batch: list[Call]) -> None:
        predictor = self._versions.get(version)
        if predictor is None:
            for call in batch:
                self._end(call, frames.NOT_OPEN)
            return
        method = METHODS[batch[0].request.method]
        self._page.begin(version, [call.place for call in batch])
        began = time.perf_counter()
        outcomes = _answers(predictor, method, batch)
        microseconds = int((time.perf_counter() - began) * 1e6)
        for call, outcome in zip(batch, outcomes, strict=True):
            self._send(call, _frame(call, outcome, len(batch), microseconds))
        self._page.end()

    def _put(self, version: bytes, call: Call) -> None:
        assert isinstance(call.content, Delivery)
        self._page.begin(version, [call.place])
        try:
            self._versions.put(version, *call.content)
            self._end(call, frames.OPEN)
        except RefusedToOpen as error:
            self._end(call, frames.REFUSED, str(error))
        self._page.end()

    def _drop(self, call: Call) -> None:
        """Leave a call whose caller has gone, or waits no longer."""
        if isinstance(call.content, Delivery):
            os.close(call.content.descriptor)
        self._end(call, frames.EXPIRED)

    def _end(self, call: Call, status: int, reason: str = "") -> None:
        self._send(call, frames.outcome(call.request.call, status, reason))

    def _send(self, call: Call, frame: list[Buffer]) -> None:
        caller = call.caller
        if not caller.is_there:
            return
        try:
            caller.outbox.send(frame)
        except StreamEnded:
            self._part(caller)
            return
        if not caller.outbox.is_empty:
            self._watch(caller)


def _content(caller: Caller, request: Request, payload: Buffer) -> Features | Delivery | None:
    if request.kind == frames.PREDICT:
        return frames.read_features(request, payload)
    if request.kind == frames.HOLDS:
        return None
    artefact = frames.read_artefact(payload)
    if not caller.inbox.descriptors:
        raise FrameMalformed("a file came without its descriptor")
    return Delivery(artefact, caller.inbox.descriptors.pop(0))


def _answers(predictor: Predictor, method: str, batch: list[Call]) -> list[Outcome]:
    if method not in predictor.methods:
        return [LookupError(f"it has no {method}")] * len(batch)

    def answer(features: Features) -> NDArray[Any]:
        with np.errstate(all="ignore"):  # what is not finite is seen in the answers
            return predictor.answer(method, features)

    return answer_each(answer, [call.content for call in batch])  # type: ignore[misc]


def _frame(call: Call, outcome: Outcome, batch: int, microseconds: int) -> list[Buffer]:
    number = call.request.call
    if isinstance(outcome, Exception):
        # A ValueError is how scikit-learn refuses rows: they are the caller's.
        refused = isinstance(outcome, ValueError | RowsRefused)
        status = frames.REFUSED if refused else frames.FAILED
        return frames.outcome(number, status, reason_of(outcome))
    try:
        return frames.answers(number, outcome, batch=batch, microseconds=microseconds)
    except FrameMalformed as error:
        return frames.outcome(number, frames.FAILED, error.problem)
