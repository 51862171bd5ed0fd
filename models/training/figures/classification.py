"""How labels and their probabilities compare with the truth of the rows held out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure as Sheet
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from models.training.answers import Answers, Numbers
from models.training.decisions import costs_of, threshold_of
from models.training.figures.drawing import (
    BLUE,
    COLOURS,
    GREY,
    INK,
    MOST_LABEL,
    ORANGE,
    Figure,
    draw,
)
from models.training.figures.subject import Subject
from models.training.proportions import share
from models.training.scoring import positive_of
from models.training.shown import shown
from models.training.verdict import number

MOST_CLASSES: Final = 20  # of a matrix
MOST_LINES: Final = 6
MOST_POINTS: Final = 400  # of a curve
BINS: Final = 10
OTHERS: Final = "all others"


def confusion(subject: Subject) -> Figure | None:
    """Which labels are taken for which."""
    answers = subject.answers
    if answers.study.task != "classification":
        return None
    labels, counts, folded = _folded(answers)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 3.2 + 0.3 * len(labels)

    def paint(sheet: Sheet) -> None:
        axes = sheet.add_subplot()
        axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=0.8)
        for (true, said), many in np.ndenumerate(counts):
            colour = "white" if shares[true, said] > 0.55 else INK
            axes.text(said + 0.5, true + 0.5, f"{many}", ha="center", va="center", color=colour)
        places = np.arange(len(labels)) + 0.5
        axes.set_xticks(places, labels, rotation=0 if len(labels) < 4 else 90)
        axes.set_yticks(places, labels)
        axes.invert_yaxis()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("answered")
        axes.set_ylabel("true")

    right = int(np.trace(counts[: len(labels) - folded, : len(labels) - folded]))
    about = f"Each line is a true label; a darker cell has more of its rows. {right} of "
    about += f"{counts.sum()} rows are on the diagonal."
    if folded:
        about += f" The {len(answers.study.classes) - MOST_CLASSES + 1} rarest labels are one line."
    svg = draw(paint, width=size + 1.2, height=size)
    return Figure(name="confusion", title="Confusion matrix", about=about, svg=svg)


def roc(subject: Subject) -> Figure | None:
    """How many false alarms each share of hits costs."""
    curves = list(_curves(subject.answers))
    if not curves:
        return None

    def paint(sheet: Sheet) -> None:
        axes = sheet.add_subplot()
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
        for colour, (label, marks, odds) in zip(COLOURS, curves, strict=False):
            false, true, _ = _thin(*roc_curve(marks, odds))
            area = number(roc_auc_score(marks, odds))
            axes.plot(false, true, color=colour, label=f"{label}: {area}")
        _finish(axes, "share of false alarms", "share found (recall)", "lower right")

    return Figure(
        name="roc",
        title="ROC curves",
        about="The nearer to the upper left corner, the better; the dotted line is chance. "
        f"The numbers are the areas below. {_of_which(subject)}",
        svg=draw(paint),
    )


def precision_recall(subject: Subject) -> Figure | None:
    """How sure a find is, for each share found."""
    curves = list(_curves(subject.answers))
    if not curves:
        return None

    def paint(sheet: Sheet) -> None:
        axes = sheet.add_subplot()
        for colour, (label, marks, odds) in zip(COLOURS, curves, strict=False):
            precision, recall, _ = precision_recall_curve(marks, odds)
            recall, precision = _thin(recall, precision)
            area = number(average_precision_score(marks, odds))
            axes.plot(
                recall, precision, color=colour, drawstyle="steps-post", label=f"{label}: {area}"
            )
            axes.axhline(marks.mean(), color=colour, linestyle=":", linewidth=0.8)
        _finish(axes, "share found (recall)", "share of finds that are right", "lower left")

    return Figure(
        name="pr",
        title="Precision and recall",
        about="The nearer to the upper right corner, the better; a dotted line is chance. "
        f"The numbers are the average precisions. {_of_which(subject)}",
        svg=draw(paint),
    )


def calibration(subject: Subject) -> Figure | None:
    """Whether what is said to be so probable comes true so often."""
    answers = subject.answers
    if answers.odds is None:
        return None
    said, true, of_what = _claims(answers)
    bins = list(_binned(said, true, subject.study.spec.compare.confidence))

    def paint(sheet: Sheet) -> None:
        upper, lower = sheet.subplots(2, 1, height_ratios=(4, 1), sharex=True)
        upper.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
        at, values, below, above = np.array(bins).T
        upper.errorbar(
            at, values, yerr=(below, above), color=BLUE, marker="o", markersize=4, elinewidth=0.9
        )
        upper.set_ylabel("share that came true")
        upper.set_ylim(-0.03, 1.03)
        upper.grid(visible=True)
        lower.hist(said, bins=np.linspace(0, 1, 21), color=GREY)
        lower.set_ylabel("rows")
        lower.set_xlabel(f"probability of {of_what}")
        lower.set_xlim(-0.03, 1.03)

    return Figure(
        name="calibration",
        title="Calibration",
        about="On the dotted line, what is said to have a probability of 0.8 comes true 8 times "
        "in 10. Bars are Wilson's intervals; below, how many rows have such a probability.",
        svg=draw(paint),
    )


def costs(subject: Subject) -> Figure | None:
    """What a row costs for each threshold that one could decide by."""
    answers = subject.answers
    table = costs_of(subject.study)
    if table is None or answers.odds is None or len(table) != 2:
        return None
    positive = subject.study.classes.index(positive_of(subject.study))
    best = threshold_of(table, positive)
    grid = np.linspace(0, 1, 101)
    above = answers.odds[:, positive] >= grid[:, None]
    decided = np.where(above, positive, 1 - positive)
    cost = table[decided, answers.true_codes].mean(axis=1)

    def paint(sheet: Sheet) -> None:
        axes = sheet.add_subplot()
        axes.plot(grid, cost, color=BLUE, drawstyle="steps-post")
        axes.axvline(0.5, color=GREY, linestyle=":", linewidth=1, label="0.5")
        if best is not None:
            axes.axvline(best, color=ORANGE, linewidth=1.2, label=f"by the costs: {number(best)}")
        label = shown(subject.study.classes[positive], most=MOST_LABEL)
        axes.set_xlabel(f"least probability of {label}")
        axes.set_ylabel("cost of a row")
        axes.set_ylim(bottom=0)
        axes.grid(visible=True)
        axes.legend()

    return Figure(
        name="costs",
        title="Cost by threshold",
        about="The threshold follows from the costs alone: it is not fitted to these rows, of "
        "which the curve shows what each threshold would have cost.",
        svg=draw(paint),
    )


def _folded(answers: Answers) -> tuple[list[str], NDArray[np.intp], bool]:
    """Labels and counts; of too many labels, the rarest are counted as one."""
    classes = answers.study.classes
    true, said = answers.true_codes, answers.answer_codes
    kept = np.arange(len(classes))
    if len(classes) > MOST_CLASSES:
        sizes = np.bincount(true, minlength=len(classes))
        kept = np.sort(np.argsort(-sizes, kind="stable")[: MOST_CLASSES - 1])
    places = np.full(len(classes), len(kept))
    places[kept] = np.arange(len(kept))
    folded = len(kept) < len(classes)
    many = len(kept) + folded
    cells = np.bincount(places[true] * many + places[said], minlength=many**2)
    labels = [shown(classes[at], most=MOST_LABEL) for at in kept] + [OTHERS] * folded
    return labels, cells.reshape(many, many), folded


def _curves(answers: Answers) -> Iterator[tuple[str, NDArray[np.bool_], Numbers]]:
    """Of each class that there are curves of: its name, where it is true, its probabilities."""
    if answers.odds is None:
        return
    classes, true = answers.study.classes, answers.true_codes
    chosen = [classes.index(positive_of(answers.study))] if len(classes) == 2 else _frequent(true)
    for at in chosen:
        marks = true == at
        if 0 < marks.sum() < len(marks):
            yield shown(classes[at], most=MOST_LABEL), marks, answers.odds[:, at]


def _frequent(codes: NDArray[np.intp]) -> list[int]:
    sizes = np.bincount(codes)
    return sorted(np.argsort(-sizes, kind="stable")[:MOST_LINES].tolist())


def _of_which(subject: Subject) -> str:
    if len(subject.study.classes) <= MOST_LINES:
        return ""
    return f"Of {len(subject.study.classes)} classes, the {MOST_LINES} most frequent are shown."


def _thin(*curve: Numbers) -> list[Numbers]:
    """A curve of no more points than can be seen."""
    length = len(curve[0])
    if length <= MOST_POINTS:
        return list(curve)
    chosen = np.unique(np.linspace(0, length - 1, MOST_POINTS).astype(int))
    return [each[chosen] for each in curve]


def _claims(answers: Answers) -> tuple[Numbers, NDArray[np.bool_], str]:
    """Probabilities that were told, whether they came true, and of what they are."""
    assert answers.odds is not None
    classes = answers.study.classes
    if len(classes) == 2:
        at = classes.index(positive_of(answers.study))
        return answers.odds[:, at], answers.true_codes == at, shown(classes[at], most=MOST_LABEL)
    likely = answers.odds.argmax(axis=1)
    return answers.odds.max(axis=1), likely == answers.true_codes, "the most probable label"


def _binned(
    said: Numbers, true: NDArray[np.bool_], confidence: float
) -> Iterator[tuple[float, float, float, float]]:
    """Bins of as many rows each: mean probability, share that is true, and its interval."""
    edges = np.unique(np.quantile(said, np.linspace(0, 1, BINS + 1)))
    places = np.searchsorted(edges[1:-1], said, side="left")
    for at in np.unique(places):
        chosen = places == at
        found = share(int(true[chosen].sum()), int(chosen.sum()), confidence=confidence)
        assert found.low is not None
        assert found.high is not None
        value = found.value
        # Rounding must not turn the length of a bar around.
        low, high = max(0.0, value - found.low), max(0.0, found.high - value)
        yield float(said[chosen].mean()), value, low, high


def _finish(axes: Any, across: str, up: str, corner: str) -> None:
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.grid(visible=True)
    axes.legend(loc=corner)
