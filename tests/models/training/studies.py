"""Small real studies, made by hand, and pipelines that are fitted to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from models.training.fitting import targets_of
from models.training.spec import read_spec
from models.training.study import ColumnPlan, Finding, Study

ROWS = 160
HELD = np.arange(0, ROWS, 3)
TRAIN = np.setdiff1d(np.arange(ROWS), HELD)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A study, a pipeline fitted to two thirds of it, and the third."""

    study: Study
    fitted: Any
    train: NDArray[np.intp]
    held: NDArray[np.intp]


def study_of_two(*, columns: tuple[str, str] = ("size", "colour"), **spec: Any) -> Study:
    """Two classes that a number and a text tell apart, not always; cells are missing in both."""
    frame, rng = _frame(columns)
    signal = frame[columns[0]].fillna(0.0) + (frame[columns[1]] == "red") * 1.0
    target = np.where(signal + rng.normal(0, 0.6, ROWS) > 0.4, "yes", "no").astype(object)
    return _study(frame, target, ("no", "yes"), spec)


def study_of_three(**spec: Any) -> Study:
    """Three classes, of numbers."""
    frame, rng = _frame(("size", "colour"))
    signal = frame["size"].fillna(0.0).to_numpy() + rng.normal(0, 0.4, ROWS)
    return _study(frame, np.digitize(signal, [-0.5, 0.5]), (0, 1, 2), spec)


def study_of_numbers(**spec: Any) -> Study:
    """A number to be told."""
    frame, rng = _frame(("size", "colour"))
    target = 3 * frame["size"].fillna(0.0).to_numpy() + (frame["colour"] == "red").to_numpy() * 2.0
    return _study(frame, target + rng.normal(0, 0.5, ROWS), (), {"task": "regression", **spec})


def case_of(study: Study) -> Case:
    """Fit a pipeline with a small forest to two thirds of a study."""
    texts = [name for name in study.features if study.features[name].dtype == object]
    encode = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    prepare = ColumnTransformer([("texts", encode, texts)], remainder="passthrough")
    forest = RandomForestRegressor if study.task == "regression" else RandomForestClassifier
    fitted = Pipeline([("prepare", prepare), ("model", forest(10, max_depth=4, random_state=0))])
    fitted.fit(study.features.iloc[TRAIN], targets_of(study, TRAIN))
    return Case(study=study, fitted=fitted, train=TRAIN, held=HELD)


def evaluation_of(study: Study, **changed: Any) -> dict[str, Any]:
    """What a training knows before it reports: data, leaderboard, champion."""
    return {
        "schema": 1,
        "model": study.spec.model,
        "task": study.task,
        "seed": study.spec.seed,
        "created_at": 1_700_000_000,
        "spec": study.spec.as_json(),
        "data": _data(study),
        "validation": {"kind": "stratified", "folds": 5, "repeats": 1},
        "metric": "rmse" if study.task == "regression" else "balanced_accuracy",
        "leaderboard": _leaderboard(study),
        "searches": [_search()],
        "champion": {"algorithm": "forest", "params": {"max_depth": 4}, "why": "It leads."},
        "libraries": {"scikit-learn": "1.9.1"},
        "seconds": 12.5,
        **changed,
    }


def _frame(columns: tuple[str, str]) -> tuple[pd.DataFrame, np.random.Generator]:
    rng = np.random.default_rng(5)
    size = rng.normal(0, 1, ROWS)
    colour = rng.choice(np.array(["red", "green", "blue", None], dtype=object), ROWS)
    size[rng.random(ROWS) < 0.05] = np.nan
    frame = pd.DataFrame({columns[0]: size})
    frame[columns[1]] = pd.Series(colour, dtype=object)
    return frame, rng


def _study(
    frame: pd.DataFrame, target: NDArray[Any], classes: tuple[Any, ...], spec: Mapping[str, Any]
) -> Study:
    read = read_spec({"model": "demo", "target": "answer", "seed": 7, **spec})
    numeric = {name for name in frame if frame[name].dtype == np.float64}
    return Study(
        spec=read,
        task="classification" if classes else "regression",
        features=frame,
        target=target,
        classes=classes,
        plans=tuple(
            ColumnPlan(
                name=str(name),
                kind="numeric" if name in numeric else "categorical",
                reason="all of its values are numbers" if name in numeric else "few values",
                missing=int(frame[name].isna().sum()),
                unique=int(frame[name].nunique()),
            )
            for name in frame
        ),
        findings=(Finding(severity="warning", where="size", what="cells are missing", count=9),),
        splitting="stratified" if classes else "plain",
        digest="ab" * 32,
    )


def _data(study: Study) -> dict[str, Any]:
    counts = {str(each): int((study.target == each).sum()) for each in study.classes}
    return {
        "rows": study.rows,
        "digest": study.digest,
        "train_rows": len(TRAIN),
        "held_rows": len(HELD),
        "target": study.spec.target,
        "classes": list(study.classes) or None,
        "class_counts": counts or None,
        "columns": [
            {
                "name": plan.name,
                "kind": plan.kind,
                "reason": plan.reason,
                "missing": plan.missing,
                "unique": plan.unique,
            }
            for plan in study.plans
        ],
        "findings": [
            {
                "severity": each.severity,
                "where": each.where,
                "what": each.what,
                "remedy": each.remedy,
                "count": each.count,
            }
            for each in study.findings
        ],
    }


def _leaderboard(study: Study) -> list[dict[str, Any]]:
    metric = "rmse" if study.task == "regression" else "balanced_accuracy"
    best = (0.6, 0.7) if study.task == "regression" else (0.83, 0.79)
    worst = 2.6 if study.task == "regression" else 0.5
    return [
        _entry(1, "forest", metric, best[0], chosen=True),
        _entry(2, "linear", metric, best[1], behind={"low": 0.01, "high": 0.07, "p": 0.02}),
        _entry(3, "nearest", metric, None, failed="it did not converge"),
        _entry(4, "baseline", metric, worst, behind={"low": 0.2, "high": 0.4, "p": 0.0001}),
    ]


def _entry(
    rank: int,
    algorithm: str,
    metric: str,
    mean: float | None,
    *,
    chosen: bool = False,
    failed: str | None = None,
    behind: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    told = mean is not None
    scores = [mean - 0.02, mean, mean + 0.02] if mean is not None else []
    serving = {"engine": "trees", "p50_ms": 0.02, "p99_ms": 0.05, "bytes": 900, "reason": ""}
    return {
        "rank": rank,
        "algorithm": algorithm,
        "title": algorithm.capitalize(),
        "params": {"max_depth": 4} if chosen else {},
        "tuned": chosen,
        "baseline": algorithm == "baseline",
        "failed": failed,
        "metrics": {metric: {"mean": mean, "low": scores[0], "high": scores[-1], "scores": scores}}
        if told
        else {},
        "fit_seconds": 0.31,
        "serving": serving if told else None,
        "behind": behind
        and {
            "difference": 0.04,
            "low": behind["low"],
            "high": behind["high"],
            "p_value": behind["p"],
        },
        "chosen": chosen,
    }


def _search() -> dict[str, Any]:
    found = (0.71, 0.78, 0.74, 0.83, 0.80)
    trials = [
        {"number": at, "params": {"max_depth": at + 1}, "score": score, "seconds": 0.2}
        for at, score in enumerate(found)
    ]
    return {"algorithm": "forest", "method": "random", "trials": trials, "stopped": "trials"}
