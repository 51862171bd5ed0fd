"""The evaluation of a training as JSON: what was compared, tuned and chosen, and on which data."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from models.library_versions import running_version
from models.training.choice import Choice
from models.training.entries import Entry, Ranking
from models.training.folds import Rows, splitting_of
from models.training.leaderboard import leaderboard
from models.training.study import Study
from models.training.tuning.nesting import Search

SCHEMA: Final = 1
LIBRARIES: Final = ("scikit-learn", "numpy", "pandas", "scipy", "optuna")


def document(
    study: Study,
    sides: tuple[Rows, Rows],
    entries: Sequence[Entry],
    searches: Sequence[Search],
    choice: Choice,
    ranking: Ranking,
) -> dict[str, Any]:
    """All but the verdict of the rows held out; a number that does not exist is None."""
    spec = study.spec
    return {
        "schema": SCHEMA,
        "model": spec.model,
        "task": study.task,
        "seed": spec.seed,
        "created_at": time.time(),
        "spec": spec.as_json(),
        "data": _data(study, sides),
        "validation": _validation(study),
        "metric": ranking.metric,
        "leaderboard": leaderboard(entries, ranking, choice.entry),
        "searches": [each.as_json() for each in searches],
        "champion": {
            "algorithm": choice.entry.algorithm,
            "params": dict(choice.entry.params),
            "why": choice.why,
        },
        "libraries": {name: running_version(name) for name in LIBRARIES},
    }


def _data(study: Study, sides: tuple[Rows, Rows]) -> dict[str, Any]:
    train, held = sides
    of_classes = study.task == "classification"
    counts = Counter(str(label) for label in study.target.tolist()) if of_classes else None
    return {
        "rows": study.rows,
        "digest": study.digest,
        "train_rows": len(train),
        "held_rows": len(held),
        "target": study.spec.target,
        "classes": list(study.classes) if of_classes else None,
        "class_counts": None if counts is None else {str(c): counts[str(c)] for c in study.classes},
        "columns": columns(study),
        "findings": [asdict(each) for each in study.findings],
    }


def columns(study: Study) -> list[dict[str, Any]]:
    """What each column is taken for, and why."""
    return [
        {
            "name": plan.name,
            "kind": plan.kind,
            "reason": plan.reason,
            "missing": plan.missing,
            "unique": plan.unique,
        }
        for plan in study.plans
    ]


def _validation(study: Study) -> dict[str, Any]:
    wish = study.spec.validation
    kind = splitting_of(study)
    repeats = 1 if kind == "time" else wish.repeats
    return {"kind": kind, "folds": wish.folds, "repeats": repeats, "holdout": wish.holdout}
