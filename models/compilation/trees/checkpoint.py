"""Writes a checked ensemble as a checkpoint, which is treelite's own serialisation, format 4.

This is the fastest way into treelite: one copy of each array, where its builder takes several
calls for every node. Treelite reads a checkpoint without looking, so it is only ever given what
was written here, from arrays that were checked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.trees.ensemble import BELOW, LARGEST, SINGLE, Ensemble

FORMAT: Final = (4, 0, 0)  # any treelite 4 reads it
FLOAT32, FLOAT64 = 2, 3
REGRESSOR, MULTICLASS = 1, 2
LESS, LESS_OR_EQUAL = 2, 3
LEAF, NUMERICAL, CATEGORICAL = 0, 1, 2
NOTHING: Final = bytes(8)  # the length of an array that is left out
STATISTICS: Final = NOTHING * 6
NO_OPTIONS: Final = bytes(8)

# What a node takes besides its numbers and sets, and a tree besides its nodes.
NODE_BYTES: Final = 32
SET_BYTES: Final = 16
TREE_BYTES: Final = 1_024

Numbers = NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Field:
    """An array of which each tree has its own part, as bytes; of no bytes if it is left out."""

    data: memoryview
    bounds: list[int]
    lengths: list[bytes]

    @classmethod
    def of(cls, array: Numbers, counts: Numbers) -> _Field:
        ends = np.cumsum(counts, dtype=np.int64) * array.itemsize
        data = np.ascontiguousarray(array).reshape(-1).data.cast("B")
        lengths = [struct.pack("<Q", count) for count in counts.tolist()]
        return cls(data, [0, *ends.tolist()], lengths)

    def part(self, tree: int) -> Iterator[bytes | memoryview]:
        yield self.lengths[tree]
        yield self.data[self.bounds[tree] : self.bounds[tree + 1]]


def checkpoint_of(trees: Ensemble) -> bytes:
    """Write an ensemble; its sums are not averaged."""
    return b"".join(_parts(trees))


def float_type(trees: Ensemble) -> np.dtype[Any]:
    """The type of its rows, thresholds and sums."""
    return np.dtype(np.float32 if trees.arithmetic == SINGLE else np.float64)


def bytes_in_memory(trees: Ensemble) -> int:
    """About how much treelite keeps of an ensemble: it makes room for powers of two."""
    vector, number = trees.leaves.shape[1], float_type(trees).itemsize
    each_node = NODE_BYTES + number * (1 if vector > 1 else 2)
    if trees.set_nodes is not None:
        each_node += SET_BYTES
    nodes = _room(trees.sizes) * each_node
    leaves = np.add.reduceat(trees.left == -1, trees.starts, dtype=np.int64)
    vectors = _room(leaves * vector) * number if vector > 1 else np.zeros(1)
    return int(nodes.sum() + vectors.sum()) + TREE_BYTES * trees.trees


def _room(counts: Numbers) -> Numbers:
    rounded: Numbers = np.exp2(np.ceil(np.log2(np.maximum(counts, 1))))
    return rounded


def _parts(trees: Ensemble) -> Iterator[bytes | memoryview]:
    yield from _header(trees)
    tests = _categorical_nodes(trees)
    fields = [*_node_fields(trees, tests), *_leaf_vectors(trees), *_category_lists(trees, tests)]
    categorical = np.add.reduceat(tests.astype(np.int64), trees.starts) > 0
    for tree, (size, any_set) in enumerate(
        zip(trees.sizes.tolist(), categorical.tolist(), strict=True)
    ):
        yield struct.pack("<i?", size, any_set)
        for field in fields:
            if field is None:
                yield NOTHING
            else:
                yield from field.part(tree)
        yield STATISTICS + NO_OPTIONS


def _header(trees: Ensemble) -> Iterator[bytes]:
    number = FLOAT32 if trees.arithmetic == SINGLE else FLOAT64
    task = REGRESSOR if trees.width == 1 else MULTICLASS
    vector = trees.leaves.shape[1]
    every = np.full(trees.trees, -1 if vector > 1 else 0, np.int32)
    yield struct.pack("<iiiBBQ", *FORMAT, number, number, trees.trees)
    yield struct.pack("<iB?i", trees.features, task, False, 1)
    yield _whole(np.array([trees.width], np.int32))
    yield _whole(np.array([1, vector], np.int32))
    yield _whole(every)
    yield _whole(every if trees.column is None else trees.column)
    yield struct.pack("<Q", len(trees.link)) + trees.link.encode()
    yield struct.pack("<ff", 1.0, 1.0)
    yield _whole(np.zeros(trees.width))
    yield NOTHING + bytes(4)  # no attributes, no options


def _whole(array: Numbers) -> bytes:
    return struct.pack("<Q", array.size) + array.tobytes()


def _categorical_nodes(trees: Ensemble) -> NDArray[np.bool_]:
    tests = np.zeros(len(trees.left), np.bool_)
    if trees.set_nodes is not None:
        tests[trees.set_nodes] = True
    return tests


def _node_fields(trees: Ensemble, tests: NDArray[np.bool_]) -> Iterator[_Field | None]:
    leaf, number = trees.left == -1, float_type(trees)
    kind = np.where(leaf, LEAF, np.where(tests, CATEGORICAL, NUMERICAL)).astype(np.int8)
    comparison = LESS if trees.test == BELOW else LESS_OR_EQUAL
    threshold = np.where(np.abs(trees.threshold) == LARGEST, np.inf, np.abs(trees.threshold))
    for array in (kind, trees.left, trees.right, trees.feature, trees.default_left):
        yield _Field.of(array, trees.sizes)
    yield _leaf_values(trees, leaf)
    yield _Field.of(np.copysign(threshold, trees.threshold).astype(number), trees.sizes)
    yield _Field.of(np.where(leaf, 0, comparison).astype(np.int8), trees.sizes)
    yield _Field.of(np.zeros(len(leaf), np.bool_), trees.sizes)  # sets are of those to the left


def _leaf_values(trees: Ensemble, leaf: NDArray[np.bool_]) -> _Field | None:
    if trees.leaves.shape[1] > 1:
        return None
    values = np.zeros(len(leaf), float_type(trees))
    values[leaf] = trees.leaves[:, 0]
    return _Field.of(values, trees.sizes)


def _leaf_vectors(trees: Ensemble) -> Iterator[_Field | None]:
    vector = trees.leaves.shape[1]
    sizes = np.where((trees.left == -1) & (vector > 1), vector, 0)
    if vector == 1:
        yield None
    else:
        counts = np.add.reduceat(sizes, trees.starts)
        yield _Field.of(trees.leaves.astype(float_type(trees)), counts)
    yield from _segments(trees, sizes)  # empty ones tell a leaf of one number


def _category_lists(trees: Ensemble, tests: NDArray[np.bool_]) -> Iterator[_Field | None]:
    if trees.set_values is None or trees.set_sizes is None:
        yield from (None, None, None)
        return
    sizes = np.zeros(len(tests), np.int64)
    sizes[tests] = trees.set_sizes
    yield _Field.of(trees.set_values.astype(np.uint32), np.add.reduceat(sizes, trees.starts))
    yield from _segments(trees, sizes)


def _segments(trees: Ensemble, sizes: NDArray[np.int64]) -> Iterator[_Field]:
    """Where each node's part of its tree's list begins and ends."""
    ends = np.cumsum(sizes)
    before = np.repeat(ends[trees.starts] - sizes[trees.starts], trees.sizes)
    yield _Field.of((ends - sizes - before).astype(np.uint64), trees.sizes)
    yield _Field.of((ends - before).astype(np.uint64), trees.sizes)
