"""What the winner goes by: which columns matter to it, and how its answers follow them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Sheet
from numpy.typing import NDArray
from sklearn.inspection import partial_dependence, permutation_importance

from models.training.figures.drawing import (
    BLUE,
    COLOURS,
    GREY,
    MOST_LABEL,
    ORANGE,
    Figure,
    draw,
)
from models.training.figures.subject import Subject
from models.training.fitting import unheard
from models.training.scoring import positive_of
from models.training.shown import shown
from models.training.verdict import in_a_sentence

MOST_LOOKED_AT: Final = 200  # columns that are looked at in passing
MOST_COLUMNS: Final = 15  # that are looked at well
MOST_BARS: Final = 15
ROWS: Final = 500
ROWS_IN_PASSING: Final = 100
REPEATS: Final = 4
MOST_DEPENDENCES: Final = 6
ROWS_OF_DEPENDENCE: Final = 150
GRID: Final = 12
MOST_VALUES: Final = 8
MOST_CLASSES: Final = 4


@dataclass(frozen=True, slots=True)
class Importance:
    """How much worse the metric gets when a column is shuffled among the rows."""

    column: str
    mean: float
    spread: float


def importances_of(subject: Subject) -> list[Importance]:
    """Those of the columns that matter most, the first the most."""
    columns = list(subject.study.features.columns)[:MOST_LOOKED_AT]
    if len(columns) > MOST_COLUMNS:
        passing = _permuted(subject, columns, rows=ROWS_IN_PASSING, repeats=1)
        columns = [each.column for each in passing[:MOST_COLUMNS]]
    return _permuted(subject, columns, rows=ROWS, repeats=REPEATS)


def importance(subject: Subject, found: list[Importance]) -> Figure | None:
    """The importances as bars."""
    shown_ones = found[:MOST_BARS][::-1]
    if not shown_ones:
        return None
    places = np.arange(len(shown_ones))

    def paint(sheet: Sheet) -> None:
        axes = sheet.add_subplot()
        means = [each.mean for each in shown_ones]
        spreads = [each.spread for each in shown_ones]
        axes.barh(places, means, xerr=spreads, color=BLUE, ecolor=GREY, height=0.7)
        axes.axvline(0, color=GREY, linewidth=0.8)
        axes.set_yticks(places, [shown(each.column, most=MOST_LABEL) for each in shown_ones])
        axes.set_xlabel("how much worse without it")
        axes.grid(visible=True, axis="x")

    return Figure(
        name="importance",
        title="Permutation importance",
        about=_said_of_importance(subject),
        svg=draw(paint, height=1.3 + 0.26 * len(shown_ones)),
    )


def dependence(subject: Subject, found: list[Importance]) -> Figure | None:
    """How the mean answer follows each of the columns that matter most."""
    chosen = [each.column for each in found if each.mean > 0][:MOST_DEPENDENCES]
    curves = [_dependence(subject, column) for column in chosen]
    if not curves:
        return None
    across = min(3, len(curves))
    down = -(-len(curves) // across)

    def paint(sheet: Sheet) -> None:
        grid = sheet.subplots(down, across, squeeze=False, sharey=True).ravel()
        for axes, curve in zip(grid, curves, strict=False):
            _paint_dependence(axes, curve)
        for axes in grid[len(curves) :]:
            axes.set_visible(False)
        for axes in grid[::across]:
            axes.set_ylabel(_answered(subject))
        if len(curves[0].lines) > 1:
            grid[0].legend()

    return Figure(
        name="dependence",
        title="Partial dependence",
        about="The mean answer if all rows had the value, all else left as it is; ticks at the "
        f"bottom are tenths of the rows. {_some(subject, ROWS_OF_DEPENDENCE)}",
        svg=draw(paint, width=3.2 * across + 0.6, height=2.7 * down),
        wide=across > 1,
    )


@dataclass(frozen=True, slots=True)
class _Curve:
    column: str
    values: NDArray[Any]
    lines: dict[str, NDArray[np.float64]]
    deciles: NDArray[np.float64] | None


def _permuted(subject: Subject, columns: list[str], *, rows: int, repeats: int) -> list[Importance]:
    chosen = subject.some_held(rows)
    whole = subject.study.features.iloc[chosen]

    def scoring(fitted: Any, some: pd.DataFrame, _: Any) -> float:
        changed = whole.assign(**{name: some[name].to_numpy() for name in columns})
        return subject.sign * subject.score(fitted, chosen, changed)

    with unheard():
        found = permutation_importance(
            subject.fitted,
            whole[columns],
            subject.study.target[chosen],
            scoring=scoring,
            n_repeats=repeats,
            random_state=subject.study.spec.seed,
        )
    parts = zip(columns, found.importances_mean, found.importances_std, strict=True)
    each = [Importance(name, float(mean), float(spread)) for name, mean, spread in parts]
    known = [one for one in each if np.isfinite(one.mean)]
    return sorted(known, key=lambda one: -one.mean)


def _dependence(subject: Subject, column: str) -> _Curve:
    rows = subject.some_held(ROWS_OF_DEPENDENCE)
    features = subject.study.features.iloc[rows]
    cells = features[column].dropna()
    numeric = cells.dtype == np.float64
    values = _grid(cells.to_numpy()) if numeric else _frequent(cells)
    place = list(features.columns).index(column)
    with unheard():
        found = partial_dependence(
            subject.fitted,
            features,
            [place],
            custom_values={place: values},
            response_method="auto" if subject.answers.odds is None else "predict_proba",
            kind="average",
            method="brute",
        )
    lines = _lines(subject, found["average"])
    deciles = np.quantile(cells.to_numpy(), np.linspace(0.1, 0.9, 9)) if numeric else None
    return _Curve(column, values, lines, deciles)


def _grid(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = np.quantile(numbers, [0.05, 0.95])
    known = np.unique(numbers)
    return known if len(known) <= GRID else np.linspace(low, high, GRID)


def _frequent(cells: pd.Series) -> NDArray[Any]:
    counts = cells.astype(str).value_counts()
    chosen = sorted(counts.index, key=lambda value: (-counts[value], value))[:MOST_VALUES]
    return np.array(sorted(chosen), dtype=object)


def _lines(subject: Subject, average: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    classes = subject.study.classes
    if len(average) == 1:
        flipped = len(classes) == 2 and positive_of(subject.study) != classes[-1]
        line = 1 - average[0] if flipped and subject.answers.odds is not None else average[0]
        return {"": line}
    labels = [shown(each, most=MOST_LABEL) for each in subject.fitted.classes_]
    sizes = np.bincount(subject.answers.true_codes, minlength=len(labels))
    chosen = sorted(np.argsort(-sizes, kind="stable")[:MOST_CLASSES].tolist())
    return {labels[at]: average[at] for at in chosen if at < len(average)}


def _paint_dependence(axes: Any, curve: _Curve) -> None:
    axes.set_xlabel(shown(curve.column, most=MOST_LABEL))
    axes.grid(visible=True, axis="y")
    places = curve.values if curve.deciles is not None else np.arange(len(curve.values))
    style = {"marker": ""} if curve.deciles is not None else {"marker": "o", "linestyle": ""}
    for colour, (label, line) in zip(COLOURS, curve.lines.items(), strict=False):
        axes.plot(places, line, color=colour, label=label, markersize=5, **style)
    if curve.deciles is None:
        names = [shown(value, most=14) for value in curve.values]
        axes.set_xticks(places, names, rotation=0 if len(names) < 4 else 90)
    else:
        bottom = axes.get_xaxis_transform()
        axes.plot(curve.deciles, [0.02] * 9, "|", color=ORANGE, transform=bottom, markersize=6)


def _answered(subject: Subject) -> str:
    if subject.study.task == "regression":
        return "mean answer"
    if subject.answers.odds is None:
        return "mean of the decision"
    if len(subject.study.classes) > 2:
        return "mean probability"
    return f"probability of {shown(positive_of(subject.study), most=MOST_LABEL)}"


def _said_of_importance(subject: Subject) -> str:
    columns = len(subject.study.features.columns)
    said = (
        f"How much worse {in_a_sentence(subject.metric)} gets when a column is shuffled, {REPEATS} "
        f"times; columns that say the same cover for each other. {_some(subject, ROWS)}"
    )
    if columns > MOST_COLUMNS:
        looked = min(columns, MOST_LOOKED_AT)
        said += f" Of {columns} columns, {looked} were looked at, {MOST_COLUMNS} of them well."
    return said


def _some(subject: Subject, most: int) -> str:
    rows = len(subject.answers.rows)
    return f"Of {most:,} held-out rows, drawn at random." if rows > most else ""
