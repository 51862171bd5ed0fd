"""The hosts that live: started on demand, bounded in number, memory and idleness."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from models.hosting.confinement import Confinement, Level
from models.hosting.nursery import Nursery
from models.hosting.offspring import Offspring
from models.hosting.page import Page, Running, make_page
from models.hosting.starting import HostLimits
from models.hosting.watch import Use, machine_bytes, use_of

# A host that was just asked for is not evicted: its first call is still on the way.
SETTLING_SECONDS: Final = 0.5
# What a batch may take beyond the time that a call has, before the parent ends its host.
MARGIN_SECONDS: Final = 1.0
# The share of a processor that a host may use while it has nothing to do, and for how long.
BURNING_SHARE: Final = 0.2
BURNING_SECONDS: Final = 2.0
SHARE_OF_MEMORY: Final = 0.75
MOST_DESCRIBED: Final = 256
MOST_FATES: Final = 1024
MOST_CONNECTIONS: Final = 512
NICENESS: Final = 3  # what takes microseconds goes before what takes milliseconds
# Not a counter: another parent's hosts have other numbers, so that no order reaches a stranger.
NUMBER_BITS: Final = 63
FAULTLESS: Final = frozenset({"evicted"})
DESCRIPTORS_OF_A_HOST: Final = 16


@dataclass(eq=False)
class Hosted:
    """A living host and what is known of it."""

    number: int
    tenant: str
    process: Offspring
    control: socket.socket
    page: Page
    page_descriptor: int
    connections: int = 0
    used: float = field(default_factory=time.monotonic)
    seen_sequence: int = 0
    seen_since: float = field(default_factory=time.monotonic)
    rested: Use | None = None
    rested_since: float = 0.0
    use: Use = field(default=Use(0.0, 0))
    counted_as: str = ""

    @property
    def running(self) -> Running | None:
        """The batch under way, as the host says."""
        return self.page.running()

    def is_free(self, now: float) -> bool:
        """Whether ending it would end no call."""
        return self.running is None and now - self.used > SETTLING_SECONDS


@dataclass(frozen=True, slots=True)
class Fate:
    """How a host ended, and whether that is the fault of the version that it ran."""

    description: str
    is_its_fault: bool


class AllBusy(Exception):
    """Raised when there are as many hosts as there may be, and each has work."""


class Population:
    """All hosts of one parent, by tenant."""

    def __init__(
        self,
        limits: HostLimits,
        nursery: Nursery,
        *,
        level: Level,
        threads: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._total_bytes = limits.total_bytes or int(machine_bytes() * SHARE_OF_MEMORY)
        self._nursery = nursery
        self._level = level
        self._threads = threads
        self._clock = clock
        self._by_tenant: OrderedDict[str, Hosted] = OrderedDict()  # least recently used first
        self._leaving: dict[int, Hosted] = {}
        self._fates: OrderedDict[int, Fate] = OrderedDict()
        self._shared_bytes = 0
        self.counts: Counter[str] = Counter()

    @property
    def hosts(self) -> list[Hosted]:
        """Every host whose process has not been collected."""
        return [*self._by_tenant.values(), *self._leaving.values()]

    @property
    def living(self) -> int:
        """How many hosts serve."""
        return len(self._by_tenant)

    @property
    def bytes(self) -> int:
        """The memory of all hosts that they do not share with the nursery."""
        return sum(self._own_bytes(host) for host in self._by_tenant.values())

    def find(self, tenant: str) -> Hosted | None:
        """The host of a tenant, if it has one that serves."""
        return self._by_tenant.get(tenant)

    def numbered(self, number: int) -> Hosted | None:
        """A living host by its number."""
        return next((host for host in self.hosts if host.number == number), None)

    def start(self, tenant: str) -> Hosted:
        """Have a host forked for a tenant that has none; raises AllBusy, or OSError."""
        if len(self._by_tenant) >= self._limits.hosts_most:
            self._evict_one("evicted for another tenant's host")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        descriptor = make_page()
        page = Page(descriptor, writable=False)
        given = {"socket": theirs.fileno(), "page": descriptor}
        try:
            process = self._nursery.bear(self._confinement(), given)
        except OSError:
            ours.close()
            page.close()
            os.close(descriptor)
            raise
        finally:
            theirs.close()
        host = Hosted(secrets.randbits(NUMBER_BITS), tenant, process, ours, page, descriptor)
        self._by_tenant[tenant] = host
        self.counts["started"] += 1
        return host

    def connect(self, host: Hosted) -> tuple[int, socket.socket]:
        """Give a host another caller: the connection's number, and the caller's end of it.

        Raises OSError if the host does not take it: it has ended, or hangs.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        host.connections += 1
        theirs.setblocking(False)  # a host may not change it
        message = host.connections.to_bytes(8, "little")
        try:
            socket.send_fds(host.control, [message], [theirs.fileno()], socket.MSG_DONTWAIT)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        host.used = self._clock()
        self._by_tenant.move_to_end(host.tenant)
        return host.connections, ours

    def end(self, host: Hosted, reason: str, *, counted_as: str) -> None:
        """Kill a host; its tenant's next call starts another."""
        if host.process.condemned:
            return
        self._count(host, counted_as)
        host.process.kill(reason)
        self._leave(host)

    def dismiss(self, host: Hosted, reason: str) -> None:
        """Have a host end between two batches; its callers take what it has not begun elsewhere."""
        if host.process.condemned:
            return
        self._count(host, "evicted")
        host.process.condemned = reason
        host.control.close()
        host.used = self._clock()
        self._leave(host)

    def ended(self, host: Hosted) -> str:
        """Collect a host whose process has ended, and return its fate."""
        if not host.process.condemned:
            self._count(host, "crashed")
        self._leave(host)
        del self._leaving[host.number]
        fate = host.process.bury()
        self._fates[host.number] = Fate(fate, is_its_fault=host.counted_as not in FAULTLESS)
        if len(self._fates) > MOST_FATES:
            self._fates.popitem(last=False)
        host.control.close()
        host.page.close()
        os.close(host.page_descriptor)
        return fate

    def fate(self, number: int) -> Fate | None:
        """How a host ended, if it is known."""
        return self._fates.get(number)

    def look_after(self) -> None:
        """End hosts that idle, burn, hang or have grown too much."""
        now = self._clock()
        self._shared_bytes = use_of(self._nursery.pid).bytes
        for host in list(self._by_tenant.values()):
            try:
                host.use = use_of(host.process.pid)
            except ProcessLookupError:
                continue
            self._judge(host, now)
        for host in self._leaving.values():
            if now - host.used > self._limits.predict_seconds + MARGIN_SECONDS:
                host.process.kill("it did not go when it was dismissed")
        self._bound_total()

    def retire(self) -> None:
        """Dismiss every host."""
        for host in list(self._by_tenant.values()):
            self.dismiss(host, "evicted for a new parent")

    def _judge(self, host: Hosted, now: float) -> None:
        sequence = host.page.sequence
        if sequence != host.seen_sequence:
            host.seen_sequence, host.seen_since, host.used = sequence, now, now
            host.rested = None
        span = now - host.seen_since
        if host.use.bytes > self._limits.host_memory_bytes + self._shared_bytes:
            self.end(host, "it took more memory than a host may have", counted_as="overgrown")
        elif sequence % 2:
            if span > self._limits.predict_seconds + MARGIN_SECONDS:
                self.end(host, "it ran longer than a call may take", counted_as="overdue")
        elif now - host.used > self._limits.host_idle_seconds:
            self.dismiss(host, "evicted after idling")
        else:
            self._judge_rest(host, now)

    def _judge_rest(self, host: Hosted, now: float) -> None:
        """A host that has nothing to do uses no processor."""
        if host.rested is None:
            host.rested, host.rested_since = host.use, now
            return
        span = now - host.rested_since
        if span < BURNING_SECONDS:
            return
        if host.use.cpu_seconds - host.rested.cpu_seconds > span * BURNING_SHARE:
            self.end(host, "it was busy while no call was open", counted_as="burning")
        host.rested, host.rested_since = host.use, now

    def _bound_total(self) -> None:
        if self.bytes <= self._total_bytes:
            return
        try:
            self._evict_one("evicted for memory")
        except AllBusy:
            largest = max(self._by_tenant.values(), key=self._own_bytes)
            reason = "all hosts together took too much memory, and it most"
            self.end(largest, reason, counted_as="overgrown")

    def _evict_one(self, reason: str) -> None:
        now = self._clock()
        free = next((host for host in self._by_tenant.values() if host.is_free(now)), None)
        if free is None:
            raise AllBusy
        self.dismiss(free, reason)

    def _count(self, host: Hosted, counted_as: str) -> None:
        host.counted_as = counted_as
        self.counts[counted_as] += 1

    def _leave(self, host: Hosted) -> None:
        if self._by_tenant.get(host.tenant) is host:
            del self._by_tenant[host.tenant]
        self._leaving[host.number] = host

    def _confinement(self) -> Confinement:
        return Confinement(
            memory_bytes=self._limits.host_memory_bytes,
            threads=self._threads,
            niceness=NICENESS,
            most_descriptors=MOST_CONNECTIONS + DESCRIPTORS_OF_A_HOST,
            level=self._level,
        )

    def _own_bytes(self, host: Hosted) -> int:
        return max(0, host.use.bytes - self._shared_bytes)

    def describe(self) -> list[dict[str, Any]]:
        """Living hosts for a report, those used last: a reply has room for so many."""
        now = self._clock()
        living = list(self._by_tenant.values())[-MOST_DESCRIBED:]
        return [
            {
                "number": host.number,
                "tenant": host.tenant,
                "pid": host.process.pid,
                "age_seconds": round(host.process.age, 3),
                "idle_seconds": round(now - host.used, 3),
                "bytes": self._own_bytes(host),
                "cpu_seconds": host.use.cpu_seconds,
                "connections": host.connections,
                "batches": host.page.sequence // 2,
                "busy": host.running is not None,
            }
            for host in living
        ]
