"""The program that keeps hosts: it has them forked, counts them, and ends them.

It is started with an environment without secrets, forks the nursery before it knows anything,
listens at once, has the nursery import what models need, and then does what workers order. It
reads nothing from a host but its log and its page, and nothing is forked from it: what it knows of
one tenant would be in the memory of another's host.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, Final

import orjson

from config.logging import configure_logging
from models.errors import SandboxTooWeak
from models.hosting import orders
from models.hosting.births import Craft
from models.hosting.confinement import SandboxReport
from models.hosting.nursery import Nursery
from models.hosting.offspring import Offspring
from models.hosting.population import AllBusy, Hosted, Population
from models.hosting.probe import probe
from models.hosting.starting import HostLimits
from models.hosting.workshops import MOST_READERS, NICENESS, READERS_NICENESS, Workshop, Workshops

log = logging.getLogger(__name__)

REFUSED: Final = 78  # EX_CONFIG of sysexits.h: not to be started again as things are
# What the parent that takes this one's place may need to import what models need.
HAND_OVER_SECONDS: Final = 8.0
WAKE_BYTES: Final = 64
LOOK_SECONDS: Final = 0.5
DEATH_SECONDS: Final = 0.1  # what an end may take that is under way
FATE_SECONDS: Final = 2.0
OPENER: Final = "models.hosting.opener"
WORKSHOP: Final = "models.hosting.workshop"
BUSY: Final = "every place for a host is taken by one that works"

Descriptors = tuple[int, ...]
Reply = tuple[dict[str, Any], list[socket.socket], Descriptors]


class Parent:
    """Takes orders until its last customer has left after SIGTERM, or its lifeline breaks."""

    def __init__(
        self,
        nursery: Nursery,
        population: Population,
        workshops: Workshops,
        readers: Workshops,
        report: SandboxReport,
        flavour: str,
        *,
        idle_seconds: float = 0.0,
    ) -> None:
        self._nursery = nursery
        self._population = population
        self._workshops = workshops
        self._readers = readers
        self._report = report
        self._flavour = flavour
        self._selector = selectors.DefaultSelector()
        self._customers: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._wake = -1
        self._hand_over_at: float | None = None
        self._idle_seconds = idle_seconds
        self._worked_at = math.inf  # until the first order it is awaited
        self._orders: dict[str, Callable[[orders.Order], Reply]] = {
            "host": self._host,
            "workshop": partial(self._workshop, workshops),
            "reader": partial(self._workshop, readers),
            "kill": self._kill,
            "forget": self._forget,
            "fate": self._fate,
            "workshop fate": self._workshop_fate,
            "status": self._status,
        }

    def serve(self, listener: socket.socket, lifeline: int, *, early: bool) -> None:
        """Work until stopped; models' libraries are imported early or before the first fork."""
        self._listener = listener
        self._watch(listener, self._welcome)
        self._watch(lifeline, lambda: os._exit(1))  # hosts die with their parent
        self._watch(self._nursery.connection, self._nursery.lost)
        self._wake = _stop_signal()
        self._watch(self._wake, self._stop)
        if early:
            self._nursery.prepare()
        next_look = 0.0
        while not self._is_done():
            for key, _ in self._selector.select(max(0.0, next_look - time.monotonic())):
                if self._selector.get_map().get(key.fd) is key:  # unless an earlier one ended it
                    key.data()
            if time.monotonic() >= next_look:
                self._population.look_after()
                self._workshops.look_after()
                self._readers.look_after()
                if self._hand_over_at is not None and time.monotonic() >= self._hand_over_at:
                    self._hand_over()
                next_look = time.monotonic() + LOOK_SECONDS

    def _is_done(self) -> bool:
        if self._idle_seconds and self._is_idle():
            return True
        if self._hand_over_at is None:
            return False
        if self._listener is not None:
            return not self._customers
        return not self._has_children()

    def _is_idle(self) -> bool:
        if self._has_children():
            self._worked_at = time.monotonic()
        return time.monotonic() - self._worked_at >= self._idle_seconds

    def _has_children(self) -> bool:
        living = self._population.hosts, self._workshops.living, self._readers.living
        return any(living)

    def _watch(self, source: Any, react: Callable[[], object]) -> None:
        self._selector.register(source, selectors.EVENT_READ, react)

    def _stop(self) -> None:
        """End with the last customer, or hand over to the parent that takes this one's place.

        That one may have to import first: until then customers are served here.
        """
        os.read(self._wake, WAKE_BYTES)
        if self._hand_over_at is None:
            self._hand_over_at = time.monotonic() + HAND_OVER_SECONDS

    def _hand_over(self) -> None:
        """Send the customers away, and each host when it has answered what it has begun."""
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
            for customer in list(self._customers):
                self._dismiss(customer)
        self._population.retire()

    def _dismiss(self, customer: socket.socket) -> None:
        self._selector.unregister(customer)
        self._customers.discard(customer)
        customer.close()

    def _welcome(self) -> None:
        assert self._listener is not None
        try:
            customer, _ = self._listener.accept()
        except BlockingIOError:  # the parent that replaces this one was faster
            return
        if orders.is_ours(customer):
            self._customers.add(customer)
            self._watch(customer, partial(self._obey, customer))
        else:
            customer.close()

    def _obey(self, customer: socket.socket) -> None:
        handed: list[socket.socket] = []
        try:
            order = orders.receive(customer)
            if order is None:
                raise ConnectionResetError
            self._worked_at = time.monotonic()
            content, handed, kept = self._orders[order["do"]](order)
            descriptors = (*(sock.fileno() for sock in handed), *kept)
            orders.reply(customer, content, descriptors)
        except (OSError, orjson.JSONDecodeError, LookupError, TypeError):
            self._dismiss(customer)
        finally:
            for sock in handed:
                sock.close()

    def _host(self, order: orders.Order) -> Reply:
        self._nursery.prepare()
        tenant = str(order["tenant"])
        host = self._population.find(tenant)
        if host is None and not order["start"]:
            return {"error": "there is none"}, [], ()
        try:
            return self._connected(host, started=False) if host else self._started(tenant)
        except AllBusy:
            return {"error": BUSY, "busy": True}, [], ()
        except OSError:  # it has just ended, or takes nothing any more
            return {"error": "it ended", "busy": True}, [], ()

    def _started(self, tenant: str) -> Reply:
        host = self._population.start(tenant)
        self._attend(host.process, partial(self._host_ended, host))
        return self._connected(host, started=True)

    def _connected(self, host: Hosted, *, started: bool) -> Reply:
        try:
            number, connection = self._population.connect(host)
        except OSError:
            self._end_deaf(host)
            raise
        content = {"host": host.number, "connection": number, "started": started}
        return content, [connection], (host.page_descriptor,)

    def _end_deaf(self, host: Hosted) -> None:
        """End a host that does not listen; most have ended, and say how, before they are told."""
        if not _has_ended(host.process, DEATH_SECONDS):
            self._population.end(host, "it did not listen", counted_as="crashed")
        if _has_ended(host.process, FATE_SECONDS):
            self._host_ended(host)

    def _attend(self, process: Offspring, ended: Callable[[], None]) -> None:
        self._watch(process.ended, ended)
        self._watch(process.voice, partial(self._listen, process))

    def _listen(self, process: Offspring) -> None:
        if not process.listen():
            self._selector.unregister(process.voice)

    def _leave(self, process: Offspring) -> None:
        for descriptor in (process.ended, process.voice):
            if descriptor in self._selector.get_map():
                self._selector.unregister(descriptor)

    def _host_ended(self, host: Hosted) -> None:
        self._leave(host.process)
        fate = self._population.ended(host)
        log.info("host %d has ended: %s", host.number, fate)

    def _workshop(self, workshops: Workshops, order: orders.Order) -> Reply:
        self._nursery.prepare()
        if workshops.is_full:
            return {"error": "too many files are taken apart", "busy": True}, [], ()
        workshop, connection = workshops.open(
            memory_bytes=int(order["memory_bytes"]), seconds=float(order["seconds"])
        )
        self._attend(workshop.process, partial(self._workshop_ended, workshops, workshop))
        return {"pid": workshop.process.pid}, [connection], ()

    def _workshop_ended(self, workshops: Workshops, workshop: Workshop) -> None:
        self._leave(workshop.process)
        fate = workshops.ended(workshop)
        log.info("workshop %d has ended: %s", workshop.process.pid, fate)

    def _workshop_fate(self, order: orders.Order) -> Reply:
        """How a workshop ended that has closed its connection."""
        return {"fate": self._workshops.fates.get(int(order["pid"]), "")}, [], ()

    def _kill(self, order: orders.Order) -> Reply:
        host = self._population.numbered(int(order["host"]))
        if host is not None:
            self._population.end(host, str(order["reason"]), counted_as="overdue")
        return {}, [], ()

    def _forget(self, order: orders.Order) -> Reply:
        host = self._population.find(str(order["tenant"]))
        if host is not None:
            self._population.end(host, "its tenant is forgotten", counted_as="evicted")
        return {}, [], ()

    def _fate(self, order: orders.Order) -> Reply:
        """How a host ended that has closed a connection: one that lives on is ended first."""
        host = self._population.numbered(int(order["host"]))
        if host is not None:
            self._end_deaf(host)
        fate = self._population.fate(int(order["host"]))
        return (
            ({"fate": fate.description, "is_its_fault": fate.is_its_fault} if fate else {}),
            [],
            (),
        )

    def _status(self, _order: orders.Order) -> Reply:
        content = {
            "pid": os.getpid(),
            "nursery": self._nursery.pid,
            "flavour": self._flavour,
            "sandbox": self._report.as_json(),
            "is_warm": self._nursery.is_warm,
            "living": self._population.living,
            "bytes": self._population.bytes,
            "hosts": self._population.describe(),
            "workshops": self._workshops.describe(),
            "readers": self._readers.describe(),
            "counts": dict(self._population.counts),
        }
        return content, [], ()


