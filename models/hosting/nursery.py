"""The parent's side of the nursery: what it has forked for it, and buried."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final, NoReturn, Self

from models.hosting import kernel
from models.hosting.births import Craft, await_message, exchange, flush, tend
from models.hosting.confinement import Confinement
from models.hosting.offspring import Offspring
from models.hosting.surroundings import MOST, STANDARD

log = logging.getLogger(__name__)

FAILED: Final = 1


class Nursery:
    """A child of the parent from which all its hosts and workshops are forked."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self.connection = connection
        self.is_warm = False

    @classmethod
    def start(cls, craft: Craft, flavour: str) -> Self:
        """Fork it; the process must not know anything of any tenant yet, and have one thread."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        flush()
        pid = os.fork()
        if pid == 0:
            _live(theirs, parent, craft, flavour)
        theirs.close()
        return cls(pid, ours)

    def prepare(self) -> None:
        """Have it import what models need, unless it has."""
        if not self.is_warm:
            self._ask({"do": "prepare"}, {})
            self.is_warm = True

    def bear(self, confinement: Confinement, given: Mapping[str, int]) -> Offspring:
        """Fork a child on a `socket`, a host's if it has a `page`; raises OSError.

        The confinement's `keep` and `log` are set there.
        """
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        try:
            order = {"do": "bear", "confinement": asdict(confinement)}
            reply, descriptors = self._ask(order, {"voice": writer, **given})
            self._require_descriptor(reply["pid"], descriptors)
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        return Offspring(reply["pid"], descriptors[0], reader, collect=self._collect)

    def _require_descriptor(self, pid: int, descriptors: list[int]) -> None:
        """A child that cannot be watched does not live."""
        if not descriptors:
            os.kill(pid, signal.SIGKILL)
            self._collect(pid)
            raise OSError("there are no descriptors left")

    def _collect(self, pid: int) -> int:
        return int(self._ask({"do": "bury", "pid": pid}, {})[0]["status"])

    def _ask(
        self, order: dict[str, Any], given: Mapping[str, int]
    ) -> tuple[dict[str, Any], list[int]]:
        """What it answers; raises OSError, and SystemExit when it has ended: all hosts have too."""
        try:
            exchange(self.connection, order | {"given": list(given)}, list(given.values()))
            reply, descriptors = await_message(self.connection)
        except (BrokenPipeError, ConnectionResetError):
            reply = None
        if reply is None:
            self.lost()
        if "error" in reply:
            raise OSError(reply["error"])
        return reply, descriptors

    def lost(self) -> NoReturn:
        """End this process: the nursery has ended, and every host with it."""
        log.error("the process that hosts are forked from has ended")
        raise SystemExit(FAILED)


def _live(connection: socket.socket, parent: int, craft: Craft, flavour: str) -> NoReturn:
    code = FAILED
    try:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            last = max(STANDARD)
            os.closerange(last + 1, connection.fileno())
            os.closerange(connection.fileno() + 1, MOST)
            tend(connection, craft, flavour)
            code = 0
    except BaseException:
        log.exception("the process that hosts are forked from failed")
    finally:
        os._exit(code)
