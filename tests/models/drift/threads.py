"""Trainers in threads of this process, which carry orders out, or say what a test wants."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

from models.training.orders import serve_orders


@dataclass
class Thread:
    """A trainer in a thread of this process."""

    connection: socket.socket
    confined: bool = True

    def fate(self) -> str:
        """Nobody has seen it."""
        return ""

    def close(self) -> None:
        """Hang up."""
        self.connection.close()


class Threads:
    """Starts them; by itself one carries orders out."""

    def __init__(self, serve: Callable[[socket.socket], None] = serve_orders) -> None:
        self._serve = serve

    def open(self, *, seconds: float) -> Thread:
        """Start one."""
        ours, theirs = socket.socketpair()

        def work() -> None:
            with theirs:
                self._serve(theirs)

        threading.Thread(target=work, daemon=True).start()
        return Thread(ours)

    def close(self) -> None:
        """Nothing is kept."""