def _has_ended(process: Offspring, seconds: float) -> bool:
    with selectors.PollSelector() as selector:
        selector.register(process.ended, selectors.EVENT_READ)
        return bool(selector.select(seconds))


def _stop_signal() -> int:
    """A descriptor that is readable once this process was asked to stop."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    return reader


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="models.hosting.parent")
    for name in ("listener", "ready", "lifeline"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--flavour", choices=("sklearn", "tensorflow"), default="sklearn")
    parser.add_argument("--early", type=int, choices=(0, 1), default=1)
    parser.add_argument("--level", choices=("full", "reduced", "none"), required=True)
    parser.add_argument("--limits", required=True, help="the limits of hosts, as JSON")
    parser.add_argument("--idle-seconds", type=float, default=0.0)
    parser.add_argument("--log-level", default="warning")
    parser.add_argument("--log-format", default="json")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str], craft: Craft, *, niceness: int = NICENESS) -> None:
    """Serve until told to stop; `niceness` is that of workshops."""
    options = _parse(arguments)
    configure_logging(options.log_level, options.log_format)
    limits = HostLimits(**orjson.loads(options.limits))
    try:
        report = probe(options.level)
    except SandboxTooWeak as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(REFUSED)
    nursery = Nursery.start(craft, options.flavour)
    os.write(options.ready, b"1")
    threads = options.flavour == "tensorflow"
    parent = Parent(
        nursery,
        Population(limits, nursery, level=options.level, threads=threads),
        Workshops(nursery, level=options.level, threads=threads, niceness=niceness),
        Workshops(
            nursery,
            level=options.level,
            threads=threads,
            most=MOST_READERS,
            niceness=READERS_NICENESS,
        ),
        report,
        options.flavour,
        idle_seconds=options.idle_seconds,
    )
    listener = socket.socket(fileno=options.listener)
    listener.setblocking(False)
    parent.serve(listener, options.lifeline, early=bool(options.early))


def _prepare(flavour: str) -> None:
    # They bring scikit-learn and more: not before this program listens.
    warming = import_module("models.hosting.warming")
    warming.leave_out()
    warming.warm(flavour)
    import_module(OPENER).import_handlers(flavour)
    import_module(WORKSHOP)


def _open_model(name: str, data: bytes) -> Any:
    return sys.modules[OPENER].open_model(name, data)


def _serve_workshop(connection: socket.socket) -> None:
    sys.modules[WORKSHOP].serve_workshop(connection)


if __name__ == "__main__":
    main(sys.argv[1:], Craft(_prepare, _open_model, _serve_workshop))
