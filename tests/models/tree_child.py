"""A process that opens arrays of trees that nobody vouches for, and says what came of it.

python -m tests.models.tree_child: frames of 4 bytes length and packed arrays, each answered
by one byte: r refused, a answered.
"""

from __future__ import annotations

import sys

import numpy as np

from models.arrays import unpack_arrays
from models.compilation import Predictor
from models.compilation.trees import TreesEngine, runtime
from models.errors import ArraysMalformed, RowsRefused

ROWS = np.vstack(
    [
        np.random.default_rng(1).normal(size=(70, 5)),
        np.full((1, 5), np.nan),
        np.full((1, 5), 1e30),
        np.zeros((1, 5)),
    ]
)


def outcome(data: bytes) -> bytes:
    """What became of one file."""
    try:
        predictor = TreesEngine().load(unpack_arrays(data))
    except ArraysMalformed:
        return b"r"
    with np.errstate(all="ignore"):
        for method in predictor.methods:
            try:
                assert _few_and_many(predictor, method)
            except RowsRefused:
                return b"r"
    return b"a"


def _few_and_many(predictor: Predictor, method: str) -> bool:
    """Whether rows have the same answers by what takes few rows as by what takes many."""
    answers = []
    for runtime.SHORT in (1_000_000, 0):
        answers.append(predictor.answer(method, ROWS))
    few, many = answers
    return len(few) == len(ROWS) and few.tobytes() == many.tobytes()


def main() -> None:
    """Answer until nothing more comes."""
    while prefix := sys.stdin.buffer.read(4):
        data = sys.stdin.buffer.read(int.from_bytes(prefix, "little"))
        sys.stdout.buffer.write(outcome(data))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
