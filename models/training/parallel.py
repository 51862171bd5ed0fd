"""Where fits run: side by side in processes, on a cluster, or one after another.

Which of them decides how long it takes, and nothing else: what comes back is in the order of what
was asked, and each fit has one thread and its own seed.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final, TypeVar

from joblib import Parallel, delayed, parallel_config

from models.errors import SpecRefused
from models.training.spec import Parallel as Wish

T = TypeVar("T")
R = TypeVar("R")
SEQUENTIAL: Final = "sequential"
LOKY: Final = "loky"
CONFINED: Final = "one after another, as in a sandbox no process starts another"
LIBRARIES: Final = MappingProxyType({"ray": "ray", "dask": "distributed"})


@dataclass(frozen=True, slots=True)
class Workers:
    """What runs fits; `count` of them at once. `pool` are those of a cluster, started once.

    Nothing else runs there: what a forest says, its threads would add up in the order they end.
    """

    backend: str
    count: int
    note: str = ""
    pool: Parallel | None = None

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """What a function makes of each item, in their order."""
        if self.backend == SEQUENTIAL:
            return map(function, items)
        # Only loky hands out what is ready before the rest is, and has its processes wait for more.
        pool = self.pool or _pool(self.backend, self.count, return_as="generator")
        return iter(pool(delayed(function)(item) for item in items))


@contextmanager
def workers_of(wish: Wish, *, confined: bool) -> Iterator[Workers]:
    """The workers that a spec wants; raises SpecRefused where their library is not installed."""
    if confined:
        yield Workers(SEQUENTIAL, 1, CONFINED if wish.backend != SEQUENTIAL else "")
        return
    count = wish.workers or len(os.sched_getaffinity(0))
    if wish.backend == SEQUENTIAL or (count == 1 and not wish.address):
        yield Workers(SEQUENTIAL, 1)
    else:
        with _STARTED[wish.backend](wish, count):
            if wish.backend == LOKY:
                yield Workers(wish.backend, count)
                return
            # Threads share one list of filters for warnings, and leave it as the last found it.
            with warnings.catch_warnings(), _pool(wish.backend, count) as pool:
                yield Workers(wish.backend, count, pool=pool)


def _pool(backend: str, count: int, **options: Any) -> Parallel:
    inner = {"inner_max_num_threads": 1} if backend == LOKY else {}
    with parallel_config(backend=backend, n_jobs=count, **inner):
        return Parallel(**options)


def _library(name: str) -> Any:
    """A library of an extra."""
    try:
        return import_module(LIBRARIES[name])
    except ImportError as error:
        raise SpecRefused(
            "parallel.backend",
            f"{name} is not installed",
            f"install it with `make serve EXTRAS={name}` (docs/how-to/extras.md)",
        ) from error


@contextmanager
def _ray(wish: Wish, count: int) -> Iterator[None]:
    """A cluster of Ray: that of an address, else one of this machine's, which ends with this."""
    ray = _library("ray")
    # Ray would otherwise start its workers by what started this process, in a folder of its own.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if wish.address:
        options["address"] = wish.address
    else:
        options |= {"num_cpus": count, "include_dashboard": False}
    ray.init(**options)
    try:
        import_module("ray.util.joblib").register_ray()
        yield
    finally:
        ray.shutdown()


@contextmanager
def _dask(wish: Wish, count: int) -> Iterator[None]:
    """A cluster of Dask: that of an address, else processes of this machine, which end with it."""
    distributed = _library("dask")
    if wish.address:
        with distributed.Client(wish.address):
            yield
        return
    with (
        distributed.LocalCluster(
            n_workers=count, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster),
    ):
        yield


def _nothing(_wish: Wish, _count: int) -> AbstractContextManager[None]:
    return nullcontext()


_STARTED: Final[Mapping[str, Callable[[Wish, int], AbstractContextManager[None]]]] = (
    MappingProxyType({"loky": _nothing, "threading": _nothing, "ray": _ray, "dask": _dask})
)
