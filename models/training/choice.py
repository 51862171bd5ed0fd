"""Which candidate is the champion, and why, in words.

The best by its metric, unless one that is not significantly behind is much cheaper to serve: as
workers answer it themselves and the best needs a host, or as it takes much less time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from models.errors import TrainingFailed
from models.training.entries import Entry, Ranking

# Times vary from run to run: what decides has to be well beyond that.
CHEAPER: Final = 0.5
LEAST_SAVED_MS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Choice:
    """The entry that was chosen, and the reason."""

    entry: Entry
    why: str


def choose(entries: Sequence[Entry], ranking: Ranking, *, most_serving_ms: float) -> Choice:
    """Choose among the entries that did not fail; raises TrainingFailed where there is none."""
    fit = [each for each in ranking.order(entries) if each.failed is None and not each.baseline]
    allowed = [each for each in fit if _is_quick(each, most_serving_ms)]
    if not allowed:
        raise TrainingFailed(_why_none(entries, fit, most_serving_ms))
    leader, chosen = allowed[0], allowed[0]
    for entry in allowed[1:]:
        if not _is_behind(leader, entry, ranking) and _is_cheaper(entry, chosen):
            chosen = entry
    said = [_lead_said(leader, ranking), *_rejected_said(fit, allowed, most_serving_ms)]
    if chosen is not leader:
        said.append(_cheaper_said(leader, chosen, ranking))
    said.append(_baseline_said(chosen, entries, ranking))
    return Choice(chosen, " ".join(part for part in said if part))


def named(entry: Entry) -> str:
    """A candidate in a sentence."""
    return f"{entry.title}, tuned," if entry.tuned else entry.title


def _milliseconds(entry: Entry) -> float:
    return entry.serving.p50_ms if entry.serving else float("inf")


def _is_quick(entry: Entry, most: float) -> bool:
    return not most or _milliseconds(entry) <= most


def _is_cheaper(entry: Entry, than: Entry) -> bool:
    if entry.serving is None or than.serving is None:
        return False
    if entry.serving.in_worker != than.serving.in_worker:
        return entry.serving.in_worker
    own, other = _milliseconds(entry), _milliseconds(than)
    return own <= CHEAPER * other and other - own >= LEAST_SAVED_MS


def _is_behind(leader: Entry, entry: Entry, ranking: Ranking) -> bool:
    """Whether the lead is more than chance; of one fold nobody knows, so the order counts."""
    lead = ranking.lead(leader, entry)
    return lead is None or lead.p_value is None or lead.significant(ranking.confidence)


def _lead_said(leader: Entry, ranking: Ranking) -> str:
    mean = leader.mean(ranking.metric)
    return f"{named(leader)} has the best {ranking.metric} of the folds, {mean:.4g}."


def _rejected_said(fit: Sequence[Entry], allowed: Sequence[Entry], most: float) -> list[str]:
    slow = [named(each) for each in fit if each not in allowed]
    return [f"Too slow for {most:g} ms a row: {', '.join(slow)}."] if slow else []


def _cheaper_said(leader: Entry, chosen: Entry, ranking: Ranking) -> str:
    lead = ranking.lead(leader, chosen)
    assert lead is not None
    assert lead.p_value is not None
    return (
        f"Its lead of {lead.difference:.3g} over {named(chosen)} is not significant "
        f"(p = {lead.p_value:.2f}), and that serves a row {_served(chosen)} "
        f"instead of {_served(leader)}: it is chosen."
    )


def _served(entry: Entry) -> str:
    engine = entry.serving.engine if entry.serving else ""
    return f"in {_milliseconds(entry):.3g} ms by the engine {engine}"


def _baseline_said(chosen: Entry, entries: Sequence[Entry], ranking: Ranking) -> str:
    """A champion that is no better than guessing is told to be so."""
    baseline = next((each for each in entries if each.baseline and each.failed is None), None)
    lead = ranking.lead(chosen, baseline) if baseline else None
    if lead is None or (lead.difference > 0 and lead.significant(ranking.confidence)):
        return ""
    if lead.difference <= 0:
        return f"The baseline is no worse ({lead.difference:+.3g})."
    return f"It is not significantly better than the baseline ({lead.difference:+.3g})."


def _why_none(entries: Sequence[Entry], fit: Sequence[Entry], most: float) -> str:
    if fit:
        quickest = min(fit, key=_milliseconds)
        return (
            f"no candidate serves a row within {most:g} ms; {named(quickest)} takes "
            f"{_milliseconds(quickest):.3g} ms"
        )
    reasons = [f"{each.title}: {each.failed}" for each in entries if each.failed]
    return f"no candidate can be chosen. {'; '.join(reasons)}"[:2_000]
