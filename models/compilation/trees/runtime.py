"""Asks treelite, through its C interface, for the sums of an ensemble's leaves.

The Python package takes half a second and scipy to import, and prepares anew for every
prediction what never changes. So only its shared library is opened, on first need, and called
through the functions that its header `c_api.h` declares.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.trees.batches import Batches, suits
from models.compilation.trees.checkpoint import bytes_in_memory, checkpoint_of, float_type
from models.compilation.trees.ensemble import IDENTITY, Ensemble, divided
from models.errors import ArraysMalformed, RowsRefused

# A call that lets other threads run costs the caller its turn, up to 5 ms, to save microseconds:
# it waits only where the call itself takes about a millisecond.
SHORT: Final = 2_000  # ways through a tree
MOST_ANSWERS: Final = 50_000_000
GROUP_NODES: Final = 80_000  # about 4 MB
BLOCK: Final = 512  # rows
FEW_ROWS: Final = 8
FASTER: Final = 3  # nodes that are passed by many rows, while treelite passes one
SUMS: Final = b'{"predict_type": "default", "nthread": 1}'
EACH: Final = b'{"predict_type": "score_per_tree", "nthread": 1}'
PREDICT: Final = (
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_char_p,
    ctypes.c_uint64,
    ctypes.c_void_p,
    ctypes.c_void_p,
)


@dataclass(frozen=True, slots=True)
class _Library:
    """The functions of the shared library, called with and without the interpreter's lock."""

    free: ctypes.CDLL
    held: Callable[..., int]
    released: Callable[..., int]
    sums: ctypes.c_void_p
    each: ctypes.c_void_p

    def check(self, code: int) -> None:
        """Raise ArraysMalformed if a call failed."""
        if code:
            raise ArraysMalformed(str(self.free.TreeliteGetLastError(), "utf-8", "replace"))


class _Group:
    """Some consecutive trees in treelite's memory."""

    def __init__(self, library: _Library, trees: Ensemble) -> None:
        checkpoint = checkpoint_of(trees)
        handle = ctypes.c_void_p()
        read = library.free.TreeliteDeserializeModelFromBytes
        library.check(read(checkpoint, len(checkpoint), ctypes.byref(handle)))
        weakref.finalize(self, library.free.TreeliteFreeModel, handle)
        self._library, self.handle = library, handle
        self.trees, self.column = trees.trees, trees.column
        self._dtype = float_type(trees).name.encode()
        self.size = bytes_in_memory(trees)

    def ask(self, rows: NDArray[Any], answers: NDArray[Any], what: ctypes.c_void_p) -> None:
        """Write what each row gets into `answers`, which has room for exactly that."""
        library, count = self._library, len(rows)
        predict = library.held if count * self.trees <= SHORT else library.released
        data, room = _address(rows), _address(answers)
        library.check(predict(self.handle, data, self._dtype, count, room, what))


