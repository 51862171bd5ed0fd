"""A customer's talk with a trainer: bounded in every direction, and ended by whoever has enough."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from models.errors import FrameMalformed, TrainerEnded, TrainingFailed
from models.hosting.messages import Bounds, Message, MessagesEnded, receive, send
from models.trainers import Trainer, Trainers
from models.training.messages import MOST_RESULTS

# Beside its results, as many as an honest one may say in the time that has passed.
MOST_AT_ONCE: Final = 1_000
MOST_A_SECOND: Final = 50
# What a trainer may take to come to its end after its time, before it is ended.
GRACE_SECONDS: Final = 5.0
ENDED: Final = "the process that trained ended"

Patience = Callable[[], None]
Hear = Callable[[Message], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Manners:
    """How an answer is waited for: until which time, and who is asked whether to go on."""

    goes_on: Patience
    seconds: float


@contextmanager
def opened(trainers: Trainers, *, seconds: float) -> Iterator[Trainer]:
    """A trainer, until the end of the block; raises TrainingFailed for what it did wrong."""
    trainer = trainers.open(seconds=seconds + GRACE_SECONDS)
    try:
        yield trainer
    except MessagesEnded as error:
        fate = trainer.fate()
        raise TrainerEnded(f"{ENDED}: {fate}" if fate else ENDED) from error
    except FrameMalformed as error:
        reason = f"the process that trained says what cannot be: {error.problem}"
        raise TrainingFailed(reason) from error
    finally:
        trainer.close()


def answer(
    trainer: Trainer, order: Message, hear: Hear, *, bounds: Bounds, manners: Manners
) -> Message:
    """Give an order, and listen to its last word, which brings blobs; `hear` takes all others.

    Raises MessagesEnded, FrameMalformed, TrainingFailed, or what `hear` and `goes_on` raise.
    """
    began = time.monotonic()
    heard = 0

    def patience() -> None:
        manners.goes_on()
        if time.monotonic() > began + manners.seconds + GRACE_SECONDS:
            raise TrainingFailed(f"it took longer than the {manners.seconds:g} s that it may")

    send(trainer.connection, order)
    while True:
        message = receive(trainer.connection, bounds, patience=patience)
        for descriptor in message.descriptors:
            os.close(descriptor)  # it has none to give
        if message.kind in bounds.bringing:
            return message
        heard += 1
        most = MOST_RESULTS + MOST_AT_ONCE + MOST_A_SECOND * (time.monotonic() - began)
        if heard > most:
            raise FrameMalformed("more messages than are heard")
        hear(message)
