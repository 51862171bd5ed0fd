"""One suite over every executor: within the worker, in hosts, in both, and the fake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.errors import PredictionFailed
from models.execution import Executor
from models.execution.hosts import HostExecutor
from models.execution.in_process import InProcessExecutor
from models.hosting.client import HostsClient
from models.hosting.starting import HostLimits, Parentage, PrivateParent
from models.portions import Portioned
from models.serving import ServingExecutor
from models.versions import Version
from tests.contracts.fake_executor import FakeExecutor
from tests.models.hosting.conftest import LIGHT, SECONDS, KeptIncidents
from tests.models.hosting.light_parent import Doing
from tests.models.hosting.shelf import Shelf

ROWS = np.array([[1.0, 2.0], [3.0, 4.0]])
BAD = np.array([[-1.0, 2.0]])


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture(scope="module")
def hosts(shelf: Shelf) -> Iterator[HostExecutor]:
    limits = HostLimits(host_memory_bytes=2**27)
    parent = PrivateParent(Parentage(level="reduced", limits=limits, module=LIGHT))
    with closing(HostsClient(parent)) as client:
        yield HostExecutor({"sklearn": client}, shelf.fetch, KeptIncidents(), seconds=SECONDS)


def in_process(shelf: Shelf) -> InProcessExecutor:
    return InProcessExecutor(
        shelf.fetch, lambda _contents, data: Portioned(Doing(data.decode())), budget_bytes=2**30
    )


@pytest.fixture(params=["in process", "hosts", "serving", "fake"])
def executor(request: pytest.FixtureRequest, shelf: Shelf, hosts: HostExecutor) -> Executor:
    makers: dict[str, Callable[[], Executor]] = {
        "in process": lambda: in_process(shelf),
        "hosts": lambda: hosts,
        "serving": lambda: ServingExecutor(in_process(shelf), hosts),
        "fake": lambda: FakeExecutor(lambda v: Doing(shelf.fetch(v).decode()).answer),
    }
    return makers[request.param]()


@pytest.fixture(params=[(), ("predict",), ("predict", "transform")], ids=len)
def version(request: pytest.FixtureRequest, shelf: Shelf) -> Version:
    return shelf.doing("fail", engine_methods=request.param)


def test_rows_are_answered_in_their_order(executor: Executor, version: Version) -> None:
    assert executor.answer(version, "predict", ROWS, seconds=SECONDS).tolist() == [3.0, 7.0]


def test_a_method_answers_in_its_own_shape(executor: Executor, version: Version) -> None:
    answer = executor.answer(version, "transform", ROWS, seconds=SECONDS)

    assert answer.shape == (2, 1)
    assert answer.dtype == np.float64


def test_a_model_that_fails_on_rows_says_so_and_goes_on(
    executor: Executor, version: Version
) -> None:
    with pytest.raises(PredictionFailed) as failure:
        executor.answer(version, "predict", BAD, seconds=SECONDS)

    assert "as asked" in failure.value.reason
    assert "as asked" not in str(failure.value)
    assert executor.answer(version, "predict", ROWS, seconds=SECONDS).tolist() == [3.0, 7.0]


def test_a_version_is_warm_from_its_opening_until_its_tenant_is_forgotten(
    executor: Executor, version: Version
) -> None:
    assert not executor.is_warm(version)

    executor.warm(version)
    assert executor.is_warm(version)

    executor.forget(version.tenant_id)
    assert not executor.is_warm(version)
    assert executor.answer(version, "predict", ROWS, seconds=SECONDS).tolist() == [3.0, 7.0]


def test_forgetting_a_tenant_leaves_the_others(executor: Executor, shelf: Shelf) -> None:
    ours, theirs = shelf.doing("add"), shelf.doing("add", tenant="tnt_globex")
    for each in (ours, theirs):
        executor.warm(each)

    executor.forget("tnt_acme")

    assert executor.is_warm(theirs)
    assert not executor.is_warm(ours)


def test_what_is_open_for_one_is_not_open_for_another_of_the_same_name(
    executor: Executor, version: Version
) -> None:
    executor.warm(version)
    manifest = version.manifest
    other_tenant = replace(version, manifest=replace(manifest, tenant_id="tnt_globex"))
    other_id = replace(version, id="ver_other")

    assert executor.is_warm(version)
    assert not executor.is_warm(other_tenant)
    assert not executor.is_warm(other_id)


def test_many_threads_get_their_own_answers(executor: Executor, version: Version) -> None:
    def ask(number: int) -> Any:
        rows = np.full((number % 3 + 1, 2), float(number))
        return executor.answer(version, "predict", rows, seconds=SECONDS).tolist()

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(ask, range(60)))

    assert answers == [[2.0 * number] * (number % 3 + 1) for number in range(60)]


def test_a_serving_executor_asks_the_model_only_for_what_is_not_compiled(shelf: Shelf) -> None:
    asked: list[tuple[str, str]] = []

    def spying(name: str) -> FakeExecutor:
        def opened(_version: Version) -> Any:
            def answer(method: str, features: Any) -> Any:
                asked.append((name, method))
                return np.zeros(len(features))

            return answer

        return FakeExecutor(opened)

    executor = ServingExecutor(spying("compiled"), spying("native"))
    half = shelf.doing("add", engine_methods=("predict",))
    for method in ("predict", "transform"):
        executor.answer(half, method, ROWS, seconds=SECONDS)

    assert asked == [("compiled", "predict"), ("native", "transform")]


@pytest.mark.parametrize(
    ("compiled", "opened"),
    [
        ((), {"native"}),
        (("predict",), {"compiled", "native"}),
        (("predict", "transform"), {"compiled"}),
    ],
)
def test_a_serving_executor_warms_where_a_method_is_answered(
    shelf: Shelf, compiled: tuple[str, ...], opened: set[str]
) -> None:
    executors = {
        name: FakeExecutor(lambda _v: lambda _m, _x: ROWS) for name in ("compiled", "native")
    }
    version = shelf.doing("add", engine_methods=compiled)

    ServingExecutor(executors["compiled"], executors["native"]).warm(version)

    assert {name for name, each in executors.items() if each.is_warm(version)} == opened
