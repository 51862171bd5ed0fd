"""The drift of a log as one page of HTML that needs nothing else, as the report of a training."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, StrictUndefined

from models.drift.comparing import VERDICTS, Compared
from models.training.drift_figures import figure_of
from models.training.figures.drawing import Figure
from models.training.shown import shown

MOST_COLUMNS: Final = 300
MOST_FIGURES: Final = 40


def drift_page(told: Mapping[str, Any], found: Sequence[Compared]) -> bytes:
    """Render what was found; figures are drawn of the columns that are farthest away."""
    columns = sorted(found, key=_distance, reverse=True)
    drawn = [figure_of(each) for each in columns[:MOST_FIGURES]]
    return _TEMPLATE.render(
        told=told,
        css=_CSS,
        columns=columns[:MOST_COLUMNS],
        more=max(0, len(columns) - MOST_COLUMNS),
        figures=[each for each in drawn if each is not None],
    ).encode()


def _distance(found: Compared) -> tuple[int, float]:
    return VERDICTS.index(found.verdict), found.psi or 0.0


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _data(figure: Figure) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(figure.svg.encode()).decode()}"


def _environment() -> Environment:
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    made.filters |= {"data": _data, "number": _number, "shown": shown}
    return made


# Read when this is imported: where it runs, no file opens.
_CSS: Final = Path(__file__).with_name("page.css").read_text()
_TEMPLATE: Final = _environment().from_string(
    Path(__file__).with_name("drift_page.html").read_text()
)
