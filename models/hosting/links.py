"""A process's connection to a parent of hosts, whoever keeps that parent."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Any, Final, Protocol

from models.errors import HostsUnavailable
from models.hosting import orders

RETRY_SECONDS: Final = 0.05


class Access(Protocol):
    """How a process reaches a parent of hosts."""

    @property
    def is_there(self) -> bool:
        """Whether connecting would not have to start one."""
        ...

    def connect(self) -> socket.socket:
        """A new connection; raises OSError or HostsUnavailable."""
        ...

    def close(self) -> None:
        """Give it up; one that was started here ends with its hosts."""
        ...


class SharedParent:
    """The parent that listens at a path for all workers of an installation."""

    is_there = True  # or its supervisor starts it

    def __init__(self, path: Path) -> None:
        self._path = path

    def connect(self) -> socket.socket:
        """Connect to it, whoever it is by now."""
        return orders.connect(self._path)

    def close(self) -> None:
        """Leave it to the others."""


class ParentLink:
    """The connection to the parent, one order at a time; made anew when it breaks."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._connection: socket.socket | None = None
        self._lock = threading.Lock()

    def order(self, order: orders.Order, *, deadline: float) -> tuple[dict[str, Any], list[int]]:
        """Have an order carried out; raises HostsUnavailable at the deadline."""
        if not self._lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise HostsUnavailable("their parent is busy")
        try:
            return self._order(order, deadline)
        except HostsUnavailable:
            self._hang_up()  # what it answers late would be taken for the next reply
            raise
        finally:
            self._lock.release()

    @property
    def is_there(self) -> bool:
        """Whether an order would not have to start a parent first."""
        return self._access.is_there

    def close(self) -> None:
        """Hang up, and give the parent up."""
        with self._lock:
            self._hang_up()
        self._access.close()

    def abandon(self) -> None:
        """Forget, in a child of the process that made it, what it has open."""
        self._lock = threading.Lock()
        self._hang_up()

    def _order(self, order: orders.Order, deadline: float) -> tuple[dict[str, Any], list[int]]:
        while True:
            try:
                if self._connection is None:
                    self._connection = self._access.connect()
                return orders.ask(self._connection, order, deadline=deadline)
            except OSError as error:
                self._hang_up()
                if time.monotonic() + RETRY_SECONDS >= deadline:
                    raise HostsUnavailable(f"their parent is not there ({error})") from error
            time.sleep(RETRY_SECONDS)

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
