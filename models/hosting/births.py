"""The nursery: the process that hosts and workshops are forked from, warm and without a memory.

A child has a copy of all that the process held which it was forked from. So this one never learns
what it forks for: no tenant, no page of a host but for the moment of its birth, no list of whom it
has borne. It does what the parent says over one socket, and ends with the parent.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, NoReturn

import orjson

from models.hosting import kernel, sandbox
from models.hosting.confinement import Confinement
from models.hosting.descriptors import DESCRIPTOR_BYTES, descriptors_in, descriptors_out
from models.hosting.host import Host, Opener
from models.hosting.page import Page

log = logging.getLogger(__name__)

MOST_BYTES: Final = 4096
MOST_DESCRIPTORS: Final = 3
CONFINED_TOO_LITTLE: Final = 77  # the exit code of a child that could not enter the sandbox
PARENTS_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

Descriptors = list[int]
Work = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Craft:
    """What is forked for: how to prepare, to open a model, and to serve in a workshop."""

    prepare: Callable[[str], None]
    open_model: Opener
    serve_workshop: Callable[[socket.socket], object]


def exchange(connection: socket.socket, content: dict[str, Any], descriptors: Descriptors) -> None:
    """Send one message between the parent and the nursery, either way; raises OSError."""
    connection.sendmsg([orjson.dumps(content)], descriptors_out(descriptors), socket.MSG_NOSIGNAL)


def await_message(connection: socket.socket) -> tuple[dict[str, Any] | None, Descriptors]:
    """The next message and its descriptors; None when the other side has ended."""
    size = socket.CMSG_SPACE(MOST_DESCRIPTORS * DESCRIPTOR_BYTES)
    content, ancillary, _, _ = connection.recvmsg(MOST_BYTES, size, socket.MSG_CMSG_CLOEXEC)
    return orjson.loads(content) if content else None, descriptors_in(ancillary)


def tend(connection: socket.socket, craft: Craft, flavour: str) -> None:
    """Prepare, bear and bury as the parent says, until it is gone."""
    for number in PARENTS_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # it ends with the parent, which stops in order
    while True:
        order, descriptors = await_message(connection)
        if order is None:
            return
        try:
            answer, given = _obey(order, descriptors, connection, craft, flavour)
        except OSError as error:
            answer, given = {"error": error.strerror or str(error)}, []
        finally:
            _close(descriptors)
        try:
            exchange(connection, answer, given)
        finally:
            _close(given)


def _obey(
    order: dict[str, Any],
    descriptors: Descriptors,
    connection: socket.socket,
    craft: Craft,
    flavour: str,
) -> tuple[dict[str, Any], Descriptors]:
    if order["do"] == "prepare":
        _prepare(craft, flavour)
        return {}, []
    if order["do"] == "bury":
        return {"status": os.waitpid(order["pid"], 0)[1]}, []
    pid = _bear(order, descriptors, connection, craft)
    try:
        return {"pid": pid}, [os.pidfd_open(pid)]
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _prepare(craft: Craft, flavour: str) -> None:
    began = time.monotonic()
    craft.prepare(flavour)
    gc.collect()
    gc.freeze()  # a collection in a host would copy every page that it shares
    log.info("hosts can be forked after %.1f s", time.monotonic() - began)


def _bear(
    order: dict[str, Any], descriptors: Descriptors, connection: socket.socket, craft: Craft
) -> int:
    """Fork a child that enters the sandbox and works, and return its number."""
    if len(descriptors) != len(order["given"]):
        raise OSError("there are no descriptors left")
    given = dict(zip(order["given"], descriptors, strict=True))
    confinement = Confinement(**order["confinement"])
    confinement = replace(confinement, keep=(given["socket"],), log=given["voice"])
    nursery = os.getpid()
    # Until the child has shed its nursery's handlers no signal may run one of them there.
    held = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            connection.close()
            _live(partial(_ready, given, confinement, craft), confinement, nursery)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
    return pid


def _ready(given: dict[str, int], confinement: Confinement, craft: Craft) -> Work:
    """What a child is to do: one that is given a page is a host."""
    handed = socket.socket(fileno=given["socket"])
    if "page" not in given:
        return partial(craft.serve_workshop, handed)
    page = Page(given["page"], writable=True)
    budget = confinement.memory_bytes // 2
    return Host(handed, page, craft.open_model, budget_bytes=budget).run


def _live(ready: Callable[[], Work], confinement: Confinement, nursery: int) -> NoReturn:
    code = CONFINED_TOO_LITTLE
    try:
        _be_born(nursery)
        work = ready()  # a page is mapped while its descriptor is open
        sandbox.enter(confinement)
        code = 1
        work()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException as error:  # noqa: BLE001 - nothing may unwind into the nursery's frames
        with suppress(OSError):
            os.write(2, f"{type(error).__name__}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(code)


def _be_born(nursery: int) -> None:
    signal.set_wakeup_fd(-1)
    for number in (*PARENTS_SIGNALS, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != nursery:
        os._exit(1)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _close(descriptors: Descriptors) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def flush() -> None:
    """Leave nothing in the buffers that a fork would copy."""
    sys.stdout.flush()
    sys.stderr.flush()
