"""Graphs that a tenant chose: only its host opens them, and only its host ends."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from models.arrays import pack_arrays
from models.compilation import Unsuitable
from models.compilation.graph.engine import GraphEngine
from models.compilation.graph.reading import Reader
from models.errors import ArraysMalformed, ArtefactBroken, HostCrashed
from models.execution.hosts import HostExecutor
from models.execution.in_process import InProcessExecutor
from models.manifest import ENGINE, MODEL, StoredFile
from models.opening import open_artefact
from models.serving import ServingExecutor
from models.signature import Output
from models.versions import Version
from tests.models.hosting.conftest import SECONDS, Hosts

ROWS = np.array([[1.0, 2.0], [3.0, 4.0]])
TRAP = np.array([[-(2.0**31), -1.0]])
BOTH = {"predict": Output("number"), "transform": Output("number", 2)}


class Service:
    """A worker's executors, with the files of versions in memory."""

    def __init__(self, hosts: Hosts) -> None:
        self._shelf = hosts.shelf
        self._files: dict[tuple[str, str], bytes] = {}
        self.fetched: list[str] = []
        native = HostExecutor(
            {"sklearn": hosts.client}, self._fetch, hosts.incidents, seconds=SECONDS
        )
        compiled = InProcessExecutor(
            lambda version: self._fetch(version, ENGINE), open_artefact, budget_bytes=2**20
        )
        self.executor = ServingExecutor(compiled, native)

    def version(self, model: bytes, arrays: bytes | None, **options: Any) -> Version:
        """A version of an ONNX file, and of the graph that was made of it."""
        methods = ("predict",) if arrays else ()
        made = self._shelf.file(
            model,
            columns=2,
            format="onnx",
            engine="graph" if arrays else "native",
            engine_methods=methods,
            **options,
        )
        contents = made.manifest.contents
        self._files[made.id, MODEL] = model
        if arrays:
            self._files[made.id, ENGINE] = arrays
            stored = StoredFile(hashlib.sha256(arrays).hexdigest(), len(arrays), "arrays")
            contents = replace(contents, files={**contents.files, ENGINE: stored})
        return replace(made, manifest=replace(made.manifest, contents=contents))

    def answer(self, version: Version, rows: NDArray[np.float64], method: str = "predict") -> Any:
        """What a call gets."""
        return self.executor.answer(version, method, rows, seconds=SECONDS)

    def _fetch(self, version: Version, role: str) -> bytes:
        self.fetched.append(role)
        return self._files[version.id, role]


@pytest.fixture
def service(warm_hosts: Hosts) -> Service:
    return Service(warm_hosts)


def _proto(nodes: list[Any]) -> Any:
    type_ = TensorProto.DOUBLE
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("rows", type_, ["n", 2])],
        [helper.make_tensor_value_info("answer", type_, ["n", "m"])],
        [helper.make_tensor("axis", TensorProto.INT64, [1], [1])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _sum() -> Any:
    return _proto([helper.make_node("ReduceSum", ["rows", "axis"], ["answer"], keepdims=1)])


def _trapping(operator: str) -> Any:
    """Divides the first column as int32 by the second."""
    nodes = [
        helper.make_node("Cast", ["rows"], ["whole"], to=TensorProto.INT32),
        helper.make_node("Split", ["whole"], ["first", "second"], axis=1),
        helper.make_node(operator, ["first", "second"], ["divided"]),
        helper.make_node("Cast", ["divided"], ["answer"], to=TensorProto.DOUBLE),
    ]
    return _proto(nodes)


def _arrays(proto: Any) -> dict[str, NDArray[Any]]:
    """A graph as arrays that nobody has checked."""
    return dict(Reader(proto).graph({"predict": (0, True)}).arrays())


def test_graph_is_answered_by_its_host_from_its_arrays(service: Service) -> None:
    version = service.version(_sum().SerializeToString(), pack_arrays(_arrays(_sum())))

    assert service.answer(version, ROWS).tolist() == [3.0, 7.0]
    assert service.fetched == [ENGINE]
    assert service.executor.is_warm(version)


def test_each_method_is_answered_from_its_own_file(service: Service) -> None:
    twice = _proto([helper.make_node("Add", ["rows", "rows"], ["answer"])])
    version = service.version(twice.SerializeToString(), pack_arrays(_arrays(_sum())), methods=BOTH)

    service.executor.warm(version)

    assert service.answer(version, ROWS).tolist() == [3.0, 7.0]
    assert sorted(service.fetched) == [ENGINE, MODEL]


@pytest.mark.parametrize("operator", ["Div", "Mod"])
def test_graph_that_divides_integers_is_not_opened(service: Service, operator: str) -> None:
    proto = _trapping(operator)
    version = service.version(proto.SerializeToString(), pack_arrays(_arrays(proto)))

    with pytest.raises(ArtefactBroken, match="divides integers"):
        service.answer(version, TRAP)


@pytest.mark.parametrize("engine", ["graph", "graph-chain"])
def test_worker_opens_no_graph_itself(service: Service, engine: str) -> None:
    data = pack_arrays(_arrays(_sum()))
    contents = service.version(b"any", data).manifest.contents

    with pytest.raises(ArtefactBroken, match="in a worker"):
        open_artefact(replace(contents, engine=engine), data)


def test_graph_within_a_chain_is_not_opened_by_a_worker(service: Service) -> None:
    arrays = {
        "nodes": np.array(["graph"]),
        "checks": np.array(["anything"]),
        "links": np.array([0]),
        "ends": np.array([0]),
        **{f"n0_{name}": array for name, array in _arrays(_sum()).items()},
    }
    data = pack_arrays(arrays)
    contents = service.version(b"any", data).manifest.contents

    with pytest.raises(ArtefactBroken, match="no kind"):
        open_artefact(replace(contents, engine="chain"), data)


def test_file_that_traps_ends_its_host_alone(service: Service) -> None:
    version = service.version(_trapping("Div").SerializeToString(), None)

    with pytest.raises(HostCrashed):
        service.answer(version, TRAP)

    honest = service.version(_sum().SerializeToString(), pack_arrays(_arrays(_sum())))
    assert service.answer(honest, ROWS).tolist() == [3.0, 7.0]


def test_dropout_that_may_train_is_not_taken() -> None:
    nodes = [
        helper.make_node("Equal", ["axis", "axis"], ["training"]),
        helper.make_node("Squeeze", ["training"], ["flag"]),
        helper.make_node("Dropout", ["rows", "", "flag"], ["answer"]),
    ]
    with pytest.raises(ArraysMalformed, match="trains"):
        GraphEngine().load(_arrays(_proto(nodes)))


def test_normalization_that_trains_is_not_taken() -> None:
    class ModelProto:
        proto = _proto(
            [
                helper.make_node(
                    "BatchNormalization",
                    ["rows", "axis", "axis", "axis", "axis"],
                    ["answer", "mean", "variance"],
                    training_mode=1,
                )
            ]
        )

    refusal = GraphEngine().compile(ModelProto())
    assert isinstance(refusal, Unsuitable)
    assert "trains" in refusal.reason
