"""The figures of a report: SVG, drawn the same each time, from what a training has found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from matplotlib.figure import Figure as Sheet

from models.training.figures import classification, explaining, learning, regression, searching
from models.training.figures.drawing import Figure, draw
from models.training.figures.subject import Subject
from models.training.fitting import reason_of

__all__ = ["Figure", "Subject", "figures_of", "warm"]

_DRAWN: Final[tuple[Callable[[Subject], Figure | None], ...]] = (
    classification.confusion,
    classification.roc,
    classification.precision_recall,
    classification.calibration,
    classification.costs,
    regression.predicted,
    regression.residuals,
    searching.comparison,
    searching.search,
    learning.learning,
)


def figures_of(subject: Subject) -> tuple[list[Figure], list[str]]:
    """Draw all figures that there are of a winner; and say which failed, and why.

    A training is worth its hours without a figure too.
    """
    figures, failures = [], []
    for name, paint in _paints(subject):
        try:
            figure = paint()
        except Exception as error:  # noqa: BLE001  whatever a library raises costs this figure alone
            failures.append(f"The figure {name} could not be drawn: {reason_of(error)}")
            continue
        if figure is not None:
            figures.append(figure)
    return figures, failures


def warm() -> None:
    """Draw something, so that whatever matplotlib imports late is there before no file opens."""

    def paint(sheet: Sheet) -> None:
        left, right = sheet.subplots(1, 2)
        left.errorbar([0, 1], [0, 1], yerr=0.1, label="$x$")
        left.scatter([0, 1], [1, 0])
        left.fill_between([0, 1], [0, 1], alpha=0.2)
        left.hist([0, 1, 1])
        left.legend(loc="best")
        right.pcolormesh([[0, 1], [1, 0]], cmap="Blues", edgecolors="white")
        right.text(0.5, 0.5, "漢", ha="center")
        right.set_xticks([0, 1], ["a", "b"], rotation=90)
        right.set_title("a title")

    draw(paint)


def _paints(subject: Subject) -> Iterator[tuple[str, Callable[[], Figure | None]]]:
    for drawn in _DRAWN:
        yield drawn.__name__, lambda drawn=drawn: drawn(subject)  # type: ignore[misc]
    found: list[explaining.Importance] = []

    def importance() -> Figure | None:
        found.extend(explaining.importances_of(subject))
        return explaining.importance(subject, found)

    yield "importance", importance
    yield "dependence", lambda: explaining.dependence(subject, found)
