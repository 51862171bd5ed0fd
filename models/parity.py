"""The proof that an engine answers as the model's own library does."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation import Predictor
from models.differences import (
    SMALLEST_PART,
    SMALLEST_PART_OF_SINGLE,
    labels_differing,
    largest,
    relative_error,
)
from models.tables import Features, Table, row_count, stack, take

TOLERANCE: Final = 1e-9
SINGLE_ROWS: Final = 16
MOST_REFUSALS: Final = 32  # rows of one batch that are sought out one by one
FEW_ROWS: Final = 16
UNSETTLED: Final = 16.0  # times what an answer moves by, for it is one draw of many

Answers = NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodParity:
    """How two predictors' answers to one method compare."""

    rows: int
    labels_differing: int
    relative_error: float
    agrees: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """How two predictors' answers to the same rows compare; relative errors are the largest.

    `rows` are those that the model answers, `refused` those that both refuse. A row that one
    refuses and the other answers counts among `labels_differing`.

    What was no difference stands here too. An error is relative to no less than `smallest_part`
    of the usual answer (of answers in float32 `smallest_part_of_single`); at rows of extreme
    sizes, `last_bit_changes` times what the model's own answer moves by, when its input moves by
    one bit, are rounding.
    """

    rows: int
    seed: int
    tolerance: float
    labels_differing: int
    relative_error: float
    agrees: bool
    refused: int = 0
    methods: Mapping[str, MethodParity] = field(default_factory=dict)
    smallest_part: float = SMALLEST_PART
    smallest_part_of_single: float = SMALLEST_PART_OF_SINGLE
    last_bit_changes: float = UNSETTLED

    def as_json(self) -> dict[str, Any]:
        """The report as plain JSON types."""
        return asdict(replace(self, methods=dict(self.methods)))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Parity:
        """Read what `as_json` wrote."""
        methods = {name: MethodParity(**report) for name, report in value["methods"].items()}
        return cls(**{**value, "methods": methods})


@dataclass(frozen=True, slots=True)
class _Batch:
    rows: Features
    answers: Mapping[str, Answers]  # lacks a method that refuses these rows
    unsettled: Mapping[str, Answers]  # by how much an answer is rounding, where that is asked


@dataclass(frozen=True, slots=True)
class Reference:
    """Rows with a model's own answers to them, by method, and rows that it refuses."""

    batches: tuple[_Batch, ...]
    refused: tuple[Features, ...]  # one row each

    @property
    def rows(self) -> int:
        """How many rows there are answers to."""
        return sum(row_count(batch.rows) for batch in self.batches)

    def usual(self, method: str) -> float:
        """The size of a method's answers to ordinary rows, in the middle."""
        sizes = [
            largest(batch.answers[method]).ravel()
            for batch in self.batches
            if method in batch.answers and not batch.unsettled
        ]
        known = np.concatenate(sizes) if sizes else np.zeros(0)
        known = known[np.isfinite(known)]
        return float(np.median(known)) if len(known) else 0.0

    def with_more(self, other: Reference) -> Reference:
        """Both references in one."""
        return Reference(self.batches + other.batches, self.refused + other.refused)


