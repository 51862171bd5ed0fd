"""A trainer of one's own: the process that an operator's command trains in, without a sandbox.

It works for whoever holds the other end of its connection, and ends with it: so do the workers that
it has started, which are of the group that it leads.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn


def main(arguments: Sequence[str], serve: Callable[[socket.socket], object]) -> None:
    """Have the order served that comes over the connection, for as long as somebody waits."""
    parser = argparse.ArgumentParser(prog="models.training")
    parser.add_argument("--connection", type=int, required=True)
    connection = socket.socket(fileno=parser.parse_args(arguments).connection)
    signal.signal(signal.SIGTERM, lambda *_: _end_all())
    threading.Thread(target=_end_with, args=(connection.fileno(),), daemon=True).start()
    serve(connection)


def _end_with(connection: int) -> None:
    """End when the customer has hung up, or is dead, in the middle of whatever is computed."""
    watch = select.poll()
    watch.register(connection, select.POLLRDHUP)
    watch.poll()
    _end_all()


def _end_all() -> NoReturn:
    """End the workers of loky, ray or dask, and this process."""
    if os.getpgrp() == os.getpid():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        os.killpg(os.getpid(), signal.SIGTERM)
    os._exit(1)


def _serve(connection: socket.socket) -> None:
    # They bring scikit-learn and more: not before this process can be ended.
    import_module("models.training.orders").serve_orders(connection)


if __name__ == "__main__":
    main(sys.argv[1:], _serve)
