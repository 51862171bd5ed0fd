"""A worker's way to hosts: has the parent start them, and brings every call to its tenant's own."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from models.errors import HostsUnavailable
from models.hosting import orders
from models.hosting.channel import Arrived, Channel, Expected, Expired, Lost
from models.hosting.links import RETRY_SECONDS, Access, ParentLink
from models.hosting.page import Page
from models.hosting.payloads import Buffer

ATTEMPTS: Final = 2
# How long a call waits for a place where every host works.
BUSY_SECONDS: Final = 5.0
FATE_SECONDS: Final = 5.0
IMPORT_SECONDS: Final = 20.0  # it may just have begun to import
END_SECONDS: Final = 1.0
# A host that answers nothing at all for so many deadlines hangs, whatever its page says.
SILENT_DEADLINES: Final = 2
# A call that began when most of its time was gone is not what keeps its host.
BLAMED_SHARE: Final = 0.5

Frame = Callable[[int], list[Buffer]]
OnCrash = Callable[[bytes, str], None]


class HostEnded(Exception):
    """Raised when a host has ended in a call; the message says how."""


class TooLate(Exception):
    """Raised when a host has not answered at the deadline."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """A process that takes one file apart at the other end of `connection`."""

    pid: int
    connection: socket.socket


class HostsClient:
    """Hosts of one flavour, for all threads of this process: one connection to each tenant's."""

    def __init__(self, access: Access, *, on_crash: OnCrash = lambda _version, _fate: None) -> None:
        self.on_crash = on_crash
        self._link = ParentLink(access)
        self._channels: dict[str, Channel] = {}
        self._lock = threading.Lock()
        self._starting: dict[str, threading.Lock] = {}
        self._process = os.getpid()

    def call(
        self,
        tenant: str,
        frame: Frame,
        expected: Expected,
        *,
        seconds: float,
        deadline: float,
        descriptors: tuple[int, ...] = (),
    ) -> Arrived:
        """Bring a call to the tenant's host; raises HostEnded, TooLate or HostsUnavailable.

        A call that its host had not begun when it ended goes to the next host, once.
        """
        for _ in range(ATTEMPTS):
            channel = self._channel(tenant, deadline)
            try:
                return channel.request(frame, expected, deadline=deadline, descriptors=descriptors)
            except Expired as error:
                self._give_up(tenant, channel, error.call, seconds)
                raise TooLate from error
            except Lost as lost:
                fate = self._bury(tenant, channel)
                if lost.started:
                    raise HostEnded(fate) from lost
        raise HostEnded("two hosts ended before it began")

    @property
    def is_there(self) -> bool:
        """Whether an order would not have to start a parent first."""
        return self._link.is_there

    def has_host(self, tenant: str) -> bool:
        """Whether the tenant has a host, without starting one."""
        self._renew_after_fork()
        channel = self._channels.get(tenant)
        if channel is not None and not channel.is_broken:
            return True
        if not self._link.is_there:
            return False
        try:
            return self._connect_host(tenant, time.monotonic() + FATE_SECONDS, start=False)
        except HostsUnavailable:
            return False

    def forget(self, tenant: str) -> None:
        """End the tenant's host."""
        self._renew_after_fork()
        self._drop(tenant, self._channels.get(tenant))
        if not self._link.is_there:
            return
        self._link.order(
            {"do": "forget", "tenant": tenant}, deadline=time.monotonic() + FATE_SECONDS
        )

    def workshop(self, *, memory_bytes: int, seconds: float) -> Workshop:
        """Open a workshop, which is ended after so long, or when its connection is closed."""
        return self._open("workshop", memory_bytes, seconds)

    def reader(self, *, memory_bytes: int, seconds: float) -> Workshop:
        """Open a workshop for a file of rows, which predictions wait for."""
        return self._open("reader", memory_bytes, seconds)

    def _open(self, kind: str, memory_bytes: int, seconds: float) -> Workshop:
        self._renew_after_fork()
        order = {"do": kind, "memory_bytes": memory_bytes, "seconds": seconds}
        patience = time.monotonic() + max(seconds, IMPORT_SECONDS)
        reply, descriptors = self._order_patiently(order, patience)
        return Workshop(reply["pid"], socket.socket(fileno=descriptors[0]))

    def fate_of(self, workshop: Workshop) -> str:
        """How a workshop ended that has closed its connection; empty if that is not known."""
        if not self._link.is_there:
            return ""
        order = {"do": "workshop fate", "pid": workshop.pid}
        try:
            reply, _ = self._link.order(order, deadline=time.monotonic() + FATE_SECONDS)
        except HostsUnavailable:
            return ""
        fate: str = reply["fate"]
        return fate

    def status(self, *, seconds: float = IMPORT_SECONDS) -> dict[str, Any]:
        """What the parent tells of itself, its sandbox and its hosts; raises HostsUnavailable."""
        self._renew_after_fork()
        reply, _ = self._link.order({"do": "status"}, deadline=time.monotonic() + seconds)
        return reply

    def close(self) -> None:
        """Hang up on every host and the parent."""
        with self._lock:
            channels, self._channels = list(self._channels.values()), {}
        for channel in channels:
            channel.close()
        self._link.close()

    def _channel(self, tenant: str, deadline: float) -> Channel:
        self._renew_after_fork()
        channel = self._channels.get(tenant)
        if channel is not None and not channel.is_broken:
            return channel
        with self._lock:
            turn = self._starting.setdefault(tenant, threading.Lock())
        if not turn.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise HostsUnavailable("one is being started")
        try:
            channel = self._channels.get(tenant)
            if channel is None or channel.is_broken:
                self._connect_host(tenant, deadline, start=True)
            return self._channels[tenant]
        finally:
            turn.release()
            with self._lock:
                self._starting.pop(tenant, None)

    def _connect_host(self, tenant: str, deadline: float, *, start: bool) -> bool:
        order = {"do": "host", "tenant": tenant, "start": start}
        reply, descriptors = self._order_patiently(order, deadline)
        if "host" not in reply:
            return False
        sock, page = socket.socket(fileno=descriptors[0]), descriptors[1]
        try:
            channel = Channel(
                sock, Page(page, writable=False), host=reply["host"], number=reply["connection"]
            )
        finally:
            os.close(page)
        with self._lock:
            before = self._channels.get(tenant)
            is_needed = before is None or before.is_broken
            if is_needed:
                self._channels[tenant] = channel
        useless = before if is_needed else channel  # another thread was faster
        if useless is not None:
            useless.close()
        return True

    def _order_patiently(
        self, order: orders.Order, deadline: float
    ) -> tuple[dict[str, Any], list[int]]:
        """Ask again while every place is taken; raises HostsUnavailable."""
        patience = min(deadline, time.monotonic() + BUSY_SECONDS)
        while True:
            reply, descriptors = self._link.order(order, deadline=deadline)
            if not reply.get("busy"):
                return reply, descriptors
            if time.monotonic() + RETRY_SECONDS >= patience:
                raise HostsUnavailable(reply["error"])
            time.sleep(RETRY_SECONDS)

    def _give_up(self, tenant: str, channel: Channel, call: int, seconds: float) -> None:
        """At a deadline: end the host if it is this call that keeps it, or if it hangs."""
        running = channel.running(call)
        keeps = running and time.monotonic() - running.since >= seconds * BLAMED_SHARE
        if not keeps and not channel.is_silent(SILENT_DEADLINES):
            return
        reason = f"it did not answer within {seconds:g} s"
        self._link.order(
            {"do": "kill", "host": channel.host, "reason": reason},
            deadline=time.monotonic() + FATE_SECONDS,
        )
        if channel.await_end(END_SECONDS):
            self._bury(tenant, channel)

    def _bury(self, tenant: str, channel: Channel) -> str:
        """Drop a lost channel; learn how its host ended, and say so of the version at fault."""
        self._drop(tenant, channel)
        version = channel.blame()
        try:
            reply, _ = self._link.order(
                {"do": "fate", "host": channel.host}, deadline=time.monotonic() + FATE_SECONDS
            )
        except HostsUnavailable:
            reply = {}
        fate = reply.get("fate") or "its end was not seen"
        if version is not None and reply.get("is_its_fault"):
            self.on_crash(version, fate)
        return fate

    def _drop(self, tenant: str, channel: Channel | None) -> None:
        with self._lock:
            if channel is not None and self._channels.get(tenant) is channel:
                del self._channels[tenant]
        if channel is not None:
            channel.close()

    def _renew_after_fork(self) -> None:
        """Leave to the process that this one was forked from what is its own."""
        if self._process == os.getpid():
            return
        self._process = os.getpid()
        self._lock, self._starting = threading.Lock(), {}
        self._link.abandon()
        for channel in self._channels.values():
            channel.abandon()
        self._channels = {}