def refer(
    own: Predictor,
    methods: Sequence[str],
    rows: Sequence[Features],
    *,
    unsettled_by: int | None = None,
) -> Reference:
    """Ask a model itself: in batches, then some rows of each one by one.

    The first method decides which rows the model takes. Given a seed, the model is asked again
    about rows that differ in the last bit of their numbers: what its answers change by is not
    settled by the rows, and no difference from another's answers.
    """
    batches: list[_Batch] = []
    refused: list[Features] = []
    random = np.random.default_rng(unsettled_by)
    for given in rows:
        taken, not_taken = _sorted(own, methods[0], given)
        refused.extend(not_taken)
        for batch in [*taken, *_some_alone(taken, SINGLE_ROWS // len(rows))]:
            answers = {method: _ask(own, method, batch) for method in methods}
            known = {method: found for method, found in answers.items() if found is not None}
            unsettled = {} if unsettled_by is None else _unsettled(own, batch, known, random)
            batches.append(_Batch(batch, known, unsettled))
    return Reference(tuple(batches), tuple(refused))


def compare_with(
    reference: Reference,
    other: Predictor,
    methods: Sequence[str],
    *,
    labels: Collection[str] = (),
    seed: int,
    tolerance: float = TOLERANCE,
) -> Parity:
    """Compare a model's own answers with another's.

    `labels` are methods whose answers name something even where they are numbers: they are
    compared to the last bit.
    """
    reports = {
        method: _compare_method(reference, other, method, method in labels, tolerance)
        for method in methods
    }
    answering = _answering(reference, other, methods)
    if answering:
        reports = {m: _with_differing(report, answering) for m, report in reports.items()}
    return joined(reports, reference.rows, len(reference.refused) - answering, seed, tolerance)


def joined(
    reports: Mapping[str, MethodParity], rows: int, refused: int, seed: int, tolerance: float
) -> Parity:
    """The report on several methods."""
    return Parity(
        rows=rows,
        seed=seed,
        tolerance=tolerance,
        labels_differing=sum(report.labels_differing for report in reports.values()),
        relative_error=max((r.relative_error for r in reports.values()), default=0.0),
        agrees=all(report.agrees for report in reports.values()),
        refused=refused,
        methods=reports,
    )


def _with_differing(report: MethodParity, rows: int) -> MethodParity:
    return replace(report, labels_differing=report.labels_differing + rows, agrees=False)


def _compare_method(
    reference: Reference, other: Predictor, method: str, exactly: bool, tolerance: float
) -> MethodParity:
    rows = differing = 0
    error = 0.0
    usual = reference.usual(method)
    for batch in reference.batches:
        own = batch.answers.get(method)
        answers = _ask(other, method, batch.rows)
        if own is None:
            continue
        rows += row_count(batch.rows)
        if answers is None:
            differing += row_count(batch.rows)
            continue
        loose = batch.unsettled.get(method)
        differing += labels_differing(own, answers, loose, exactly=exactly)
        error = max(error, 0.0 if exactly else relative_error(own, answers, loose, usual))
    agrees = rows > 0 and not differing and error <= tolerance
    return MethodParity(rows=rows, labels_differing=differing, relative_error=error, agrees=agrees)


def _answering(reference: Reference, other: Predictor, methods: Sequence[str]) -> int:
    """How many of the rows that the model refuses the other answers."""
    if not methods:
        return 0
    answers = (_ask(other, methods[0], row) for row in reference.refused)
    return sum(answer is not None for answer in answers)


def _ask(predictor: Predictor, method: str, rows: Features) -> Answers | None:
    with np.errstate(all="ignore"):
        try:
            return predictor.answer(method, rows)
        except Exception:  # noqa: BLE001  whatever a model raises is its refusal
            return None


def _sorted(own: Predictor, method: str, rows: Features) -> tuple[list[Features], list[Features]]:
    """Rows that the model takes, in batches, and those that it refuses, one by one.

    A model refuses a batch for one bad row. Batches are halved until the bad rows stand alone;
    once many have been found, few rows that are still refused together are left out, and all of
    them if not one was taken.
    """
    taken: list[Features] = []
    refused: list[Features] = []
    waiting = [rows]
    while waiting:
        part = waiting.pop()
        count = row_count(part)
        if _ask(own, method, part) is not None:
            taken.append(part)
        elif len(refused) < MOST_REFUSALS and count == 1:
            refused.append(part)
        elif len(refused) < MOST_REFUSALS or (taken and count > FEW_ROWS):
            half = count // 2
            waiting.extend((take(part, half, count), take(part, 0, half)))
    return ([stack(taken)] if taken else []), refused


def _some_alone(taken: list[Features], rows: int) -> Iterator[Features]:
    for part in taken:
        count = row_count(part)
        for index in range(0, count, max(1, count // max(1, rows))):
            yield take(part, index, index + 1)


def _unsettled(
    own: Predictor, rows: Features, answers: Mapping[str, Answers], random: np.random.Generator
) -> dict[str, Answers]:
    """How far each answer moves when the rows' numbers move by their last bit."""
    moved = _moved(rows, random)
    found = {}
    for method, answer in answers.items():
        near = _ask(own, method, moved)
        if near is None or near.shape != answer.shape:
            continue
        if answer.dtype.kind == "f":
            with np.errstate(all="ignore"):
                found[method] = UNSETTLED * np.nan_to_num(np.abs(near - answer), posinf=0.0)
        else:
            found[method] = (near != answer).astype(np.float64)
    return found


def _moved(rows: Features, random: np.random.Generator) -> Features:
    def near(numbers: NDArray[Any]) -> NDArray[Any]:
        bits = random.choice((-1.0, 0.0, 1.0), numbers.shape) * np.finfo(np.float64).eps
        moved: NDArray[Any] = numbers + numbers * bits
        return moved

    if isinstance(rows, Table):
        columns = (c if c.dtype == object else near(c) for c in rows.columns)
        return Table(tuple(columns))
    return near(rows)
