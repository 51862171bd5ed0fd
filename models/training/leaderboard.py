"""The candidates as the evaluation document lists them, the best first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from models.training.entries import Entry, Ranking
from models.training.intervals import interval_of, within_range
from models.training.significance import Lead


def leaderboard(entries: Sequence[Entry], ranking: Ranking, chosen: Entry) -> list[dict[str, Any]]:
    """Every entry with its rank, and how far it is behind the first."""
    ordered = ranking.order(entries)
    return [
        {
            "rank": rank,
            "algorithm": entry.algorithm,
            "title": entry.title,
            "params": dict(entry.params),
            "tuned": entry.tuned,
            "baseline": entry.baseline,
            "failed": entry.failed,
            "metrics": _metrics(entry, ranking),
            "unconverged": entry.unconverged,
            "fold_params": [dict(each) for each in entry.fold_params],
            "fit_seconds": entry.fit_seconds,
            "serving": entry.serving.as_json() if entry.serving else None,
            "behind": _behind(ordered[0], entry, ranking),
            "chosen": entry is chosen,
        }
        for rank, entry in enumerate(ordered, 1)
    ]


def _metrics(entry: Entry, ranking: Ranking) -> dict[str, Any]:
    names = {name: None for scores in entry.scores for name in scores}
    return {name: _metric(name, entry.of(name), ranking) for name in names}


def _metric(name: str, scores: Sequence[float | None], ranking: Ranking) -> dict[str, Any]:
    known = [score for score in scores if score is not None]
    interval = within_range(
        name,
        interval_of(known, test_share=ranking.test_share, confidence=ranking.confidence),
    )
    return {
        "mean": interval.value,
        "low": interval.low,
        "high": interval.high,
        "scores": list(scores),
    }


def _behind(first: Entry, entry: Entry, ranking: Ranking) -> dict[str, float | None] | None:
    if entry is first or entry.failed is not None:
        return None
    lead = ranking.lead(first, entry)
    return None if lead is None else _as_json(lead)


def _as_json(lead: Lead) -> dict[str, float | None]:
    values = {
        "difference": lead.difference,
        "low": lead.low,
        "high": lead.high,
        "p_value": lead.p_value,
    }
    return {n: v if v is not None and math.isfinite(v) else None for n, v in values.items()}
