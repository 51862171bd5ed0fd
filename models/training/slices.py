"""On which rows a model is weakest: the held-out ones, parted by the values of each column.

Who looks at a hundred slices finds a bad one by chance. So the confidence of each interval is
raised: with what is left of doubt shared among all slices (Bonferroni), the chance that any of the
differences is wrongly told is still no more than was asked for. Shares have Clopper and Pearson's
intervals, which hold for the few rows of a slice at such confidence, where Wilson's do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2
from scipy.stats import t as student

from models.training.answers import Answers, Numbers
from models.training.intervals import Interval
from models.training.proportions import certain_share, difference, f1_of, mean_of
from models.training.scoring import metric_of
from models.training.shown import shown

MOST_COLUMNS: Final = 100
MOST_VALUES: Final = 8  # of a column, the others being one slice
BINS: Final = 4
MOST_TOLD: Final = 100
MISSING: Final = "missing"
OTHERS: Final = "all others"

Chosen = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """Some of the held-out rows: those with some values of a column."""

    column: str
    values: str
    chosen: Chosen


def slices_of(answers: Answers, *, confidence: float) -> list[dict[str, Any]]:
    """Every slice, the weakest first: its metric, and how much better the other rows have it.

    A `difference` below zero is a slice that is worse, whatever the metric.
    """
    slices = list(_slices(answers))
    if not slices:
        return []
    level = 1 - (1 - confidence) / len(slices)
    told = [_told(answers, each, level) for each in slices]
    known = [{**each, "looked_at": len(slices)} for each in told if each is not None]
    return sorted(known, key=lambda each: (not each["weaker"], each["difference"]))[:MOST_TOLD]


def sliced_by(metric: str) -> str:
    """What slices are compared by: a metric that few rows tell, near the one that decides."""
    kind = metric.partition(":")[0]
    if kind in ("precision", "recall", "f1"):
        return metric
    if kind in ("accuracy", "mae"):
        return kind
    if kind.endswith("_weighted"):
        return "accuracy"
    if kind in ("rmse", "r2"):
        return "rmse"
    return "mae" if kind.startswith(("mape", "quantile")) else "balanced_accuracy"


def _slices(answers: Answers) -> Iterator[Slice]:
    """The parts of each column that have rows on both sides."""
    features = answers.study.features
    for name in list(features.columns)[:MOST_COLUMNS]:
        for values, chosen in _parts(features[name].iloc[answers.rows]):
            if 1 < chosen.sum() < len(chosen) - 1:
                yield Slice(column=str(name), values=values, chosen=chosen)


def _parts(column: pd.Series) -> Iterator[tuple[str, Chosen]]:
    missing = column.isna().to_numpy()
    yield MISSING, missing
    if column.dtype == np.float64:
        yield from _bins(column.to_numpy(), ~missing)
    else:
        yield from _values(column, ~missing)


def _bins(numbers: Numbers, known: Chosen) -> Iterator[tuple[str, Chosen]]:
    """Bins of as many rows each, as far as equal values allow."""
    if not known.any():
        return
    edges = np.unique(np.quantile(numbers[known], np.linspace(0, 1, BINS + 1)))
    if len(edges) == 1:
        yield f"= {edges[0]:.4g}", known
        return
    bins = np.searchsorted(edges[1:-1], numbers, side="left")
    for at, (low, high) in enumerate(pairwise(edges)):
        said = f"{low:.4g} to {high:.4g}" if at == 0 else f"over {low:.4g} to {high:.4g}"
        yield said, known & (bins == at)


def _values(column: pd.Series, known: Chosen) -> Iterator[tuple[str, Chosen]]:
    texts = column.astype(object).to_numpy()
    counts = pd.Series(texts[known]).astype(str).value_counts()
    # As frequent ones in the order of their names: the same each time.
    frequent = sorted(counts.index, key=lambda value: (-counts[value], value))[:MOST_VALUES]
    said = np.array([str(value) for value in texts], dtype=object)
    for value in frequent:
        yield f"= {shown(value, most=60)}", known & (said == value)
    yield OTHERS, known & ~np.isin(said.astype(str), np.array(frequent, dtype=str))


def _told(answers: Answers, part: Slice, level: float) -> dict[str, Any] | None:
    metric = sliced_by(metric_of(answers.study))
    inside, outside = answers.only(part.chosen), answers.only(~part.chosen)
    found = _estimates(metric, inside, outside, level)
    if found is None:
        return None
    here, there = found
    sign = -1 if answers.study.task == "regression" else 1
    gap = difference(here, there) if sign > 0 else difference(there, here)
    return {
        "column": part.column,
        "values": part.values,
        "rows": int(part.chosen.sum()),
        "counted": _counted(metric, inside),
        "metric": metric,
        "value": here.value,
        "difference": gap.value,
        "low": gap.low,
        "high": gap.high,
        "weaker": gap.high is not None and gap.high < 0,
    }


def _estimates(
    metric: str, inside: Answers, outside: Answers, level: float
) -> tuple[Interval, Interval] | None:
    """The metric of a slice and of the other rows; None if either cannot tell it."""
    if inside.study.task == "regression":
        return _error(metric, inside, level), _error(metric, outside, level)
    if metric == "balanced_accuracy":
        # Only classes that both have: a slice of one easy class is not better for that.
        common = np.intersect1d(inside.true_codes, outside.true_codes)
        if not len(common):
            return None
        return _balanced(inside, common, level), _balanced(outside, common, level)
    here, there = (_share(metric, each, level) for each in (inside, outside))
    return None if here is None or there is None else (here, there)


def _balanced(answers: Answers, classes: NDArray[np.intp], level: float) -> Interval:
    true, right = answers.true_codes, answers.true_codes == answers.answer_codes
    of_each = [right[true == each] for each in classes]
    return mean_of([certain_share(int(e.sum()), len(e), confidence=level) for e in of_each])


def _share(metric: str, answers: Answers, level: float) -> Interval | None:
    rows = _counting(metric, answers)
    if not rows.any():
        return None
    hits = rows & (answers.true_codes == answers.answer_codes)
    found = certain_share(int(hits.sum()), int(rows.sum()), confidence=level)
    return f1_of(found) if metric.startswith("f1") else found


def _counted(metric: str, answers: Answers) -> int:
    of_all = answers.study.task == "regression" or metric == "balanced_accuracy"
    return len(answers.rows) if of_all else int(_counting(metric, answers).sum())


def _counting(metric: str, answers: Answers) -> Chosen:
    """The rows of which the metric is a share: of recall, those of the class."""
    kind, _, label = metric.partition(":")
    if kind == "accuracy":
        return np.ones(len(answers.rows), dtype=bool)
    at = [str(each) for each in answers.study.classes].index(label)
    true: Chosen = answers.true_codes == at
    said: Chosen = answers.answer_codes == at
    return {"recall": true, "precision": said, "f1": true | said}[kind]


def _error(metric: str, answers: Answers, level: float) -> Interval:
    """The mean error of a slice, or the root of that of squares.

    Its interval is Student's t of the mean or, of few rows, by what chi-squared says of a spread
    known from so few: whichever is wider.
    """
    errors = np.asarray(answers.truth - answers.answers, dtype=np.float64)
    losses = np.abs(errors) if metric == "mae" else errors**2
    mean = float(losses.mean())
    rows, root = len(losses), 1.0 if metric == "mae" else 0.5
    width = float(student.ppf((1 + level) / 2, rows - 1) * losses.std(ddof=1)) / sqrt(rows)
    few, many = (
        sqrt(rows / float(chi2.ppf(at, rows))) for at in ((1 + level) / 2, (1 - level) / 2)
    )
    value = mean**root
    low = min(max(0.0, mean - width) ** root, few * value)
    return Interval(value, low, max((mean + width) ** root, many * value))
