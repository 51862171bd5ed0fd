"""One training from its spec and table to its files, in whichever trainer it runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import orjson

from models import manifest as roles
from models.errors import DataRefused, FormatRefused
from models.hosting.messages import Bounds, Message
from models.sealed_files import Given, SealedFile, sealed
from models.trainers import Trainer, Trainers
from models.trainers.conversation import Manners, answer, opened
from models.trainers.files import TrainedFiles, trained_files
from models.trainers.hearing import Hearing
from models.training import messages as words
from models.training.progress import Keep, Result, Tell

SECONDS: Final = 3600.0
MOST_MODEL_BYTES: Final = 512 * 1024**2


def run_training(
    trainers: Trainers,
    spec: Mapping[str, Any],
    name: str,
    data: Given,
    *,
    known: Iterable[Result] = (),
    on_progress: Tell = lambda _progress: None,
    on_result: Keep = lambda _result: None,
    goes_on: Callable[[], None] = lambda: None,
    seconds: float = SECONDS,
    most_data_bytes: int = words.MOST_DATA_BYTES,
    most_model_bytes: int = MOST_MODEL_BYTES,
) -> TrainedFiles:
    """Train as the members of a spec say, on a table of that name, given as bytes or a descriptor.

    `known` are the results of an earlier attempt with the same spec and data, as `on_result` had
    them. `goes_on` is called several times a second and may raise to end the training. Raises
    SpecRefused, DataRefused, TrainingFailed, HostsUnavailable, or what the callbacks raise.
    """
    manners = Manners(goes_on=goes_on, seconds=seconds)
    hearing = Hearing(on_progress, on_result)
    bounds = _bounds(most_model_bytes)
    with _table(data, most_data_bytes) as table, opened(trainers, seconds=seconds) as trainer:
        with _order(trainer, spec, name, table, known=known, seconds=seconds) as order:
            last = answer(trainer, order, hearing.hear, bounds=bounds, manners=manners)
        return trained_files(last, most_model_bytes=most_model_bytes)


@contextmanager
def _table(data: Given, most: int) -> Iterator[SealedFile]:
    """The table in memory that nobody can change: an attempt after this one has the same."""
    try:
        with sealed(data, most) as table:
            if not table.size:
                raise DataRefused("the file is empty")
            yield table
    except FormatRefused as error:
        raise DataRefused(error.problem, "train on fewer rows, or on fewer columns") from error


@contextmanager
def _order(
    trainer: Trainer,
    spec: Mapping[str, Any],
    name: str,
    table: SealedFile,
    *,
    known: Iterable[Result],
    seconds: float,
) -> Iterator[Message]:
    body = {
        "spec": dict(spec),
        "name": name,
        "size": table.size,
        "seconds": seconds,
        "confined": trainer.confined,
    }
    # Opened anew, to read only, and with an offset of its own.
    reader = os.open(f"/proc/self/fd/{table.descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield Message(words.TRAIN, body, (_known(known),), (reader,))
    finally:
        os.close(reader)


def _known(results: Iterable[Result]) -> bytes:
    """As many results of an earlier attempt as a trainer takes; the others it finds out again."""
    pieces: list[bytes] = []
    size = 2
    for result in results:
        piece = orjson.dumps([result.key, dict(result.value)])
        size += len(piece) + 1
        if size > words.MOST_KNOWN_BYTES:
            break
        pieces.append(piece)
    return b"[" + b",".join(pieces) + b"]"


def _bounds(most_model_bytes: int) -> Bounds:
    others = sum(most for role, most in words.MOST_BYTES.items() if role != roles.MODEL)
    return Bounds(
        head=words.MOST_WORD_BYTES,
        blobs=len(words.MOST_BYTES),
        bytes=most_model_bytes + others,
        bringing=frozenset({words.TRAINED}),
    )
