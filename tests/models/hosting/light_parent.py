"""A real parent of real, sandboxed hosts whose models are a line of text: they do what it says.

`python -m tests.models.hosting.light_parent` is `models.hosting.parent` without the libraries that
take seconds to import.
"""

from __future__ import annotations

import ctypes
import gc
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import FormatRefused
from models.hosting.births import Craft
from models.hosting.host import Host
from models.hosting.parent import main
from models.tables import Features, Table


class Doing:
    """Adds up each row, after it has done what its text says.

    What the text says is done for a row whose first number is negative, so that one version can
    both behave and misbehave.
    """

    methods = frozenset({"predict", "transform"})

    def __init__(self, text: str) -> None:
        self._act = ACTS[text]
        self.size = 1024
        self.batches = 0

    def answer(self, method: str, features: Features) -> NDArray[Any]:
        """Sums for `predict`; for `transform` how many rows came together, in each row."""
        self.batches += 1
        if isinstance(features, Table):
            texts = ["|".join(str(v) for v in row) for row in zip(*features.columns, strict=True)]
            return np.array(texts, dtype=object)
        if (features[:, 0] < 0).any():
            self._act()
        if method == "transform":
            return np.full((len(features), 1), float(len(features)))
        return np.asarray(features.sum(axis=1))


def _fail() -> None:
    raise ArithmeticError("as asked")


def _refuse() -> None:
    raise ValueError("as scikit-learn does")


def _loop() -> None:
    while True:
        pass


def _rest() -> None:
    time.sleep(0.2)


def _take_memory() -> None:
    kept = []
    while True:
        kept.append(bytearray(16 * 1024**2))


def _fork() -> None:
    while True:
        os.fork()


def _invade() -> None:
    ctypes.string_at(0)


def _connect() -> None:
    with socket.socket() as caller:
        caller.connect(("127.0.0.1", 1))


def _read() -> None:
    Path("/etc/passwd").read_bytes()


def _exit() -> None:
    os._exit(3)


def _speak() -> None:
    for number in range(10_000):
        print("a line that no log should hold ten thousand times", number)  # noqa: T201


def _burn_when_idle() -> None:
    """Go on computing after the answer, as code that was smuggled in could."""
    host = next(
        frame.f_locals["self"]
        for frame in _frames()
        if isinstance(frame.f_locals.get("self"), Host)
    )
    attend = host._attend

    def burn(milliseconds: int | None) -> None:
        while milliseconds is None:
            pass
        attend(milliseconds)

    setattr(host, "_attend", burn)  # noqa: B010 - a method


def _search() -> None:
    """Fail if there is more of hosts in its memory than itself."""
    gc.unfreeze()
    kinds = ("Host", "Hosted", "Page", "Population", "Parent")
    found = [type(each).__name__ for each in gc.get_objects()]
    if sorted(kind for kind in found if kind in kinds) != ["Host", "Page"]:
        raise ValueError("there are others")


def _frames() -> Iterator[FrameType]:
    frame = sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back  # type: ignore[assignment]


ACTS: dict[str, Callable[[], None]] = {
    "add": lambda: None,
    "fail": _fail,
    "refuse": _refuse,
    "loop": _loop,
    "rest": _rest,
    "take memory": _take_memory,
    "fork": _fork,
    "invade": _invade,
    "connect": _connect,
    "read": _read,
    "exit": _exit,
    "execute": lambda: os.execv("/bin/true", ["/bin/true"]),  # noqa: S606
    "speak": _speak,
    "burn": _burn_when_idle,
    "search": _search,
}


def open_model(name: str, data: bytes) -> Doing:
    """A model of the text that the file is."""
    text = data.decode()
    if name != "skops" or text not in ACTS:
        if text == "loop at opening":
            _loop()
        raise FormatRefused(f"nobody knows how to {text}")
    return Doing(text)


def serve_workshop(connection: socket.socket) -> None:
    """Send back what comes; hang when it is told to."""
    while content := connection.recv(100):
        if content == b"hang":
            _loop()
        connection.sendall(content)


if __name__ == "__main__":
    main(sys.argv[1:], Craft(lambda _flavour: None, open_model, serve_workshop))
