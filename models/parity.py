"""The proof that an engine answers as the model's own library does."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation import Predictor
from models.tables import Matrix

TOLERANCE: Final = 1e-9
SCALES: Final = (1e-6, 1e-3, 1.0, 30.0, 1e3, 1e6, 1e12)
ROWS_PER_SCALE: Final = 720
# The largest stay below the largest float32, which tree and other models cast to.
EXTREMES: Final = (0.0, -0.0, 5e-324, 1e-300, 1e-30, 1.0, 2.0**53, 1e20, 1e30, 1e38)
SINGLE_ROWS: Final = 64
CELLS: Final = 20_000_000  # a wide model is compared on fewer rows, to bound time and memory


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """How two predictors' answers to the same rows compare; relative errors are the largest."""

    rows: int
    seed: int
    tolerance: float
    labels_differing: int
    relative_error: float
    agrees: bool

    def as_json(self) -> dict[str, Any]:
        """The report as plain JSON types."""
        return asdict(self)


def drawn_rows(columns: int, *, seed: int) -> Matrix:
    """Draw at least 5,000 rows of many sizes and signs, extremes and zeros among them."""
    random = np.random.default_rng(seed)
    per_scale = max(1, min(ROWS_PER_SCALE, CELLS // (columns * len(SCALES))))
    parts = [random.normal(0, scale, (per_scale, columns)) for scale in SCALES]
    parts.append(random.integers(-5, 100, (per_scale, columns)).astype(np.float64))
    parts.extend(np.full((1, columns), sign * value) for value in EXTREMES for sign in (1, -1))
    parts.append(random.choice(EXTREMES, (min(per_scale, 200), columns)))
    return np.ascontiguousarray(np.vstack(parts))


def compare(own: Predictor, other: Predictor, rows: Matrix, *, seed: int) -> Parity:
    """Compare a model's own answers with another's, all rows at once and some one by one."""
    with np.errstate(all="ignore"):
        pairs = [(own.answer("predict", rows), other.answer("predict", rows))]
        for index in range(0, len(rows), max(1, len(rows) // SINGLE_ROWS)):
            row = rows[index : index + 1]
            pairs.append((own.answer("predict", row), other.answer("predict", row)))
        differing = sum(_labels_differing(a, b) for a, b in pairs)
        error = max(_relative_error(a, b) for a, b in pairs)
    return Parity(
        rows=len(rows),
        seed=seed,
        tolerance=TOLERANCE,
        labels_differing=differing,
        relative_error=error,
        agrees=not differing and error <= TOLERANCE,
    )


def _labels_differing(own: NDArray[Any], other: NDArray[Any]) -> int:
    """Count answers that differ, where answers are labels; a wrong shape differs everywhere."""
    if own.shape != other.shape or (own.dtype.kind == "f") != (other.dtype.kind == "f"):
        return max(1, own.size)
    if own.dtype.kind == "f":
        return 0
    pairs = zip(own.ravel().tolist(), other.ravel().tolist(), strict=True)
    return sum(type(a) is not type(b) or a != b for a, b in pairs)


def _relative_error(own: NDArray[Any], other: NDArray[Any]) -> float:
    if own.dtype.kind != "f" or own.shape != other.shape:
        return 0.0
    same = (own == other) | (np.isnan(own) & np.isnan(other))
    size = np.maximum(np.abs(own), np.abs(other))
    errors = np.where(same, 0.0, np.abs(own - other) / np.where(size == 0, 1.0, size))
    worst = float(np.nan_to_num(errors, nan=np.inf).max(initial=0.0))
    return min(worst, float(np.finfo(np.float64).max))  # JSON has no infinity
