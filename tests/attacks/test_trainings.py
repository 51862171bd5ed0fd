"""A trainer that has fallen to its table harms nobody, and cannot stay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psutil
import pytest
from sklearn.linear_model import LinearRegression

from models.errors import TrainingFailed
from models.hosting.starting import Parentage, PrivateParent
from models.trainers.confined import ConfinedTrainers
from models.trainers.files import TrainedFiles
from models.trainers.running import run_training
from models.training.progress import Progress
from tests.models.files import skops_bytes

LIGHT = "tests.models.training.light_trainer"
SPEC = {"model": "flowers", "target": "kind"}
MODEL = skops_bytes(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]))


@pytest.fixture(scope="module")
def parent() -> Iterator[PrivateParent]:
    """The parent of sandboxed trainers that do what their table says."""
    with closing(PrivateParent(Parentage(level="reduced", module=LIGHT))) as parent:
        yield parent


@pytest.fixture(scope="module")
def trainers(parent: PrivateParent) -> Iterator[ConfinedTrainers]:
    """Such trainers, with little memory."""
    with closing(ConfinedTrainers(parent, memory_bytes=128 * 1024**2)) as trainers:
        yield trainers


def train(trainers: ConfinedTrainers, act: str, **options: Any) -> TrainedFiles:
    """Have an act done in the place of a training."""
    data = act.encode() + b"\n" + MODEL
    return run_training(trainers, SPEC, "t.csv", data, **({"seconds": 60.0} | options))


def nursery_of(parent: PrivateParent) -> psutil.Process:
    """The process that trainers are forked from."""
    assert parent.process is not None
    (nursery,) = psutil.Process(parent.process.pid).children()
    return nursery


def trainer_of(parent: PrivateParent) -> psutil.Process:
    """The process that was forked last; the one before it may not be collected yet."""
    return max(nursery_of(parent).children(), key=lambda process: int(process.pid))


@pytest.mark.parametrize(
    ("act", "fate"),
    [
        ("take memory", "more memory than a training may have"),
        ("read", "PermissionError"),
        ("connect", "PermissionError|OSError"),
        ("fork", "PermissionError"),
        ("kill", "PermissionError"),
        ("execute", "SIGSYS .a forbidden system call"),
        ("invade", "SIGSEGV .an invalid memory access"),
        ("exit", "it ended with code 3"),
    ],
)
def test_whatever_it_tries_it_fails_in_words_and_others_train_on(
    trainers: ConfinedTrainers, act: str, fate: str
) -> None:
    with pytest.raises(TrainingFailed, match=fate):
        train(trainers, act)
    assert train(trainers, "train").model == MODEL


def test_trainer_that_computes_without_end_is_ended_with_its_time(
    trainers: ConfinedTrainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.trainers.conversation.GRACE_SECONDS", 0.0)
    with pytest.raises(TrainingFailed, match=r"longer than (the 0\.5 s that )?it may"):
        train(trainers, "loop", seconds=0.5)


class Interrupted(Exception):
    """Stands for a job that was cancelled."""


def test_cancelled_training_ends_its_process(
    parent: PrivateParent, trainers: ConfinedTrainers
) -> None:
    seen = list[psutil.Process]()

    def interrupt(_progress: Progress) -> None:
        seen.append(trainer_of(parent))
        raise Interrupted

    with pytest.raises(Interrupted):
        train(trainers, "loop", on_progress=interrupt)
    _, alive = psutil.wait_procs(seen, timeout=20)
    assert len(seen) == 1
    assert not alive


def test_trainer_that_is_killed_is_told_of_in_words(
    parent: PrivateParent, trainers: ConfinedTrainers
) -> None:
    with pytest.raises(TrainingFailed, match="it was ended by SIGKILL"):
        train(trainers, "loop", on_progress=lambda _progress: trainer_of(parent).kill())


def test_trainer_yields_to_everything_else(
    parent: PrivateParent, trainers: ConfinedTrainers
) -> None:
    nice = list[int]()

    def look(_progress: Progress) -> None:
        nice.append(int(trainer_of(parent).nice()))
        raise Interrupted

    with pytest.raises(Interrupted):
        train(trainers, "loop", on_progress=look)
    assert nice == [15]


def test_parent_of_trainers_ends_when_nobody_trains_and_is_started_again() -> None:
    parentage = Parentage(level="reduced", module=LIGHT, idle_seconds=0.1)
    with (
        closing(PrivateParent(parentage)) as parent,
        closing(ConfinedTrainers(parent, memory_bytes=128 * 1024**2)) as trainers,
    ):
        assert not parent.is_there
        train(trainers, "train")
        first = parent.process
        assert first is not None
        assert first.wait(20) == 0
        assert not parent.is_there
        assert train(trainers, "train").model == MODEL
        assert parent.process is not first
