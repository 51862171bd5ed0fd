"""Rows that are there more than once, and labels that hardly are."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.training.findings import TABLE, named_rows, note, warning
from models.training.inference import FEW_VALUES
from models.training.spec import Splitting
from models.training.study import ColumnPlan, Finding

RARE_SHARE: Final = 0.1
SHOWN: Final = 10


def find_repetitions(
    features: pd.DataFrame,
    target: NDArray[Any],
    rows: NDArray[np.int64],
    *,
    plans: tuple[ColumnPlan, ...],
) -> tuple[Finding, ...]:
    """Tell of rows that are copies, and of the same features with different targets.

    In a table of few categories rows are alike by chance: that is noted only.
    """
    hashed = pd.util.hash_pandas_object(features, index=False).to_numpy()
    answers = pd.factorize(target)[0]
    table = pd.DataFrame({"features": hashed, "target": answers})
    copies = table.duplicated().to_numpy()
    per_row = table.groupby("features")["target"].transform("nunique").to_numpy()
    tell = warning if any(_tells_rows_apart(plan) for plan in plans) else note
    findings = []
    if copies.any():
        count = int(copies.sum())
        told = (
            f"copies of other rows ({named_rows(rows[copies])}): where one is trained on and "
            "another is judged on, a model seems better than it is"
        )
        remedy = "remove them, or keep what belongs together apart with validation.group"
        findings.append(tell(TABLE, told, remedy, count=count))
    if (per_row > 1).any():
        at = per_row > 1
        told = f"features are the same where targets are not ({named_rows(rows[at])})"
        remedy = "no model can answer both: see whether a column is missing"
        findings.append(tell(TABLE, told, remedy, count=int(at.sum())))
    return tuple(findings)


def find_imbalance(
    target: NDArray[Any], *, name: str, balanced: bool, folds: int
) -> tuple[Finding, ...]:
    """Tell of labels that are much rarer than others, or too rare to be judged."""
    labels, counts = np.unique(target, return_counts=True)
    shares = ", ".join(
        f"{label!s:.40}: {count}" for label, count in zip(labels, counts, strict=True)
    )
    shares = shares if len(labels) <= SHOWN else f"from {counts.min()} to {counts.max()} rows"
    findings = []
    if counts.min() < RARE_SHARE * len(target) and counts.max() > counts.min() * 2:
        remedy = "judge by balanced accuracy, F1 or PR AUC" + (
            "" if balanced else "; balance = true weighs them alike"
        )
        told = f"its labels are not there equally often ({shares})"
        findings.append(warning(name, told, remedy, count=int(counts.min())))
    rare = [f"{label!s:.40}" for label, count in zip(labels, counts, strict=True) if count < folds]
    if rare:
        told = f"{', '.join(rare[:SHOWN])}: fewer than {folds} rows, so that some folds have none"
        findings.append(warning(name, told, "gather more, or take them together", count=len(rare)))
    return tuple(findings)


def resolved(kind: Splitting, *, grouped: bool, ordered: bool, least: int) -> Splitting:
    """How rows are divided where the spec leaves it open; `least` rows have the rarest label."""
    if kind != "auto":
        return kind
    if grouped:
        return "grouped"
    if ordered:
        return "time"
    return "stratified" if least > 1 else "plain"


def _tells_rows_apart(plan: ColumnPlan) -> bool:
    return plan.kind in ("numeric", "text", "date") and plan.unique > FEW_VALUES
