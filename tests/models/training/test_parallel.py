"""Where fits run decides how long they take, and nothing else: processes, threads, Ray, Dask."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import distributed
import numpy as np
import psutil
import pytest
from joblib import effective_n_jobs

from models.errors import SpecRefused
from models.training import parallel
from models.training.comparison import compare
from models.training.entries import Entry, Ranking
from models.training.parallel import CONFINED, SEQUENTIAL, Workers, workers_of
from models.training.spec import Backend, Parallel
from models.training.tuning.nesting import tune
from tests.models.training.by_hand import Listener, study

ROWS = np.arange(100)


def _where(_: int) -> int:
    return os.getpid()


def _compared(workers: Workers) -> list[Any]:
    """What a small comparison finds out, without times."""
    own = study(seed=2, compare={"algorithms": ["tree", "mlp"]}, validation={"folds": 2})
    listener = Listener()
    entries = compare(own, ROWS, workers, listener.reporting)
    return [*map(_timeless, entries), sorted(listener.kept)]


def _tuned(workers: Workers) -> list[Any]:
    """What a small search finds out, without times."""
    own = study(seed=2, validation={"folds": 2}, tune={"trials": 6, "method": "bayesian"})
    ranking = Ranking("balanced_accuracy", 1.0, 0.95)
    tree = Entry(algorithm="tree", title="Tree")
    tuned = tune(own, ROWS, [tree], ranking, workers, Listener().reporting)
    trials = [(each.params, each.score) for each in tuned.searches[0].found.trials]
    return [*map(_timeless, tuned.entries), trials]


def _timeless(entry: Entry) -> Entry:
    return replace(entry, fit_seconds=None, serving=None)


@pytest.fixture(scope="module")
def alone() -> list[Any]:
    """What is found one fit after another."""
    return _compared(Workers(SEQUENTIAL, 1))


@contextmanager
def _away(backend: Backend, *, address: str = "") -> Iterator[Workers]:
    wish = Parallel(backend=backend, workers=2, address=address)
    with _unheard(), workers_of(wish, confined=False) as workers:
        yield workers


@contextmanager
def _unheard() -> Iterator[None]:
    """Clusters that start and end warn of what they leave to others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_what_is_done_beside_the_fits_has_one_thread(backend: Backend) -> None:
    with _away(backend) as workers:
        list(workers.map(_where, [1, 2]))
        assert effective_n_jobs(None) == 1


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_results_are_the_same_on_the_workers_of_this_machine(
    backend: Backend, alone: list[Any]
) -> None:
    with _away(backend) as workers:
        assert _compared(workers) == alone
        assert _tuned(workers) == _tuned(Workers(SEQUENTIAL, 1))


def test_results_are_the_same_on_a_real_cluster_of_ray_which_ends_with_the_training(
    alone: list[Any],
) -> None:
    with _ending_alone(), _away("ray") as workers:
        assert os.getpid() not in set(workers.map(_where, range(4)))
        assert _compared(workers) == alone


def test_results_are_the_same_on_a_real_cluster_of_dask_that_is_joined(alone: list[Any]) -> None:
    started: Any = distributed.LocalCluster
    with (
        _ending_alone(),
        _unheard(),
        started(
            n_workers=1, threads_per_worker=2, processes=True, dashboard_address="127.0.0.1:0"
        ) as cluster,
    ):
        with _away("dask", address=cluster.scheduler_address) as workers:
            assert os.getpid() not in set(workers.map(_where, range(4)))
            assert _compared(workers) == alone
        assert cluster.scheduler.workers, "the cluster was not ours to end"


@contextmanager
def _ending_alone() -> Iterator[None]:
    """No process stays behind, but for the one that tracks what others forget."""
    before = set(psutil.Process().children(recursive=True))
    yield
    started = set(psutil.Process().children(recursive=True)) - before
    ours = [each for each in started if "_tracker" not in " ".join(each.cmdline())]
    _, alive = psutil.wait_procs(ours, timeout=20)
    assert not alive


def test_cluster_of_dask_is_started_where_no_address_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[Any] = []

    @contextmanager
    def local_cluster(**said: Any) -> Iterator[str]:
        started.append(said)
        yield "cluster"
        started.append("ended")

    @contextmanager
    def nothing(*said: Any, **_: Any) -> Iterator[None]:
        started.append(said)
        yield

    monkeypatch.setattr(distributed, "LocalCluster", local_cluster)
    monkeypatch.setattr(distributed, "Client", nothing)
    monkeypatch.setattr(parallel, "parallel_config", lambda **said: nothing(said))
    monkeypatch.setattr(parallel, "Parallel", nothing)

    with workers_of(Parallel(backend="dask", workers=3), confined=False) as workers:
        assert (workers.backend, workers.count) == ("dask", 3)

    assert started[0]["n_workers"] == 3
    assert started[1:3] == [("cluster",), ({"backend": "dask", "n_jobs": 3},)]
    assert started[-1] == "ended"


def test_confined_training_runs_one_fit_after_another_and_says_so() -> None:
    with workers_of(Parallel(backend="ray", workers=8), confined=True) as workers:
        assert workers == Workers(SEQUENTIAL, 1, CONFINED)
        assert set(workers.map(_where, range(2))) == {os.getpid()}


@pytest.mark.parametrize(("backend", "library"), [("ray", "ray"), ("dask", "distributed")])
def test_missing_extra_is_refused_with_how_to_install_it(
    backend: Backend, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)

    with (
        pytest.raises(SpecRefused, match=rf"make serve EXTRAS={backend}.*extras.md"),
        workers_of(Parallel(backend=backend, workers=2), confined=False),
    ):
        pass
