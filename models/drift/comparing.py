"""How far the data of today is from a reference, column by column.

PSI, the population stability index, is the sum over bins of (a - e) * ln(a / e), of the shares a of
today and e of the reference. The bins of a number are the deciles of the reference, those of a text
its frequent values and all others. To every count half a row is added, so that no share is zero.

Numbers are tested by Kolmogorov and Smirnov's test of two samples, values by the chi-square test of
their counts, missing cells by that of theirs: all as scipy has them. Of many columns some always
differ by chance; p-values are adjusted for that (Benjamini and Hochberg, 1995).

A column has drifted that is both far enough away and surely so: by PSI, or by a change of the share
of missing cells, of at least 0.1 (moderate) or 0.25 (severe), with an adjusted p-value below 0.05.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from models.drift.reference import (
    CATEGORIES,
    LENGTHS,
    category_of,
    counts_between,
    finite_of,
    texts_of,
)

NONE, MODERATE, SEVERE = "none", "moderate", "severe"
VERDICTS: Final = (NONE, MODERATE, SEVERE)
FAR: Final = {MODERATE: 0.1, SEVERE: 0.25}
SURE: Final = 0.05
LEAST_ROWS: Final = 30  # fewer say nothing
MOST_TESTED: Final = 5_000  # of today's numbers, in the test of two samples
SMOOTHING: Final = 0.5
OTHER: Final = "(other)"

Counts = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """One column of both: shares of cells by bin, and what was found.

    `labels` name the bins of a text; `edges` lie between those of numbers. `problem` is why the
    two cannot be compared, if they cannot.
    """

    name: str
    kind: str
    rows: int = 0
    psi: float | None = None
    test: str | None = None
    statistic: float | None = None
    p_value: float | None = None
    adjusted: float | None = None
    missing: float = 0.0
    missing_before: float = 0.0
    missing_p: float | None = None
    missing_adjusted: float | None = None
    labels: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()
    before: tuple[float, ...] = ()
    today: tuple[float, ...] = ()
    samples: tuple[NDArray[np.float64], ...] = field(default=(), compare=False)
    problem: str = ""

    @property
    def verdict(self) -> str:
        """How far it has drifted."""
        found = NONE
        change = abs(self.missing - self.missing_before)
        for verdict, far in FAR.items():
            moved = _is(self.psi, far) and _sure(self.adjusted)
            if moved or (change >= far and _sure(self.missing_adjusted)):
                found = verdict
        return found

    def as_json(self) -> dict[str, Any]:
        """What is told of the column: all but the samples."""
        names = (
            *("name", "kind", "rows", "psi", "test", "statistic", "p_value", "adjusted"),
            *("missing", "missing_before", "labels", "edges", "before", "today", "problem"),
        )
        return {name: getattr(self, name) for name in names} | {"verdict": self.verdict}


def compare_all(
    reference: Mapping[str, Any],
    columns: Mapping[str, NDArray[Any]],
    answers: NDArray[Any] | None = None,
) -> tuple[list[Compared], Compared | None]:
    """Compare each column that a reference knows, and what the model says of the rows.

    A column that is not there was not logged: nothing is known of it.
    """
    found = [
        compare(name, summary, columns[name])
        for name, summary in reference["features"].items()
        if name in columns
    ]
    summary = reference.get("predictions")
    said = None if summary is None or answers is None else _said(summary, answers)
    every = _adjusted([*found, said] if said is not None else found)
    return (every[:-1], every[-1]) if said is not None else (every, None)


def compare(name: str, summary: Mapping[str, Any], column: NDArray[Any]) -> Compared:
    """Compare one column with its summary; not adjusted yet."""
    is_text, was_text = column.dtype == object, summary["kind"] in (CATEGORIES, LENGTHS)
    base = Compared(name=name, kind=summary["kind"], rows=len(column))
    if is_text != was_text:
        problem = "texts were logged, and numbers trained on"
        return replace(
            base, problem=problem if is_text else "numbers were logged, and texts trained on"
        )
    if was_text:
        texts = texts_of(column)
        base = _with_missing(base, summary, len(column) - len(texts))
        if summary["kind"] == CATEGORIES:
            return _categories(base, summary, texts)
        lengths = np.sort(np.array([len(text) for text in texts], np.float64))
        return _numbers(base, summary, lengths)
    known = finite_of(column)
    return _numbers(_with_missing(base, summary, len(column) - len(known)), summary, known)


def psi(before: Sequence[float], today: Sequence[float]) -> float:
    """The population stability index of two series of counts by the same bins."""
    expected, actual = _smoothed(before), _smoothed(today)
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def overall(found: Sequence[Compared], rows: int) -> tuple[str, str]:
    """The verdict on all columns, and the same in words."""
    if rows < LEAST_ROWS:
        return NONE, f"Not known: {rows} rows were logged, and fewer than {LEAST_ROWS} say nothing."
    worst = max((each.verdict for each in found), key=VERDICTS.index, default=NONE)
    if worst == NONE:
        return NONE, f"None: none of {len(found)} columns is surely away from the training data."
    moved = [each for each in found if each.verdict == worst]
    many = f"{len(moved)} of {len(found)} columns"
    return worst, f"{worst.capitalize()}: {many} are away from the training data."


def _said(summary: Mapping[str, Any], answers: NDArray[Any]) -> Compared:
    if answers.dtype.kind != "f":
        answers = np.array([str(label) for label in answers.tolist()], object)
    return compare("prediction", summary, answers)


def _with_missing(base: Compared, summary: Mapping[str, Any], missing: int) -> Compared:
    rows, before, rows_before = base.rows, int(summary["missing"]), int(summary["rows"])
    table = np.array([[before, rows_before - before], [missing, rows - missing]])
    shares = replace(
        base, missing=_share(missing, rows), missing_before=_share(before, rows_before)
    )
    if not (table.sum(axis=0) > 0).all() or not (table.sum(axis=1) > 0).all():
        return shares
    return replace(shares, missing_p=float(stats.chi2_contingency(table).pvalue))


def _numbers(base: Compared, summary: Mapping[str, Any], known: NDArray[np.float64]) -> Compared:
    sample = np.asarray(summary["sample"], np.float64)
    if not len(known) or not len(sample):
        return replace(base, problem="there are no numbers to compare")
    edges = summary["edges"]
    today = counts_between(known, edges)
    tested = known
    if len(known) > MOST_TESTED:
        chosen = np.random.default_rng(0).choice(len(known), MOST_TESTED, replace=False)
        tested = known[np.sort(chosen)]
    result = stats.ks_2samp(sample, tested)
    return replace(
        base,
        psi=psi(summary["counts"], today),
        test="ks",
        statistic=float(result.statistic),
        p_value=float(result.pvalue),
        edges=tuple(edges),
        before=_shares(summary["counts"]),
        today=_shares(today),
        samples=(sample, tested),
    )


def _categories(base: Compared, summary: Mapping[str, Any], texts: Sequence[str]) -> Compared:
    values = [str(value) for value, _ in summary["values"]]
    before = [*(int(count) for _, count in summary["values"]), int(summary["other"])]
    counted = Counter(map(category_of, texts))
    today = [counted.pop(value, 0) for value in values]
    today.append(counted.total())
    if not texts or not sum(before):
        return replace(base, problem="there are no texts to compare")
    table = np.array([before, today])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] > 1:
        result = stats.chi2_contingency(table, correction=False)
        base = replace(base, statistic=float(result.statistic), p_value=float(result.pvalue))
    return replace(
        base,
        psi=psi(before, today),
        test="chi-square",
        labels=(*values, OTHER),
        before=_shares(before),
        today=_shares(today),
    )


def _adjusted(found: list[Compared]) -> list[Compared]:
    """Adjust the p-values of all tests together, as one family."""
    p_values = [p for each in found for p in (each.p_value, each.missing_p) if p is not None]
    if not p_values:
        return found
    left = iter(stats.false_discovery_control(p_values).tolist())
    return [
        replace(
            each,
            adjusted=None if each.p_value is None else next(left),
            missing_adjusted=None if each.missing_p is None else next(left),
        )
        for each in found
    ]


def _smoothed(counts: Sequence[float]) -> Counts:
    added = np.asarray(counts, np.float64) + SMOOTHING
    shares: Counts = added / added.sum()
    return shares


def _shares(counts: Sequence[float]) -> tuple[float, ...]:
    total = sum(counts)
    return tuple(_share(count, total) for count in counts)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _is(value: float | None, least: float) -> bool:
    return value is not None and value >= least


def _sure(p_value: float | None) -> bool:
    return p_value is not None and p_value < SURE
