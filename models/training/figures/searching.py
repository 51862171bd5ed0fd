"""How the winner was found: the candidates side by side, and the paths of the searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure as Sheet
from numpy.typing import NDArray

from models.training.figures.drawing import BLUE, GREY, MOST_LABEL, ORANGE, Figure, draw
from models.training.figures.subject import Subject
from models.training.shown import shown

MOST_CANDIDATES: Final = 20
MOST_SEARCHES: Final = 4


def comparison(subject: Subject) -> Figure | None:
    """The metric of every candidate, with its interval."""
    entries = [
        each
        for each in subject.evaluation["leaderboard"]
        if each["metrics"].get(subject.metric, {}).get("mean") is not None
    ]
    if not entries:
        return None
    told = _with_the_baseline(entries)[::-1]

    def paint(sheet: Sheet) -> None:
        axes = sheet.add_subplot()
        for place, each in enumerate(told):
            found = each["metrics"][subject.metric]
            colour = ORANGE if each["chosen"] else GREY if each["baseline"] else BLUE
            if found["low"] is not None and found["high"] is not None:
                axes.plot([found["low"], found["high"]], [place, place], color=colour)
            axes.plot(found["mean"], place, "o", color=colour, markersize=5)
        names = [_name(each) for each in told]
        axes.set_yticks(range(len(told)), names)
        axes.set_xlabel(subject.measured)
        axes.grid(visible=True, axis="x")

    about = "The mean over the folds and its corrected interval; the chosen one stands out."
    if len(told) < len(entries):
        about += f" The best {len(told) - 1} of {len(entries)}, and the baseline."
    svg = draw(paint, height=1.3 + 0.26 * len(told))
    return Figure(name="comparison", title="Candidates", about=about, svg=svg)


def search(subject: Subject) -> Figure | None:
    """The score of each trial, and the best so far."""
    searches = [each for each in subject.evaluation["searches"] if _scores(each)[0].size]
    searches = searches[:MOST_SEARCHES]
    if not searches:
        return None

    def paint(sheet: Sheet) -> None:
        grid = sheet.subplots(1, len(searches), squeeze=False, sharey=True).ravel()
        for axes, each in zip(grid, searches, strict=True):
            _paint_search(axes, each, subject.sign)
        grid[0].set_ylabel(subject.measured)
        grid[0].legend()

    about = (
        "Each dot is a trial on inner folds, smaller where it was fitted to fewer rows; the line "
        "is the best so far of those on all rows. " + " ".join(_ended(each) for each in searches)
    )
    width = 5.2 if len(searches) == 1 else 3.0 * len(searches) + 0.6
    svg = draw(paint, width=width)
    return Figure(name="search", title="Search path", about=about, svg=svg, wide=len(searches) > 2)


def _name(entry: Mapping[str, Any]) -> str:
    name = shown(entry["title"], most=MOST_LABEL + 8)
    return f"{name}, tuned" if entry["tuned"] else name


def _with_the_baseline(entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    if len(entries) <= MOST_CANDIDATES:
        return list(entries)
    kept = list(entries[: MOST_CANDIDATES - 1])
    return kept + [each for each in entries[MOST_CANDIDATES - 1 :] if each["baseline"]][:1]


def _scores(found: Mapping[str, Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Of the trials that did not fail: their order, their scores, and the rows of each."""
    trials = [
        (at + 1, each["score"], each.get("rows", 1))
        for at, each in enumerate(found["trials"])
        if each["score"] is not None
    ]
    return np.array(trials, dtype=np.float64).reshape(-1, 3).T  # type: ignore[return-value]


def _paint_search(axes: Any, found: Mapping[str, Any], sign: int) -> None:
    order, scores, rows = _scores(found)
    axes.scatter(order, scores, s=6 + 20 * rows / rows.max(), color=BLUE, alpha=0.7, linewidths=0)
    whole = rows == rows.max()
    best = sign * np.maximum.accumulate(sign * scores[whole])
    axes.plot(order[whole], best, color=ORANGE, drawstyle="steps-post", label="best so far")
    axes.set_title(shown(found["algorithm"], most=MOST_LABEL))
    axes.set_xlabel("trial")
    axes.grid(visible=True)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _ended(found: Mapping[str, Any]) -> str:
    name = shown(found["algorithm"], most=MOST_LABEL)
    return f"{name}: {len(found['trials'])} trials, ended by {shown(found['stopped'])}."
