"""A training finds all it needs in the sandbox, where no file opens: in the parent that serves."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import closing

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import DataRefused, TrainingFailed
from models.hosting.starting import Parentage, PrivateParent
from models.trainers.confined import ConfinedTrainers
from models.trainers.files import TrainedFiles
from models.trainers.running import run_training
from models.training.algorithms import ALGORITHMS
from models.training.progress import Phase, Progress, Result
from service.hosting import TRAINING

ROWS = 60


def flowers() -> pd.DataFrame:
    """Two kinds that can be told apart by numbers, colours and days, with some cells missing."""
    random = np.random.default_rng(7)
    height, width = random.normal(size=ROWS), random.normal(size=ROWS)
    colour = random.choice(["red", "blue", "white"], ROWS)
    days = pd.date_range("2024-01-01", periods=ROWS).astype(str)
    kind = np.where(height + 0.5 * width + (colour == "red") > 0.3, "rose", "tulip")
    height[::9] = np.nan
    return pd.DataFrame(
        {"height": height, "width": width, "colour": colour, "seen": days, "kind": kind}
    )


def parquet(frame: pd.DataFrame) -> bytes:
    """As Parquet."""
    file = io.BytesIO()
    frame.to_parquet(file)
    return file.getvalue()


def arrow(frame: pd.DataFrame) -> bytes:
    """As an Arrow file."""
    file = io.BytesIO()
    frame.to_feather(file)
    return file.getvalue()


def csv(frame: pd.DataFrame) -> bytes:
    """As CSV."""
    text: str = frame.to_csv(index=False)
    return text.encode()


def npz(frame: pd.DataFrame) -> bytes:
    """As NumPy's arrays, a column each."""
    file = io.BytesIO()
    np.savez(file, **{str(name): frame[name].to_numpy(dtype="U") for name in frame})
    return file.getvalue()


@pytest.fixture(scope="module")
def parent() -> Iterator[PrivateParent]:
    """The parent of trainings as it is served."""
    with closing(PrivateParent(Parentage(level="reduced", module=TRAINING))) as parent:
        yield parent


@pytest.fixture(scope="module")
def trainers(parent: PrivateParent) -> Iterator[ConfinedTrainers]:
    """Trainers in the sandbox."""
    with closing(ConfinedTrainers(parent, memory_bytes=2 * 1024**3)) as trainers:
        yield trainers


@pytest.fixture(scope="module")
def progress() -> list[Progress]:
    """What was told of the training."""
    return []


@pytest.fixture(scope="module")
def results() -> list[Result]:
    """What the training wanted kept."""
    return []


@pytest.fixture(scope="module")
def trained(
    trainers: ConfinedTrainers, progress: list[Progress], results: list[Result]
) -> TrainedFiles:
    """A training with every algorithm there is, calibrated, with costs."""
    spec = {
        "model": "flowers",
        "target": "kind",
        "validation": {"folds": 2},
        "tune": {"method": "bayesian", "trials": 2},
        "decide": {
            "calibrate": True,
            "positive": "rose",
            "costs": {"rose": {"tulip": 1.0}, "tulip": {"rose": 5.0}},
        },
    }
    return run_training(
        trainers,
        spec,
        "flowers.parquet",
        parquet(flowers()),
        on_progress=progress.append,
        on_result=results.append,
        seconds=200.0,
    )


def test_every_algorithm_runs_where_no_file_opens(trained: TrainedFiles) -> None:
    entries = trained.evaluation["leaderboard"]
    assert {each["algorithm"] for each in entries} == set(ALGORITHMS["classification"])
    assert [each["failed"] for each in entries] == [None] * len(entries)
    assert all(each["serving"] and each["serving"]["p50_ms"] > 0 for each in entries)


def test_figures_are_drawn_where_no_file_opens(trained: TrainedFiles) -> None:
    assert trained.report.startswith(b"<!DOCTYPE html>")
    drawn = {each["name"] for each in trained.evaluation["figures"]}
    assert drawn >= {"confusion", "roc", "calibration", "comparison", "importance"}
    assert trained.report.count(b"data:image/svg+xml") >= len(drawn)


def test_its_phases_are_told_in_their_order(
    trained: TrainedFiles, progress: list[Progress], results: list[Result]
) -> None:
    assert trained
    assert list(dict.fromkeys(each.phase for each in progress)) == list(Phase)
    assert results


def test_training_that_was_broken_off_goes_on_from_its_results(
    trainers: ConfinedTrainers, trained: TrainedFiles, results: list[Result]
) -> None:
    again = list[Result]()
    spec = dict(trained.evaluation["spec"])
    files = run_training(
        trainers,
        spec,
        "flowers.parquet",
        parquet(flowers()),
        known=results,
        on_result=again.append,
        seconds=200.0,
    )
    assert not [each.key for each in again if each.key.startswith("compare/")]
    assert files.evaluation["leaderboard"] == trained.evaluation["leaderboard"]


def test_numbers_are_learnt_where_no_file_opens(trainers: ConfinedTrainers) -> None:
    spec = {
        "model": "flowers",
        "target": "width",
        "validation": {"folds": 2},
        "compare": {"algorithms": ["linear"]},
        "tune": {"method": "none"},
    }
    files = run_training(trainers, spec, "flowers.csv", csv(flowers()), seconds=200.0)
    assert files.evaluation["task"] == "regression"
    assert files.evaluation["figures"]


@pytest.mark.parametrize("write", [csv, parquet, arrow, npz])
def test_every_form_of_table_is_read_where_no_file_opens(
    trainers: ConfinedTrainers, write: Callable[[pd.DataFrame], bytes]
) -> None:
    spec = {"model": "flowers", "target": "flavour"}
    with pytest.raises(DataRefused, match="did you mean 'colour'"):  # it knows the columns' names
        run_training(trainers, spec, "flowers", write(flowers()), seconds=60.0)


def test_table_that_takes_too_much_memory_is_refused_in_words(parent: PrivateParent) -> None:
    zeros = pa.array(np.zeros(9_000_000))
    file = io.BytesIO()
    pq.write_table(pa.table({f"x{number}": zeros for number in range(5)}), file)
    spec = {"model": "flowers", "target": "x0"}
    assert len(file.getvalue()) < 10**6
    with (
        closing(ConfinedTrainers(parent, memory_bytes=256 * 1024**2)) as small,
        pytest.raises(TrainingFailed, match="more memory than a training may have"),
    ):
        run_training(small, spec, "zeros.parquet", file.getvalue(), seconds=60.0)
