"""How numbers that were answered compare with the true ones of the rows held out."""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib.figure import Figure as Sheet

from models.training.answers import Numbers
from models.training.figures.drawing import BLUE, GREY, ORANGE, Figure, draw
from models.training.figures.subject import Subject

MOST_DOTS: Final = 1_500
BINS: Final = 30


def predicted(subject: Subject) -> Figure | None:
    """Answers against truth."""
    found = _truth_and_answers(subject)
    if found is None:
        return None
    truth, answers = found

    def paint(sheet: Sheet) -> None:
        axes = sheet.add_subplot()
        ends = [min(truth.min(), answers.min()), max(truth.max(), answers.max())]
        axes.plot(ends, ends, color=GREY, linestyle=":", linewidth=1)
        axes.scatter(truth, answers, s=9, color=BLUE, alpha=0.55, linewidths=0)
        axes.set_xlabel("true")
        axes.set_ylabel("answered")
        axes.grid(visible=True)

    about = "On the dotted line, an answer is the truth." + _how_many(subject)
    svg = draw(paint)
    return Figure(name="predicted", title="Answered and true", about=about, svg=svg)


def residuals(subject: Subject) -> Figure | None:
    """Errors by the size of the answer, and how they are spread."""
    found = _truth_and_answers(subject)
    if found is None:
        return None
    truth, answers = found
    errors = truth - answers

    def paint(sheet: Sheet) -> None:
        left, right = sheet.subplots(1, 2, width_ratios=(3, 1), sharey=True)
        left.axhline(0, color=GREY, linestyle=":", linewidth=1)
        left.scatter(answers, errors, s=9, color=BLUE, alpha=0.55, linewidths=0)
        left.set_xlabel("answered")
        left.set_ylabel("true less answered")
        left.grid(visible=True)
        right.hist(errors, bins=BINS, orientation="horizontal", color=BLUE)
        right.axhline(float(np.median(errors)), color=ORANGE, linewidth=1)
        right.set_xlabel("rows")

    about = "Errors ought to lie about zero alike, whatever the answer; the line is their median."
    return Figure(
        name="residuals", title="Residuals", about=about + _how_many(subject), svg=draw(paint)
    )


def _truth_and_answers(subject: Subject) -> tuple[Numbers, Numbers] | None:
    if subject.study.task != "regression":
        return None
    rows = subject.answers.rows
    chosen = np.flatnonzero(np.isin(rows, subject.some_held(MOST_DOTS)))
    some = subject.answers.only(chosen)
    return some.truth.astype(np.float64), some.answers.astype(np.float64)


def _how_many(subject: Subject) -> str:
    rows = len(subject.answers.rows)
    return f" {MOST_DOTS:,} of {rows:,} rows, drawn at random." if rows > MOST_DOTS else ""
