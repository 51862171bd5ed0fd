"""Trainers whose trainings are a line of text: they do what the table says, without any library.

`python -m tests.models.training.light_trainer` is the parent of such ones in the sandbox, and with
`--connection` one by itself, as an operator's.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from models.errors import DataRefused, FormatRefused, SpecRefused, TrainingFailed
from models.hosting.births import Craft
from models.hosting.messages import Message
from models.hosting.parent import main
from models.training import messages as words
from models.training.__main__ import main as main_alone
from models.training.answering import answer_order, read_whole
from models.training.parent import NICENESS
from models.training.progress import Phase, Progress, Result
from models.training.telling import Telling

EVALUATION: dict[str, Any] = {
    "schema": 1,
    "model": "light",
    "task": "classification",
    "seed": 0,
    "created_at": 1.0,
    "spec": {},
    "data": {},
    "validation": {},
    "metric": "accuracy",
    "leaderboard": [{"rank": 1}],
    "searches": [],
    "champion": {},
    "holdout": {},
    "slices": [],
    "figures": [],
    "card": "",
    "libraries": {},
    "seconds": 1.0,
}
ROLES = ("model", "evaluation", "report", "reference", "rows", "answers")


def trained(model: bytes, **instead: Any) -> Message:
    """The last word of an honest trainer; `instead` changes members of its evaluation."""
    evaluation = orjson.dumps(EVALUATION | instead)
    blobs = (model, evaluation, b"<!doctype html>", b"{}", b"a\n1\n", b"1\n")
    return Message("trained", {"roles": list(ROLES)}, blobs)


def _train(order: Message, connection: socket.socket) -> Message:
    data = read_whole(order.descriptors[0], order.body["size"])
    act, _, model = data.partition(b"\n")
    telling = Telling(connection)
    telling.tell(Progress(Phase.READING, 1, 1, f"{len(data)} bytes\x1b[2J"))
    known = dict(orjson.loads(order.blobs[0]))
    telling.keep(Result("fold/1", {"score": known.get("fold/1", {"score": 0.5})["score"]}))
    ACTS[act.decode()]()
    return trained(model)


def _take_memory() -> None:
    kept = []
    while True:
        kept.append(bytearray(16 * 1024**2))


def _invade() -> None:
    ctypes.string_at(0)


def _read_a_file() -> None:
    Path("/etc/passwd").read_bytes()


def _connect() -> None:
    with socket.socket() as caller:
        caller.connect(("127.0.0.1", 1))


def _raise(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def _loop() -> None:
    while True:
        pass


def _start_another() -> None:
    """Hang, and have started a process that hangs as well."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]):
        time.sleep(600)


ACTS: Mapping[str, Callable[[], None]] = {
    "train": lambda: None,
    "loop": _loop,
    "take memory": _take_memory,
    "invade": _invade,
    "exit": lambda: os._exit(3),
    "start another": _start_another,
    "read": _read_a_file,
    "connect": _connect,
    "fork": lambda: os._exit(os.fork() and 0),
    "execute": lambda: os.execv("/bin/true", ["/bin/true"]),  # noqa: S606
    "kill": lambda: os.kill(os.getppid(), signal.SIGKILL),
    "refuse spec": _raise(SpecRefused("target", "there is no such column", "name another")),
    "refuse data": _raise(DataRefused("it has no rows", report=("line 1: nothing",))),
    "fail": _raise(TrainingFailed("no candidate could be fitted")),
    "break": _raise(ZeroDivisionError("division by zero\x1b[2J")),
}
ORDERS = {words.TRAIN: _train}


def _open_model(_name: str, _data: bytes) -> Any:
    raise FormatRefused("no models are served here")


def _serve(connection: socket.socket) -> None:
    answer_order(connection, ORDERS)


if __name__ == "__main__" and "--connection" in sys.argv:
    main_alone(sys.argv[1:], _serve)
elif __name__ == "__main__":
    main(sys.argv[1:], Craft(lambda _flavour: None, _open_model, _serve), niceness=NICENESS)
