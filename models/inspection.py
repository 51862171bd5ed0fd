"""Reads what a fitted estimator takes and gives, by looking at it and by asking it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import EstimatorRefused
from models.estimators import NativePredictor
from models.graph_tensors import named
from models.landmarks import landmarks_of
from models.probes import Source
from models.signature import METHODS, AnswerKind, Label, Output, Signature, Task
from models.tables import Features, Table, row_count, take

TASKS: Final[dict[str, Task]] = {
    "classifier": "classification",
    "regressor": "regression",
    "clusterer": "clustering",
    "outlier_detector": "outlier",
}
KINDS: Final[dict[str, AnswerKind]] = {
    "f": "number",
    "i": "integer",
    "u": "integer",
    "b": "boolean",
}
TRIAL_ROWS: Final = 8
NOT_ONCE: Final = "it does not answer once for each row"
MOST_WIDTH: Final = 1_000_000
MOST_CLASSES: Final = 100_000
MOST_KNOWN: Final = 1_000  # values of a column that a signature lists
MOST_ALONE: Final = 64  # columns that are tried one by one for missing values


@dataclass(frozen=True, slots=True)
class Inspected:
    """A signature, and the methods that the estimator has but cannot be asked, with the reasons."""

    signature: Signature
    refused: dict[str, str]


def inspect(own: NativePredictor, given: Features | None = None) -> Inspected:
    """Read a fitted estimator; raises EstimatorRefused if it cannot serve.

    `given` are rows that the estimator should take; without them it is asked about rows within
    its own ranges.
    """
    kind = type(own.estimator).__name__
    trials = list(_trials(own, given))
    methods, refused = _methods(own, trials)
    if not methods:
        raise EstimatorRefused(kind, _why_none(own, refused))
    columns = own.columns
    signature = Signature(
        task=_task(own.estimator, methods),
        columns=columns.count,
        feature_names=columns.names,
        kinds=None if columns.numbers_alone else columns.kinds,
        categories={at: v for at, v in columns.known.items() if len(v) <= MOST_KNOWN},
        missing=_takes_missing(own, trials, next(iter(methods))),
        classes=_classes(own.estimator),
        methods=methods,
    )
    parts = getattr(own.estimator, "parts_", None)
    parts = parts if isinstance(parts, dict) else {}
    return Inspected(named(signature, columns.inputs, parts), refused)


def _trials(own: NativePredictor, given: Features | None) -> Iterator[Features]:
    """Few rows each, likely ones first: a model may refuse those outside its domain."""
    if given is not None and row_count(given):
        yield take(given, 0, TRIAL_ROWS)
    source = Source(own.columns, landmarks_of(own.estimator), given=given, seed=0)
    yield source.within(TRIAL_ROWS)
    yield source.known(TRIAL_ROWS)
    for value in (1.0, 0.5, 0.0):
        yield source.filled(value, TRIAL_ROWS)


def _methods(
    own: NativePredictor, trials: list[Features]
) -> tuple[dict[str, Output], dict[str, str]]:
    answered: dict[str, Output] = {}
    refused: dict[str, str] = {}
    for method in METHODS:
        if method in own.methods:
            output = _first_answer(own, method, trials)
            if isinstance(output, Output):
                answered[method] = output
            else:
                refused[method] = output
    return answered, refused


def _first_answer(own: NativePredictor, method: str, trials: list[Features]) -> Output | str:
    """What a method answers to the first rows that it takes, or why it takes none."""
    reasons = []
    for rows in trials:
        try:
            many = _asked(own, method, rows)
            again = _asked(own, method, rows)
            one = _asked(own, method, take(rows, 0, 1))
        except Exception as error:  # noqa: BLE001  whatever a model raises is its refusal
            reasons.append(f"it fails: {type(error).__name__}: {error}"[:200])
            continue
        if not _same(many, again):
            return "it does not answer twice alike"
        if one.shape != (1, *many.shape[1:]):
            return NOT_ONCE
        return _output(many, row_count(rows))
    return reasons[0]


def _asked(own: NativePredictor, method: str, rows: Features) -> NDArray[Any]:
    with np.errstate(all="ignore"):
        return own.answer(method, rows)


def _same(some: NDArray[Any], others: NDArray[Any]) -> bool:
    numbers = some.dtype.kind == "f"
    return some.shape == others.shape and bool(np.array_equal(some, others, equal_nan=numbers))


def _output(answers: NDArray[Any], rows: int) -> Output | str:
    if answers.shape[:1] != (rows,) or answers.ndim > 2:
        return NOT_ONCE
    width = None if answers.ndim == 1 else int(answers.shape[1])
    if width is not None and not 0 < width <= MOST_WIDTH:
        return f"it answers {width} columns"
    kind = KINDS.get(answers.dtype.kind) or _kind_of_objects(answers)
    return Output(kind, width) if kind else f"its answers are of the dtype {answers.dtype}"


def _kind_of_objects(answers: NDArray[Any]) -> AnswerKind | None:
    if answers.dtype.kind == "U":
        return "text"
    kinds = {type(value) for value in answers.ravel().tolist()} if answers.dtype == object else {}
    return "text" if kinds == {str} else None


def _why_none(own: NativePredictor, refused: dict[str, str]) -> str:
    if refused:
        return "; ".join(f"{method}: {reason}" for method, reason in refused.items())[:1000]
    if callable(getattr(own.estimator, "fit_predict", None)) or callable(
        getattr(own.estimator, "fit_transform", None)
    ):
        return "it answers the rows that it was fitted on, and has no method for new ones"
    return f"it has none of the methods {', '.join(METHODS)}"


def _task(estimator: Any, methods: dict[str, Output]) -> Task:
    tags = getattr(estimator, "__sklearn_tags__", None)
    try:
        kind = str(tags().estimator_type) if callable(tags) else ""
    except Exception:  # noqa: BLE001  tags are computed by what the file says
        kind = ""
    if "predict" in methods and kind in TASKS:
        return TASKS[kind]
    return "transform" if next(iter(methods)) == "transform" else "other"


def _classes(estimator: Any) -> tuple[Label, ...] | None:
    classes = getattr(estimator, "classes_", None)
    if not isinstance(classes, np.ndarray) or classes.ndim != 1 or len(classes) > MOST_CLASSES:
        return None
    labels = classes.tolist()
    plain = all(isinstance(label, str | int | float) for label in labels)
    return tuple(labels) if plain else None


def _takes_missing(own: NativePredictor, trials: list[Features], method: str) -> bool:
    """Whether rows with a missing value are answered, with numbers that can be sent."""
    accepted = next((rows for rows in trials if _answers(own, method, rows)), None)
    if accepted is None or own.columns.texts:
        return False
    count = own.columns.count
    several: Callable[[int], bool] = lambda at: own.columns.kinds[at] == "number"  # noqa: E731
    attempts = [set(range(count)), {at for at in range(count) if several(at)}]
    attempts.extend({at} for at in range(min(count, MOST_ALONE)))
    return any(_answers(own, method, _without(accepted, at)) for at in attempts if at)


def _answers(own: NativePredictor, method: str, rows: Features) -> bool:
    try:
        answers = _asked(own, method, rows)
    except Exception:  # noqa: BLE001  whatever a model raises is its refusal
        return False
    return answers.dtype.kind != "f" or bool(np.isfinite(answers).all())


def _without(rows: Features, absent: set[int]) -> Features:
    """The rows with nothing in some columns."""
    if not isinstance(rows, Table):
        emptied = rows.copy()
        emptied[:, list(absent)] = np.nan
        return emptied
    columns = list(rows.columns)
    for at in absent:
        column = columns[at]
        nothing = None if column.dtype == object else np.nan
        columns[at] = np.full(len(column), nothing, column.dtype)
    return Table(tuple(columns))
