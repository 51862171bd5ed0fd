from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.arrays import pack_arrays
from models.compilation.trees import TreesEngine
from models.compilation.trees.checkpoint import checkpoint_of
from models.compilation.trees.checks import MOST_DEPTH, checked_ensemble
from models.errors import ArraysMalformed
from tests.models.tree_models import BOOSTED, OTHERS, ROWS, THREE, compiled, fitted, forest

Arrays = dict[str, NDArray[Any]]
VERSION_BYTES = 12
FOREST = compiled(fitted(forest("RandomForest", "Classifier", n_estimators=4), ROWS, THREE))
SAMPLES = {
    "forest": FOREST,
    "isolation": compiled(OTHERS["isolation of one row"]()),
    "votes": compiled(OTHERS["votes on three"]()),
    "median": compiled(OTHERS["median"]()),
    "boosted": compiled(BOOSTED["three"]()),
    "categories": compiled(BOOSTED["histogram, categories"]()),
}


class Child:
    """Asks a process that may die what becomes of a file."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.models.tree_child"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ask(self, arrays: Arrays) -> bytes:
        """What became of it; nothing if the process died."""
        data = pack_arrays(arrays)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(len(data).to_bytes(4, "little") + data)
        self._process.stdin.flush()
        return self._process.stdout.read(1)

    def close(self) -> None:
        """End the process; raises AssertionError if it failed."""
        self._process.communicate(timeout=30)
        assert self._process.returncode == 0


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    """A process that lives as long as nothing kills it."""
    child = Child()
    yield child
    child.close()


def _number(kind: str, nodes: int) -> st.SearchStrategy[Any]:
    if kind == "b":
        return st.booleans()
    if kind == "f":
        return st.floats(allow_nan=False, allow_infinity=False)
    edges = st.sampled_from([-2, -1, 0, 1, 2, 5, nodes - 1, nodes, 2**31 - 1, -(2**31)])
    return edges | st.integers(-3, nodes + 3)


@st.composite
def _altered(draw: st.DrawFn) -> Arrays:
    """Arrays of a real model, of which one to four are not as they were."""
    arrays = dict(SAMPLES[draw(st.sampled_from(sorted(SAMPLES)))])
    nodes = len(arrays["left"])
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(sorted(arrays)))
        array = arrays[name].copy()
        change = draw(st.sampled_from(["one", "one", "one", "all", "shorter", "longer", "none"]))
        if change == "none":
            del arrays[name]
            continue
        if change == "shorter" and len(array) > 1:
            arrays[name] = array[:-1]
        elif change == "longer":
            arrays[name] = np.concatenate([array, array[:1]])
        elif array.dtype.kind == "U":
            arrays[name] = np.array([draw(st.sampled_from(["mean", "median", "softmax", "coded"]))])
        else:
            value = draw(_number(array.dtype.kind, nodes))
            where = draw(st.integers(0, array.size - 1)) if change == "one" else slice(None)
            with np.errstate(all="ignore"):
                array.reshape(-1)[where] = value
            arrays[name] = array
    return arrays


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(arrays=_altered())
def test_altered_arrays_are_refused_or_answer_without_harm(arrays: Arrays, child: Child) -> None:
    assert child.ask(arrays) in (b"r", b"a"), "the process died"


def test_honest_arrays_answer_in_the_same_process(child: Child) -> None:
    assert {child.ask(arrays) for arrays in SAMPLES.values()} == {b"a"}


def _with(name: str, change: Callable[[NDArray[Any]], Any], arrays: Arrays = FOREST) -> Arrays:
    array = arrays[name].copy()
    changed = change(array)
    return {**arrays, name: array if changed is None else changed}


def _set(where: Any, value: Any) -> Callable[[NDArray[Any]], None]:
    def change(array: NDArray[Any]) -> None:
        array[where] = value

    return change


def _chain(length: int) -> Arrays:
    """A tree that is as deep as it has inner nodes."""
    own = np.arange(length, dtype=np.int32)
    left = np.empty(2 * length + 1, np.int32)
    right = np.empty(2 * length + 1, np.int32)
    left[:] = right[:] = -1
    left[0 : 2 * length : 2], right[0 : 2 * length : 2] = 2 * own + 1, 2 * own + 2
    nodes = len(left)
    return {
        **FOREST,
        "sizes": np.array([nodes], np.int32),
        "left": left,
        "right": right,
        "feature": np.zeros(nodes, np.int32),
        "threshold": np.zeros(nodes),
        "default_left": np.zeros(nodes, np.bool_),
        "leaves": np.zeros((length + 1, 3)),
    }


LEAF = int(np.flatnonzero(FOREST["left"] == -1)[0])
SET = SAMPLES["categories"]


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        (_with("left", _set(0, 0)), "behind its parent"),
        (_with("left", _set(0, 2**31 - 1)), "in its tree"),
        (_with("left", _set(0, -1)), "one child"),
        (_with("right", lambda right: _set(0, FOREST["left"][0])(right)), "exactly one other"),
        (_with("feature", _set(0, 5)), "column that is not there"),
        (_with("feature", _set(LEAF, -1)), "column that is not there"),
        (_with("sizes", _set(0, 1)), "as many nodes"),
        (_with("threshold", _set(0, np.inf)), "not finite"),
        (_with("threshold", lambda t: t.astype(np.int64)), "dtype"),
        (_with("leaves", lambda leaves: leaves[:-1]), "as many leaves"),
        (_with("leaves", lambda leaves: leaves[:, :2].copy()), "each sum"),
        (_with("extent", _set(1, 2**40)), "too many"),
        (_with("extent", _set(0, 0)), "no columns"),
        (_with("arithmetic", lambda _: np.array(["triple"])), "arithmetic is unknown"),
        (_with("arithmetic", lambda _: np.array(["single"])), "no float32"),
        (_with("outcome", lambda _: np.array(["none"])), "what is answered"),
        (_with("reading", lambda _: np.array(["none"])), "how to read"),
        (_with("classes", lambda classes: classes[:2]), "labels"),
        (_chain(MOST_DEPTH + 1), "deeper"),
        ({**FOREST, "more": np.ones(1)}, "have no more"),
        ({k: v for k, v in FOREST.items() if k != "left"}, "have no left"),
        (_with("set_nodes", lambda nodes: nodes[::-1].copy(), SET), "order of nodes"),
        (_with("set_sizes", _set(0, 1000), SET), "size"),
        (_with("set_values", _set(0, -1), SET), "no such category"),
        (_with("coded", _set(0, 9), SET), "not there"),
        (_with("column", _set(0, 3), SAMPLES["boosted"]), "sum that is not there"),
        ({k: v for k, v in SET.items() if k != "set_sizes"}, "lack a part"),
    ],
)
def test_arrays_that_mean_no_trees_are_refused(arrays: Arrays, problem: str) -> None:
    with pytest.raises(ArraysMalformed, match=problem):
        TreesEngine().load(arrays)


def test_deepest_tree_that_is_taken_answers() -> None:
    predictor = TreesEngine().load(_chain(MOST_DEPTH - 1))

    assert predictor.answer("predict_proba", ROWS).shape == (len(ROWS), 3)


@pytest.mark.parametrize("name", SAMPLES)
def test_treelite_reads_a_checkpoint_and_writes_the_same(name: str) -> None:
    treelite = pytest.importorskip("treelite")
    checkpoint = checkpoint_of(checked_ensemble(SAMPLES[name]))

    again = treelite.Model.deserialize_bytes(checkpoint).serialize_bytes()

    assert again[VERSION_BYTES:] == checkpoint[VERSION_BYTES:]
    assert again[:4] == checkpoint[:4]


def test_treelite_finds_in_a_checkpoint_what_the_arrays_say() -> None:
    treelite = pytest.importorskip("treelite")
    model = treelite.Model.deserialize_bytes(checkpoint_of(checked_ensemble(FOREST)))

    size = int(FOREST["sizes"][0])
    first = model.get_tree_accessor(0)
    assert (model.num_tree, model.num_feature) == (4, 5)
    assert first.get_field("cleft").tolist() == FOREST["left"][:size].tolist()
    assert first.get_field("cright").tolist() == FOREST["right"][:size].tolist()
    assert first.get_field("split_index").tolist() == FOREST["feature"][:size].tolist()
    assert first.get_field("threshold").tolist() == FOREST["threshold"][:size].tolist()
    leaves = int((FOREST["left"][:size] == -1).sum())
    assert first.get_field("leaf_vector").tolist() == FOREST["leaves"][:leaves].ravel().tolist()
