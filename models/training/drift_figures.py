"""A figure for each column that was compared: what it was trained on beside what was logged."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure as Sheet

from models.drift.comparing import Compared
from models.training.figures.drawing import BLUE, MOST_LABEL, ORANGE, Figure, draw
from models.training.shown import shown

MOST_BARS = 12
BINS = 20
TRAINED, LOGGED = "trained on", "logged"


def figure_of(found: Compared) -> Figure | None:
    """The figure of a column; None where there is nothing to show."""
    if found.problem or not found.before:
        return None
    name = shown(found.name, most=60)
    paint = _bars if found.labels else _histogram
    return Figure(
        name=f"drift-{found.name}",
        title=name,
        about=f"Shares of {name} in the training data and in the log; PSI {_psi(found)}.",
        svg=draw(lambda sheet: paint(sheet, found), height=2.6),
    )


def _psi(found: Compared) -> str:
    return "unknown" if found.psi is None else f"{found.psi:.3f}"


def _histogram(sheet: Sheet, found: Compared) -> None:
    axes = sheet.subplots()
    every = np.concatenate(found.samples)
    low, high = np.quantile(every, (0.005, 0.995))
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    for sample, colour, label in zip(found.samples, (BLUE, ORANGE), (TRAINED, LOGGED), strict=True):
        shares = np.histogram(np.clip(sample, edges[0], edges[-1]), edges)[0] / len(sample)
        axes.stairs(shares, edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(shares, edges, color=colour, label=label)
    axes.set_ylabel("share of rows")
    axes.legend()


def _bars(sheet: Sheet, found: Compared) -> None:
    axes = sheet.subplots()
    order = sorted(range(len(found.labels)), key=lambda at: -max(found.before[at], found.today[at]))
    chosen = order[:MOST_BARS]
    places = np.arange(len(chosen))
    for shares, colour, label, side in (
        (found.before, BLUE, TRAINED, -0.2),
        (found.today, ORANGE, LOGGED, 0.2),
    ):
        axes.barh(places + side, [shares[at] for at in chosen], 0.38, color=colour, label=label)
    axes.set_yticks(places, [shown(found.labels[at], most=MOST_LABEL) for at in chosen])
    axes.invert_yaxis()
    axes.set_xlabel("share of rows")
    axes.legend()
