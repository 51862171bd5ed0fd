"""Takes many rows through trees with ONNX Runtime, which is three times as fast at it as treelite.

It is given a graph of one operator, TreeEnsemble, written here from an ensemble that was checked;
nothing that a tenant wrote is in it but numbers. In one thread it adds leaves in the order of the
trees, as any other order rounds otherwise. Its leaves have one number each: where an ensemble's
have several, it says which leaf a row reaches in each tree, and they are added here.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.trees.ensemble import BELOW, DOUBLE, IDENTITY, LARGEST, Ensemble
from models.errors import ArraysMalformed

Floats = NDArray[np.float64]

MOST_DEPTH: Final = 256  # the library lays a tree out by calling itself for each node of a way
NODE_BYTES: Final = 140
BLOCK: Final = 512  # rows
# Of the file: its own version, those of its operators, the types and modes that onnx.proto names.
IR, OPSET, OPSET_OF_TREES = 8, 18, 5
BYTES, NUMBERS = 2, 11
INTEGER, TENSOR, INTEGERS = 2, 4, 7
AT_MOST_MODE, BELOW_MODE = 0, 1


def suits(trees: Ensemble) -> bool:
    """Whether an ensemble is one that this module takes."""
    plain = trees.arithmetic == DOUBLE and trees.link == IDENTITY and trees.set_nodes is None
    return plain and trees.depth <= MOST_DEPTH


class Batches:
    """An ensemble for many rows; nothing is built before the first of them come."""

    def __init__(self, trees: Ensemble) -> None:
        self._trees: Ensemble | None = trees
        self._session: Any = None
        self._lock = Lock()
        self._vectors = trees.leaves if _has_vectors(trees) else None
        self.size = NODE_BYTES * len(trees.left) + trees.leaves.nbytes

    def add(self, rows: Floats, answers: Floats) -> None:
        """Write the sums of the leaves that each row reaches; there are several rows."""
        session = self._session or self._built()
        blocks = -(-len(rows) // BLOCK)
        ends = [len(rows) * block // blocks for block in range(blocks + 1)]
        for start, stop in pairwise(ends):
            (found,) = session.run(["sums"], {"rows": rows[start:stop]})
            if self._vectors is None:
                answers[start:stop] = found
            else:  # numpy adds what lies in the first axis one after the other
                leaves = self._vectors.take(found.T.astype(np.intp), axis=0)
                np.add.reduce(leaves, axis=0, out=answers[start:stop])

    def _built(self) -> Any:
        with self._lock:
            if self._session is None:
                assert self._trees is not None
                self._session = _session(_model(self._trees))
                self._trees = None
            return self._session


def _has_vectors(trees: Ensemble) -> bool:
    return bool(trees.leaves.shape[1] > 1)


def _session(model: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # what one prediction needed is not kept for the next
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ArraysMalformed(f"ONNX Runtime does not run the trees: {error}"[:300]) from error


def _model(trees: Ensemble) -> bytes:
    """A ModelProto, as onnx.proto describes it."""
    node = b"".join(
        (
            _part(1, b"rows"),
            _part(2, b"sums"),
            _part(4, b"TreeEnsemble"),
            *(_part(5, attribute) for attribute in _attributes(trees)),
            _part(7, b"ai.onnx.ml"),
        )
    )
    graph = b"".join(
        (
            _part(1, node),
            _part(2, b"trees"),
            _part(11, _value(b"rows", trees.features)),
            _part(12, _value(b"sums", _targets(trees))),
        )
    )
    opsets = _part(8, _number(2, OPSET)) + _part(
        8, _part(1, b"ai.onnx.ml") + _number(2, OPSET_OF_TREES)
    )
    return _number(1, IR) + _part(7, graph) + opsets


def _targets(trees: Ensemble) -> int:
    return trees.trees if _has_vectors(trees) else trees.width


def _attributes(trees: Ensemble) -> list[bytes]:
    leaf = trees.left == -1
    # A tree of one leaf is a test that leads to it whatever it says.
    alone = np.zeros(len(leaf), np.bool_)
    alone[trees.starts] = leaf[trees.starts]
    tests = np.flatnonzero(~leaf | alone)
    starts = np.repeat(trees.starts, trees.sizes)[tests]
    place = np.where(leaf, np.cumsum(leaf), np.cumsum(~leaf | alone)) - 1
    ways = {
        "true": np.where(alone[tests], tests, starts + trees.left[tests]),
        "false": np.where(alone[tests], tests, starts + trees.right[tests]),
    }
    roots = np.cumsum(~leaf | alone)[trees.starts] - 1
    tree = np.repeat(np.arange(trees.trees), trees.sizes)[leaf]
    if _has_vectors(trees):
        target, weight = tree, np.arange(len(tree), dtype=np.float64)
    else:
        column = np.zeros(trees.trees) if trees.column is None else trees.column
        target, weight = column[tree], trees.leaves[:, 0]
    thresholds = trees.threshold[tests]
    thresholds = np.where(
        np.abs(thresholds) == LARGEST, np.copysign(np.inf, thresholds), thresholds
    )
    mode = BELOW_MODE if trees.test == BELOW else AT_MOST_MODE
    return [
        _whole("aggregate_function", 1),  # adds
        _whole("n_targets", _targets(trees)),
        _whole("post_transform", 0),
        _list("tree_roots", roots),
        _list("nodes_featureids", trees.feature[tests]),
        _list("nodes_missing_value_tracks_true", trees.default_left[tests]),
        *(_list(f"nodes_{way}nodeids", place[to]) for way, to in ways.items()),
        *(_list(f"nodes_{way}leafs", leaf[to]) for way, to in ways.items()),
        _list("leaf_targetids", target),
        _tensor("nodes_splits", NUMBERS, thresholds),
        _tensor("nodes_modes", BYTES, np.full(len(tests), mode, np.uint8)),
        _tensor("leaf_weights", NUMBERS, weight),
    ]


def _whole(name: str, value: int) -> bytes:
    return _part(1, name.encode()) + _number(3, value) + _number(20, INTEGER)


def _list(name: str, values: NDArray[Any]) -> bytes:
    """Numbers from 0 and below 2**35 as so many varints of five bytes, in one piece."""
    shifts = np.arange(0, 35, 7)
    groups = (values.astype(np.int64)[:, np.newaxis] >> shifts) & 0x7F
    groups[:, :-1] |= 0x80
    packed = groups.astype(np.uint8).tobytes()
    return _part(1, name.encode()) + _part(8, packed) + _number(20, INTEGERS)


def _tensor(name: str, kind: int, values: NDArray[Any]) -> bytes:
    tensor = _number(1, len(values)) + _number(2, kind) + _part(9, values.tobytes())
    return _part(1, name.encode()) + _part(5, tensor) + _number(20, TENSOR)


def _value(name: bytes, width: int) -> bytes:
    """A matrix of float64 of any number of rows."""
    shape = _part(1, _part(2, b"count")) + _part(1, _number(1, width))
    matrix = _number(1, NUMBERS) + _part(2, shape)
    return _part(1, name) + _part(2, _part(1, matrix))


def _part(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return struct.pack(f"{len(groups) + 1}B", *groups, value)
