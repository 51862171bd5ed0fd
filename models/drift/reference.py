"""What the data of a training looked like, kept small: that which later data is compared with.

A number is kept as its deciles, the counts between them and a sample; a text as its frequent values
and the count of all others. Texts that hardly repeat are compared by their lengths. Everything is
JSON, and the same columns give the same reference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SCHEMA: Final = 1
MOST_SAMPLE: Final = 2_000  # values of one column
LEAST_SAMPLE: Final = 100
MOST_CELLS: Final = 400_000  # of all samples together
MOST_CATEGORIES: Final = 40
MOST_TEXT: Final = 120  # of a category, in characters
# Of texts of which fewer rows than this are of a frequent value, the values say nothing.
LEAST_COVERED: Final = 0.5
DECILES: Final = tuple(each / 10 for each in range(1, 10))

NUMBERS: Final = "numbers"
CATEGORIES: Final = "categories"
LENGTHS: Final = "lengths"


def reference_of(
    columns: Mapping[str, NDArray[Any]], *, predictions: NDArray[Any] | None = None
) -> dict[str, Any]:
    """Summarise the columns of a table, each of one value per row, and what a model says of it.

    Columns of texts are of dtype object, with None where one is missing; NaN is a missing number.
    """
    most = max(LEAST_SAMPLE, min(MOST_SAMPLE, MOST_CELLS // max(1, len(columns))))
    features = {name: summary_of(column, most=most) for name, column in columns.items()}
    rows = max((each["rows"] for each in features.values()), default=0)
    said = None if predictions is None else predictions_of(predictions)
    return {"schema": SCHEMA, "rows": rows, "features": features, "predictions": said}


def predictions_of(answers: NDArray[Any]) -> dict[str, Any]:
    """Summarise what a model says: labels by their frequency, even those that are whole numbers."""
    if answers.dtype.kind == "f":
        return summary_of(answers)
    labels = np.array([str(label) for label in answers.tolist()], object)
    return _categories(labels.tolist(), rows=len(labels))


def summary_of(column: NDArray[Any], *, most: int = MOST_SAMPLE) -> dict[str, Any]:
    """Summarise one column."""
    if column.dtype.kind in "fiub":
        return _numbers(column.astype(np.float64), NUMBERS, most=most)
    texts = texts_of(column)
    summary = _categories(texts, rows=len(column))
    if texts and summary["other"] > (1 - LEAST_COVERED) * len(texts):
        return lengths_of(texts, rows=len(column), most=most)
    return summary


def texts_of(column: NDArray[Any]) -> list[str]:
    """The texts of a column that are not missing."""
    cells = column.tolist()
    return [str(cell) for cell in cells if cell is not None and cell == cell]  # NaN is missing too


def category_of(text: str) -> str:
    """The text as a category is named: what is longer is cut, so that a reference stays small."""
    return text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + "…"


def finite_of(column: NDArray[Any]) -> NDArray[np.float64]:
    """The numbers of a column that are not missing, sorted."""
    numbers = np.asarray(column, np.float64)
    return np.sort(numbers[np.isfinite(numbers)])


def lengths_of(texts: Sequence[str], *, rows: int, most: int = MOST_SAMPLE) -> dict[str, Any]:
    """Summarise texts that hardly repeat by how many characters they have."""
    lengths = np.array([len(text) for text in texts], np.float64)
    summary = _numbers(lengths, LENGTHS, most=most)
    return summary | {"rows": rows, "missing": rows - len(texts)}


def _numbers(column: NDArray[np.float64], kind: str, *, most: int) -> dict[str, Any]:
    known = finite_of(column)
    edges = np.unique(np.quantile(known, DECILES)) if len(known) else np.zeros(0)
    return {
        "kind": kind,
        "rows": len(column),
        "missing": len(column) - len(known),
        "edges": edges.tolist(),
        "counts": counts_between(known, edges),
        "least": float(known[0]) if len(known) else None,
        "most": float(known[-1]) if len(known) else None,
        "mean": float(known.mean()) if len(known) else None,
        "sample": _sample(known, most).tolist(),
    }


def counts_between(known: NDArray[np.float64], edges: Sequence[float] | NDArray[Any]) -> list[int]:
    """How many numbers there are up to each edge, and above the last."""
    places = np.searchsorted(np.asarray(edges, np.float64), known, side="left")
    return list(map(int, np.bincount(places, minlength=len(edges) + 1)))


def _sample(known: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    if len(known) <= most:
        return known
    # By chance, for a test of two samples takes for granted that they are; always the same one.
    chosen = np.random.default_rng(0).choice(len(known), most, replace=False)
    return known[np.sort(chosen)]


def _categories(texts: Sequence[str], *, rows: int) -> dict[str, Any]:
    counts = Counter(map(category_of, texts))
    frequent = sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:MOST_CATEGORIES]
    return {
        "kind": CATEGORIES,
        "rows": rows,
        "missing": rows - len(texts),
        "values": [[value, count] for value, count in frequent],
        "other": len(texts) - sum(count for _, count in frequent),
    }
