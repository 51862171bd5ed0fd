"""The report as one page of HTML that needs nothing else: no script, nothing from elsewhere.

Whatever came with the data is text on it: the template escapes all that it is given but our style.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, StrictUndefined

from models.training.figures.drawing import Figure
from models.training.shown import shown, shown_lines
from models.training.verdict import (
    against_baseline,
    chance,
    count,
    headline,
    in_a_sentence,
    number,
    percent,
    signed,
    title_of,
)

MOST_CLASSES: Final = 60
MOST_COLUMNS: Final = 300
MOST_SLICES: Final = 12
_ALSO_COMPARED: Final = ("balanced_accuracy", "f1_macro", "roc_auc", "log_loss", "mae", "r2")
MOST_COMPARED: Final = 2
_SECTIONS: Final = {
    "heldout": "Verdict",
    "decisions": "Decisions",
    "leaderboard": "Leaderboard",
    "slices": "Weaknesses",
    "learned": "What it has learned",
    "data": "Data",
    "again": "The same again",
}
_PLACED: Final = frozenset(
    {
        *("confusion", "roc", "pr", "calibration", "residuals", "predicted", "costs"),
        *("comparison", "search", "importance", "dependence", "learning"),
    }
)


def page(evaluation: Mapping[str, Any], figures: Sequence[Figure] = ()) -> bytes:
    """Render an evaluation; a stored one, of which no figures are kept, is rendered without."""
    holdout = evaluation["holdout"]
    data = evaluation["data"]
    classes = _classes(holdout)
    return _TEMPLATE.render(
        evaluation=evaluation,
        holdout=holdout,
        figures=figures,
        css=_CSS,
        headline=headline(evaluation),
        against=against_baseline(evaluation),
        chosen=next((each for each in evaluation["leaderboard"] if each["chosen"]), None),
        sections=_sections(evaluation, figures),
        overall=[pair for pair in holdout["metrics"].items() if ":" not in pair[0]],
        baseline=holdout.get("baseline") or {},
        classes=classes[:MOST_CLASSES],
        more_classes=max(0, len(classes) - MOST_CLASSES),
        class_counts=list((data["class_counts"] or {}).items())[:MOST_CLASSES],
        compared=_compared(evaluation),
        weakest=[each for each in evaluation["slices"] if each["difference"] < 0][:MOST_SLICES],
        slices_said=_slices_said(evaluation["slices"]),
        columns=data["columns"][:MOST_COLUMNS],
        more_columns=max(0, len(data["columns"]) - MOST_COLUMNS),
        notes=evaluation.get("notes", []),
        other_figures=[each.name for each in figures if each.name not in _PLACED],
    ).encode()


def _sections(evaluation: Mapping[str, Any], figures: Sequence[Figure]) -> list[tuple[str, str]]:
    absent = set()
    if not evaluation["holdout"].get("decisions"):
        absent.add("decisions")
    if not {"importance", "dependence", "learning"} & {each.name for each in figures}:
        absent.add("learned")
    return [(at, title) for at, title in _SECTIONS.items() if at not in absent]


def _classes(holdout: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The metrics of each class, and how many rows are of it."""
    metrics, confusion = holdout["metrics"], holdout.get("confusion")
    if not confusion:
        return []
    return [
        {
            "label": label,
            "rows": sum(line),
            **{name: metrics.get(f"{name}:{label}") for name in ("precision", "recall", "f1")},
        }
        for label, line in zip(confusion["labels"], confusion["counts"], strict=True)
    ]


def _compared(evaluation: Mapping[str, Any]) -> list[str]:
    """The metric that decides, and some more that the candidates were measured by."""
    known = {name for each in evaluation["leaderboard"] for name in each["metrics"]}
    names = [evaluation["metric"], *(name for name in _ALSO_COMPARED if name in known)]
    return list(dict.fromkeys(names))[:MOST_COMPARED]


def _slices_said(slices: Sequence[Mapping[str, Any]]) -> str:
    if not slices:
        return ""
    looked = slices[0].get("looked_at", len(slices))
    return (
        f"{count(looked)} slices were looked at, so each interval is as wide as its share of the "
        "doubt demands (Bonferroni): those marked are weaker even so. Few rows, wide interval."
    )


def _pretty(value: object) -> str:
    return shown_lines(json.dumps(value, indent=2, ensure_ascii=False, default=str), most=50_000)


def _data(figure: Figure) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(figure.svg.encode()).decode()}"


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _environment() -> Environment:
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    made.filters |= {
        "chance": chance,
        "count": count,
        "data": _data,
        "day": _day,
        "lines": lambda text: shown_lines(text).splitlines(),
        "lines_of_card": lambda text: shown_lines(text, most=100_000),
        "number": number,
        "percent": percent,
        "pretty": _pretty,
        "shown": shown,
        "shown_long": lambda text: shown(text, most=400),
        "signed": signed,
        "in_a_sentence": in_a_sentence,
        "title_of": title_of,
        "value": lambda found: number(found["value"] if "value" in found else found["mean"]),
    }
    return made


# Read when this is imported: where a training runs, no file opens.
_CSS: Final = Path(__file__).with_name("page.css").read_text()
_TEMPLATE: Final = _environment().from_string(Path(__file__).with_name("page.html").read_text())
