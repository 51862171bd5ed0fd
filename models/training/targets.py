"""What is to be predicted: the task, and each row's label or number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from config.prose import one_line
from models.errors import DataRefused
from models.training.cells import as_texts, distinct, numbers_in, truth_in
from models.training.findings import Raw, lines_of, note
from models.training.inference import FEW_VALUES, LARGEST, ODD_SHARE
from models.training.spec import Task
from models.training.study import Finding

LEAST_ROWS: Final = 20
MOST_CLASSES: Final = 1_000
LONGEST_LABEL: Final = 200
SAY_TASK: Final = "say task in the spec to have it otherwise"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Target:
    """The values of the rows in `kept`, which are those that have one."""

    task: Task
    values: NDArray[Any]
    kept: NDArray[np.bool_]
    classes: tuple[Any, ...]
    findings: tuple[Finding, ...]


def target_of(raw: Raw, *, task: Task | None) -> Target:
    """Read the target; raises DataRefused if nothing can be learnt of it."""
    plain, odd = _plain(raw, task)
    inferred, why = _task(plain)
    if (task or inferred) == "regression":
        target = _regression(raw, plain, odd)
    else:
        target = _classification(raw, plain)
    findings = (*_missing(raw, target.kept), *target.findings)
    if task is None:
        findings = (*findings, note(raw.name, f"the task is {inferred}: {why}", SAY_TASK))
    rows = int(target.kept.sum())
    if rows < LEAST_ROWS:
        problem = f"{rows} rows have a target, at least {LEAST_ROWS} are needed"
        raise DataRefused(problem, report=lines_of(findings))
    return Target(
        task=target.task,
        values=target.values,
        kept=target.kept,
        classes=target.classes,
        findings=findings,
    )


def _plain(raw: Raw, task: Task | None) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Texts that are numbers or truth values as these; and the places of cells that are not."""
    none = np.zeros(0, np.int64)
    if raw.cells.dtype != object:
        return raw.cells, none
    truth = truth_in(raw.cells)
    if truth is not None and task != "regression":
        return truth if np.isnan(truth).any() else truth.astype(np.bool_), none
    numbers = numbers_in(raw.cells)
    known = numbers.values[~np.isnan(numbers.values)]
    amounts = len(np.unique(known)) > FEW_VALUES and len(numbers.odd) <= ODD_SHARE * len(raw.cells)
    all_numbers = len(known) > 0 and not len(numbers.odd) and not numbers.coded
    if task == "regression" or all_numbers or (task is None and amounts):
        return numbers.values, numbers.odd
    return raw.cells, none


def _task(plain: NDArray[Any]) -> tuple[Task, str]:
    if plain.dtype == object:
        return "classification", "the target is made of texts"
    if plain.dtype == np.bool_:
        return "classification", "the target is true or false"
    known = plain[np.isfinite(plain)] if plain.dtype.kind == "f" else plain
    different = len(np.unique(known))
    if (known == np.round(known)).all() and different <= FEW_VALUES:
        return "classification", f"the target has {different} different whole numbers"
    return "regression", f"the target has {different} different numbers"


def _regression(raw: Raw, plain: NDArray[Any], odd: NDArray[np.int64]) -> Target:
    if plain.dtype == object:
        raise DataRefused(f"the target {raw.name!r} has no number")
    numbers = plain.astype(np.float64)
    with np.errstate(invalid="ignore"):
        fit = np.abs(numbers) <= LARGEST
        beyond = np.flatnonzero(np.abs(numbers) > LARGEST)
    findings = []
    if len(odd):
        what = "a target that is no number: its row is not trained on"
        findings.append(raw.finding(what, odd, "correct the cells"))
    if len(beyond):
        what = "a target that is infinite or too large: its row is not trained on"
        findings.append(raw.finding(what, beyond, "correct the cells"))
    if len(np.unique(numbers[fit])) < 2:
        raise DataRefused(f"the target {raw.name!r} does not vary", report=lines_of(findings))
    return Target(
        task="regression", values=numbers[fit], kept=fit, classes=(), findings=tuple(findings)
    )


def _classification(raw: Raw, plain: NDArray[Any]) -> Target:
    kept = distinct(plain)[0] >= 0
    findings: tuple[Finding, ...] = ()
    if plain.dtype.kind == "f" and np.isinf(plain).any():
        beyond = np.flatnonzero(np.isinf(plain))
        kept[beyond] = False
        what = "a target that is infinite: its row is not trained on"
        findings = (raw.finding(what, beyond, "correct the cells"),)
    truth = raw.cells.dtype == object and truth_in(raw.cells) is not None
    labels = _labels(plain[kept], truth=truth)
    classes = tuple(np.unique(labels).tolist())
    if len(classes) < 2:
        said = f"it is {one_line(str(classes[0]), 40)!r} in every row" if classes else "it is empty"
        raise DataRefused(f"the target {raw.name!r} does not vary: {said}")
    if len(classes) > min(MOST_CLASSES, len(labels) / 2):
        raise DataRefused(
            f"the target {raw.name!r} has {len(classes)} different labels in {len(labels)} rows",
            'say task = "regression" if they are numbers, or name another target',
        )
    return Target(
        task="classification", values=labels, kept=kept, classes=classes, findings=findings
    )


def _labels(plain: NDArray[Any], *, truth: bool) -> NDArray[Any]:
    """Labels as texts, whole numbers or truth values."""
    if truth:
        return plain.astype(np.bool_)
    if plain.dtype.kind == "f" and (plain == np.round(plain)).all():
        return plain.astype(np.int64)
    if plain.dtype.kind in "bi":
        return plain
    texts = as_texts(plain)
    longest = max((len(text) for text in texts.tolist()), default=0)
    if longest > LONGEST_LABEL:
        raise DataRefused(f"a label of the target has {longest} characters")
    return texts.astype(np.str_)


def _missing(raw: Raw, kept: NDArray[np.bool_]) -> tuple[Finding, ...]:
    """The rows without a target: told, and not trained on."""
    empty = np.flatnonzero((distinct(raw.cells)[0] < 0) & ~kept)
    if not len(empty):
        return ()
    what = "without a target, a row is not trained on"
    return (raw.finding(what, empty, "fill the cells in", shown=False),)
