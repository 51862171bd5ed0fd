"""The customer's side of a training: has a process train, and takes nothing of it at its word.

    customer -- order, table -->            trainer: a workshop of the sandbox, or a process
             <-- progress, results, files --  of an operator's own

Web workers and commands import this; the libraries that train are in the trainers alone.
"""

from __future__ import annotations

from socket import socket
from typing import Protocol


class Trainer(Protocol):
    """A process that waits for one order; it ends when the connection is closed."""

    @property
    def connection(self) -> socket:
        """The way to it."""
        ...

    @property
    def confined(self) -> bool:
        """Whether it is in the sandbox: without files, network, threads and processes."""
        ...

    def fate(self) -> str:
        """How it ended, once its connection has; empty if that is not known."""
        ...

    def close(self) -> None:
        """End it, whatever it does, with all that it has started."""
        ...


class Trainers(Protocol):
    """Starts trainers."""

    def open(self, *, seconds: float) -> Trainer:
        """Start one that is ended after so long; raises HostsUnavailable."""
        ...

    def close(self) -> None:
        """Give up what was kept for further ones."""
        ...
