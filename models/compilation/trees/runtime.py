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

from models.compilation.trees.checkpoint import checkpoint_of, float_type
from models.compilation.trees.ensemble import Ensemble
from models.errors import ArraysMalformed, RowsRefused

# A call that lets other threads run costs the caller its turn, up to 5 ms, to save microseconds:
# it waits only where the call itself takes about a millisecond.
SHORT: Final = 2_000  # ways through a tree
MOST_ANSWERS: Final = 50_000_000
TREE_BYTES: Final = 1_536  # what a tree holds besides its arrays, measured
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


class Sums:
    """An ensemble in treelite's memory; many threads may ask it at once."""

    def __init__(self, trees: Ensemble) -> None:
        self._library = _library()
        checkpoint = checkpoint_of(trees)
        handle = ctypes.c_void_p()
        read = self._library.free.TreeliteDeserializeModelFromBytes
        self._library.check(read(checkpoint, len(checkpoint), ctypes.byref(handle)))
        weakref.finalize(self, self._library.free.TreeliteFreeModel, handle)
        self._handle = handle
        self._features, self._trees, self._width = trees.features, trees.trees, trees.width
        self._vector = trees.leaves.shape[1]
        self.dtype = float_type(trees)
        self._dtype_name = self.dtype.name.encode()
        self.size = len(checkpoint) + TREE_BYTES * trees.trees

    def sums(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The sums of the leaves that each row reaches, after the link, as (rows, width)."""
        answers = self._room(rows, self._width)
        self._ask(rows, answers, self._library.sums)
        return answers

    def each(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The leaf that each row reaches in each tree, as (rows, trees, numbers of a leaf)."""
        answers = self._room(rows, self._trees, self._vector)
        self._ask(rows, answers, self._library.each)
        return answers

    def _room(self, rows: NDArray[Any], *shape: int) -> NDArray[Any]:
        """An array for answers; raises RowsRefused for more than a worker has room for."""
        if len(rows) * prod(shape) > MOST_ANSWERS:
            raise RowsRefused(f"{len(rows)} rows have too many answers at once; ask for fewer")
        return np.empty((len(rows), *shape), self.dtype)

    def _ask(self, rows: NDArray[Any], answers: NDArray[Any], what: ctypes.c_void_p) -> None:
        # The library reads as many numbers as its trees take, whatever it is given.
        if rows.shape[1] != self._features or rows.dtype != self.dtype:
            raise RowsRefused(f"{rows.shape[1]} columns, where the trees read {self._features}")
        if not rows.flags.c_contiguous:
            raise RowsRefused("a matrix that does not lie in memory row by row")
        count = len(rows)
        library = self._library
        predict = library.held if count * self._trees <= SHORT else library.released
        library.check(
            predict(
                self._handle,
                rows.ctypes.data,
                self._dtype_name,
                count,
                answers.ctypes.data,
                what,
            )
        )


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
