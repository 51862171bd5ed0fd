"""The parent of the sandboxed processes that train: `models.hosting.parent` with their libraries.

It is started when somebody trains, and ends when nobody has for a while.
"""

from __future__ import annotations

import socket
import sys
from importlib import import_module
from typing import Any, Final

from models.errors import FormatRefused
from models.hosting.births import Craft
from models.hosting.parent import main

ORDERS: Final = "models.training.orders"
WARMING: Final = "models.training.warming"
NICENESS: Final = 15  # predictions and intakes go before trainings


def _prepare(_flavour: str) -> None:
    # They bring scikit-learn and more: not before this program listens.
    import_module(WARMING).warm()


def _open_model(_name: str, _data: bytes) -> Any:
    raise FormatRefused("no models are served here")


def _serve_workshop(connection: socket.socket) -> None:
    sys.modules[ORDERS].serve_orders(connection)


if __name__ == "__main__":
    main(sys.argv[1:], Craft(_prepare, _open_model, _serve_workshop), niceness=NICENESS)
