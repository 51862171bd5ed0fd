"""One comparison of a log with what its model was trained on, in whichever trainer it runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson

from models.errors import FrameMalformed
from models.hosting.messages import Bounds, Message
from models.trainers import Trainers
from models.trainers.conversation import Manners, answer, opened
from models.trainers.hearing import Hearing, is_shallow
from models.training import messages as words

SECONDS: Final = 60.0
MOST_LOG_BYTES: Final = 256 * words.MIB
MOST_TOLD_BYTES: Final = 32 * words.MIB
MOST_PAGE_BYTES: Final = 32 * words.MIB
MOST_DEPTH: Final = 6
VERDICTS: Final = ("none", "moderate", "severe")
MEMBERS: Final[Mapping[str, tuple[type, ...]]] = {
    "schema": (int,),
    "model": (str,),
    "version": (int,),
    "since": (int, float, type(None)),
    "until": (int, float, type(None)),
    "rows": (int,),
    "reference_rows": (int,),
    "verdict": (str,),
    "words": (str,),
    "features": (list,),
    "predictions": (dict, type(None)),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is to be compared: which version's reference, by which method, of which time."""

    model: str
    version: int
    method: str
    since: float | None = None
    until: float | None = None
    page: bool = False


@dataclass(frozen=True, slots=True)
class Drifted:
    """What was found, and the page of it if that was wanted."""

    told: dict[str, Any]
    page: bytes | None


def find_drift(
    trainers: Trainers,
    question: Question,
    reference: bytes,
    segments: Iterable[bytes],
    *,
    goes_on: Callable[[], None] = lambda: None,
    seconds: float = SECONDS,
) -> Drifted:
    """Compare the files of a log with a reference.

    Raises DataRefused, TrainingFailed, HostsUnavailable, or what `goes_on` raises.
    """
    bounds = Bounds(
        head=words.MOST_WORD_BYTES,
        blobs=2,
        bytes=MOST_TOLD_BYTES + MOST_PAGE_BYTES,
        bringing=frozenset({words.DRIFTED}),
    )
    hearing = Hearing(lambda _progress: None, lambda _result: None)
    manners = Manners(goes_on=goes_on, seconds=seconds)
    with _memory(segments) as (descriptor, sizes), opened(trainers, seconds=seconds) as trainer:
        body = {
            "confined": trainer.confined,
            "sizes": sizes,
            "model": question.model,
            "version": question.version,
            "method": question.method,
            "since": question.since,
            "until": question.until,
            "page": question.page,
        }
        order = Message(words.DRIFT, body, (reference,), (descriptor,))
        last = answer(trainer, order, hearing.hear, bounds=bounds, manners=manners)
        return _drifted(last, question)


@contextmanager
def _memory(segments: Iterable[bytes]) -> Iterator[tuple[int, list[int]]]:
    """Files one after another in memory: what was logged is never on a disk unsealed."""
    descriptor, sizes = os.memfd_create("log", os.MFD_CLOEXEC), []
    try:
        for segment in segments:
            view = memoryview(segment)
            while view:
                view = view[os.write(descriptor, view) :]
            sizes.append(len(segment))
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor, sizes
    finally:
        os.close(descriptor)


def _drifted(message: Message, question: Question) -> Drifted:
    """Check what was said, member by member; raises FrameMalformed."""
    if message.body or len(message.blobs) != 1 + question.page:
        raise FrameMalformed("its files")
    told = _document(message.blobs[0])
    if (told["model"], told["version"]) != (question.model, question.version):
        raise FrameMalformed("what was compared")
    page = message.blobs[1] if question.page else None
    if page is not None and len(page) > MOST_PAGE_BYTES:
        raise FrameMalformed("its page")
    return Drifted(told, page)


def _document(text: bytes) -> dict[str, Any]:
    try:
        told = orjson.loads(text) if len(text) <= MOST_TOLD_BYTES else None
    except orjson.JSONDecodeError as error:
        raise FrameMalformed("what it found is no JSON") from error
    if type(told) is not dict or told.keys() != MEMBERS.keys() or not is_shallow(told, MOST_DEPTH):
        raise FrameMalformed("what it found")
    for name, kinds in MEMBERS.items():
        if type(told[name]) not in kinds:
            raise FrameMalformed(f"the {name} of what it found")
    if told["verdict"] not in VERDICTS or not all(type(f) is dict for f in told["features"]):
        raise FrameMalformed("its verdict")
    return told
