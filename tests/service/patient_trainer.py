"""A trainer that waits for ever after its first result, unless it is told of it: then it is done.

With a folder before them it runs `manage.py`'s words, with this as what trains.
"""

from __future__ import annotations

import socket
import sys
import time

import orjson

from models.hosting.messages import Message
from models.training import messages as words
from models.training.__main__ import main as serve
from models.training.answering import answer_order
from models.training.progress import Phase, Progress, Result
from models.training.telling import Telling
from tests.models.training.light_trainer import trained
from tests.service.training import files

MODULE = "tests.service.patient_trainer"
FOLD = "compare/tree/fold-0"


def _train(order: Message, connection: socket.socket) -> Message:
    known = dict(orjson.loads(order.blobs[0]))
    telling = Telling(connection)
    telling.tell(Progress(Phase.COMPARING, 1, 2, "tree"))
    if FOLD not in known:
        telling.keep(Result(FOLD, {"scores": {"rmse": 0.25}}))
        time.sleep(600)
    line = files()
    said = trained(line.model, seed=round(known[FOLD]["scores"]["rmse"] * 100))
    blobs = dict(zip(said.body["roles"], said.blobs, strict=True))
    blobs |= {"rows": line.rows, "answers": line.answers}
    return Message(words.TRAINED, said.body, tuple(blobs.values()))


def _serve(connection: socket.socket) -> None:
    answer_order(connection, {words.TRAIN: _train})


def _manage(folder: str, *arguments: str) -> None:
    from models.trainers.local import LocalTrainers
    from service.commands.cli import root
    from service.operations import local_trainings

    vars(local_trainings)["LocalTrainers"] = lambda: LocalTrainers(MODULE)
    root(["--instance", folder, *arguments])


if __name__ == "__main__" and "--connection" in sys.argv:
    serve(sys.argv[1:], _serve)
elif __name__ == "__main__":
    _manage(*sys.argv[1:])