class Sums:
    """An ensemble in treelite's memory; many threads may ask it at once.

    Treelite takes each row through all trees before the next, which is slow where they do not fit
    a processor's cache. So many trees are in groups, which see a block of rows one after the other;
    their leaves are added here, in the order of the trees, as any other order rounds differently.
    """

    def __init__(self, trees: Ensemble) -> None:
        self._library = _library()
        nodes = GROUP_NODES if trees.link == IDENTITY else len(trees.left)
        self._groups = [_Group(self._library, part) for part in divided(trees, nodes=nodes)]
        self._features, self._trees, self._width = trees.features, trees.trees, trees.width
        self._vector, self._column = trees.leaves.shape[1], trees.column
        self._dtype = float_type(trees)
        alone = len(self._groups) == 1
        self._batches = Batches(trees) if alone and suits(trees) else None
        self.size = sum(group.size for group in self._groups)
        self.steps = trees.steps
        if self._batches:
            self.size += self._batches.size
            self.steps //= FASTER

    def sums(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The sums of the leaves that each row reaches, after the link, as (rows, width)."""
        self._check(rows)
        answers = self._room(len(rows), self._width)
        if self._batches and len(rows) > FEW_ROWS and len(rows) * self._trees > SHORT:
            self._batches.add(rows, answers)
        elif len(self._groups) == 1:
            self._groups[0].ask(rows, answers, self._library.sums)
        elif len(rows) <= FEW_ROWS:
            self._add_at_once(self._leaves(rows), answers)
        else:
            answers[:] = 0
            for start in range(0, len(rows), BLOCK):
                self._add_in_turn(rows[start : start + BLOCK], answers[start : start + BLOCK])
        return answers

    def each(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The leaf that each row reaches in each tree, as (rows, trees, numbers of a leaf)."""
        self._check(rows)
        return self._leaves(rows)

    def _check(self, rows: NDArray[Any]) -> None:
        # The library reads as many numbers as its trees take, whatever it is given.
        if rows.shape[1] != self._features or rows.dtype != self._dtype:
            raise RowsRefused(f"{rows.shape[1]} columns, where the trees read {self._features}")
        if not rows.flags.c_contiguous:
            raise RowsRefused("a matrix that does not lie in memory row by row")

    def _room(self, *shape: int) -> NDArray[Any]:
        """An array for answers; raises RowsRefused for more than a worker has room for."""
        if prod(shape) > MOST_ANSWERS:
            raise RowsRefused(f"{shape[0]} rows have too many answers at once; ask for fewer")
        return np.empty(shape, self._dtype)

    def _leaves(self, rows: NDArray[Any]) -> NDArray[Any]:
        answers = self._room(len(rows), self._trees, self._vector)
        first = 0
        for group in self._groups:
            # Of one row, a group's part of the answers lies together.
            alone = len(rows) == 1 or len(self._groups) == 1
            part = answers[:, first : first + group.trees]
            leaves = part if alone else np.empty(part.shape, self._dtype)
            group.ask(rows, leaves, self._library.each)
            if not alone:
                part[:] = leaves
            first += group.trees
        return answers

    def _add_at_once(self, leaves: NDArray[Any], answers: NDArray[Any]) -> None:
        if self._column is None:
            answers[:] = np.add.accumulate(leaves, axis=1)[:, -1]
            return
        for column in range(self._width):
            own = leaves[:, self._column == column, 0]
            answers[:, column] = np.add.accumulate(own, axis=1)[:, -1] if own.size else 0

    def _add_in_turn(self, rows: NDArray[Any], answers: NDArray[Any]) -> None:
        for group in self._groups:
            leaves = np.empty((len(rows), group.trees, self._vector), self._dtype)
            group.ask(rows, leaves, self._library.each)
            for tree in range(group.trees):
                if group.column is None:
                    answers += leaves[:, tree]
                else:
                    answers[:, group.column[tree]] += leaves[:, tree, 0]


def _address(array: NDArray[Any]) -> Any:
    """Where an array lies in memory; numpy's own way to tell takes several times as long."""
    if array.flags.writeable and array.size:
        return ctypes.byref(ctypes.c_char.from_buffer(array.data))
    return array.ctypes.data


@cache
def _library() -> _Library:
    spec = find_spec("treelite")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("treelite is not installed; see requirements.lock")
    path = str(Path(spec.origin).parent / "lib" / "libtreelite.so")
    free, held = ctypes.CDLL(path), ctypes.PyDLL(path)
    free.TreeliteGetLastError.restype = ctypes.c_char_p
    free.TreeliteFreeModel.argtypes = (ctypes.c_void_p,)
    free.TreeliteDeserializeModelFromBytes.argtypes = (
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_void_p,
    )
    for predict in (free.TreeliteGTILPredict, held.TreeliteGTILPredict):
        predict.argtypes = PREDICT
    configurations = []
    for text in (SUMS, EACH):
        configuration = ctypes.c_void_p()
        if free.TreeliteGTILParseConfig(text, ctypes.byref(configuration)):
            raise ArraysMalformed(str(free.TreeliteGetLastError(), "utf-8", "replace"))
        configurations.append(configuration)
    return _Library(free, held.TreeliteGTILPredict, free.TreeliteGTILPredict, *configurations)
