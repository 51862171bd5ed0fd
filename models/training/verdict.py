"""An evaluation in words and figures: the headline, and numbers as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.training.measures import measure_of
from models.training.shown import shown

NOTHING = "–"


def headline(evaluation: Mapping[str, Any]) -> str:
    """The one sentence to take away: which algorithm, how good, on how many rows, against what."""
    holdout, metric = evaluation["holdout"], evaluation["metric"]
    found = holdout["metrics"].get(metric)
    if found is None:
        return f"{champion_of(evaluation)}: {metric} is not known"
    said = (
        f"{champion_of(evaluation)}, {in_a_sentence(metric)} "
        f"{with_interval(found)} on {count(holdout['rows'])} held-out rows"
    )
    baseline = (holdout.get("baseline") or {}).get(metric)
    return f"{said}; the baseline {number(baseline['value'])}" if baseline else said


def champion_of(evaluation: Mapping[str, Any]) -> str:
    """What people call the algorithm that was chosen."""
    titles = (each["title"] for each in evaluation["leaderboard"] if each["chosen"])
    return shown(next(titles, evaluation["champion"]["algorithm"]))


def against_baseline(evaluation: Mapping[str, Any]) -> str:
    """Whether that is better than knowing nothing of a row."""
    lead = evaluation["holdout"].get("lead")
    if lead is None:
        return ""
    if lead["low"] is not None and lead["low"] > 0:
        return "Better than the baseline beyond chance."
    if lead["high"] is not None and lead["high"] < 0:
        return "Worse than the baseline beyond chance: do not serve this model."
    return "Not better than the baseline beyond chance: these rows do not show that it has learned."


def title_of(metric: str) -> str:
    """What people call a metric."""
    kind, _, label = metric.partition(":")
    measure = measure_of(metric)
    title = measure.title if measure else shown(kind)
    return f"{title} of {shown(label)}" if label else title


def in_a_sentence(metric: str) -> str:
    """The same within a sentence, where ROC stays ROC, and a class is called as it is."""
    title = title_of(metric)
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def with_interval(found: Mapping[str, Any]) -> str:
    """A value, and in brackets between what it is likely to be."""
    value = found["value"] if "value" in found else found["mean"]
    if found.get("low") is None or found.get("high") is None:
        return number(value)
    return f"{number(value)} ({number(found['low'])}–{number(found['high'])})"


def number(value: float | None) -> str:
    """A number with about three digits that matter."""
    if value is None:
        return NOTHING
    size = abs(value)
    if size >= 100_000 or 0 < size < 0.0005:
        return f"{value:.2e}"
    if size >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 100 else f"{value:.2f}" if size >= 10 else f"{value:.3f}"


def signed(value: float | None) -> str:
    """A difference, with its sign."""
    return number(value) if value is None or value <= 0 else f"+{number(value)}"


def count(value: int | None) -> str:
    """A whole number."""
    return NOTHING if value is None else f"{value:,}"


def percent(value: float | None) -> str:
    """A share, in hundredths."""
    return NOTHING if value is None else f"{f'{100 * value:.1f}'.removesuffix('.0')} %"


def chance(p_value: float | None) -> str:
    """A p-value; those near nothing are told apart by nobody."""
    if p_value is None:
        return NOTHING
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"
