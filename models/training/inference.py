"""What a column is taken for, and why: numbers, categories, an order, texts, dates, or no use."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from config.prose import one_line
from models.dates import form_of, read_date
from models.training.cells import Numbers, distinct, numbers_in, present_in, truth_in, where_not
from models.training.findings import Looked, Raw, note, warning
from models.training.preparation import MOST_MARKS
from models.training.scales import order_in
from models.training.spec import ColumnKind
from models.training.study import ColumnPlan, Finding

LARGEST: Final = 1e38  # trees and others compute in float32
EXACT: Final = 2.0**53
LEAST_IDS: Final = 20  # so few different values may be different by chance
FEW_VALUES: Final = 20
IDS_SHARE: Final = 0.95
ODD_SHARE: Final = 0.1  # of a column of numbers that may be none
DATED_SHARE: Final = 0.95
TEXT_WORDS: Final = 3.0
TEXT_SHARE: Final = 0.5
MOSTLY_MISSING: Final = 0.5
NAMED_ID: Final = re.compile(
    r"(?i:(.*[\W_])?(id|ids|uuid|guid|key|index|idx|row|nr|no|unnamed: 0|column_1))|.*[a-z](Id|ID)"
)
AS_IT_IS: Final = "say what it is under [columns] to have it otherwise"
SEND_NOTHING: Final = "correct the cells; callers of the model send null in their place"


def look_at(raw: Raw) -> Looked:
    """Take a column for what its cells look like."""
    if raw.cells.dtype != object:
        return _numbers(raw)
    numbers = numbers_in(raw.cells)
    known = present_in(raw.cells)
    if not known:
        return left_out(raw, "drop", "it is empty", told=True)
    truth = truth_in(raw.cells)
    if truth is not None:
        return _few(raw, truth, "true and false, as 1 and 0")
    if not numbers.coded and _are_numbers(numbers, known):
        return _written_numbers(raw, numbers)
    return _texts(raw, numbers)


def left_out(raw: Raw, kind: ColumnKind, reason: str, *, told: bool = False) -> Looked:
    """A column that is not learnt from."""
    plan = planned(raw.name, kind, reason, raw.cells)
    findings = (note(raw.name, f"the column is left out: {reason}"),) if told else ()
    return Looked(plan=plan, values=None, findings=findings)


def planned(
    name: str, kind: ColumnKind, reason: str, cells: NDArray[Any], order: tuple[str, ...] = ()
) -> ColumnPlan:
    """The plan of a column with its cells counted."""
    codes, known = distinct(cells)
    missing = int((codes < 0).sum())
    return ColumnPlan(
        name=name, kind=kind, reason=reason, missing=missing, unique=len(known), order=order
    )


def within_bounds(
    raw: Raw, values: NDArray[np.float64]
) -> tuple[NDArray[Any], tuple[Finding, ...]]:
    """Numbers without those that no model computes with, which are missing then, and told."""
    with np.errstate(invalid="ignore"):
        beyond = np.flatnonzero(np.abs(values) > LARGEST)
    if not len(beyond):
        return values, ()
    values = values.copy()
    values[beyond] = np.nan
    what = "what is infinite, or too large to compute with, is taken as missing"
    return values, (raw.finding(what, beyond, SEND_NOTHING),)


def missing_in_words(raw: Raw, numbers: Numbers) -> tuple[Finding, ...]:
    """What was taken for missing in a column of numbers, though the cell is not empty."""
    findings = []
    if len(numbers.stated):
        what = "a word for nothing is taken as missing"
        findings.append(raw.finding(what, numbers.stated, severity="note"))
    if len(numbers.odd):
        what = "what is no number is taken as missing"
        findings.append(raw.finding(what, numbers.odd, f"{SEND_NOTHING}; or {AS_IT_IS}"))
    return tuple(findings)


def _are_numbers(numbers: Numbers, known: int) -> bool:
    """Whether texts are numbers, but for few: of which there are more than of other values."""
    values = numbers.values[~np.isnan(numbers.values)]
    if not len(values):
        return not len(numbers.odd)
    if not len(numbers.odd):
        return True
    return len(numbers.odd) <= ODD_SHARE * known and len(np.unique(values)) > FEW_VALUES


def _written_numbers(raw: Raw, numbers: Numbers) -> Looked:
    looked = _few(raw, numbers.values, "numbers that are written as texts")
    if len(numbers.odd):
        looked = _few(raw, numbers.values, "numbers, but for a few cells")
    return Looked(
        plan=looked.plan,
        values=looked.values,
        findings=(*missing_in_words(raw, numbers), *looked.findings),
    )


def _numbers(raw: Raw) -> Looked:
    values = raw.cells.astype(np.float64)
    if raw.cells.dtype == np.bool_:
        return _few(raw, values, "true and false, as 1 and 0")
    known = values[np.isfinite(values)]
    whole = bool((known == np.round(known)).all())
    different = len(np.unique(known))
    alone = different >= max(LEAST_IDS, IDS_SHARE * len(values))
    if whole and alone and NAMED_ID.fullmatch(raw.name):
        return left_out(
            raw, "id", "each row has a number of its own, and its name is that of a key"
        )
    if not whole:
        return _few(raw, values, "numbers")
    looked = _few(raw, values, "whole numbers")
    findings = list(looked.findings)
    if 2 < different <= FEW_VALUES and looked.values is not None:
        looked = _few(
            raw, values, f"whole numbers, {different} different, taken as amounts and not as codes"
        )
    if len(known) and np.abs(known).max() > EXACT:
        told = "it has whole numbers beyond 2^53, which are rounded"
        findings.append(warning(raw.name, told, "call it id if it is one"))
    return Looked(plan=looked.plan, values=looked.values, findings=tuple(findings))


def _few(raw: Raw, values: NDArray[np.float64], reason: str) -> Looked:
    """A column of numbers, unless there is nothing to learn from it."""
    kept, findings = within_bounds(raw, values)
    plan = planned(raw.name, "numeric", reason, kept)
    idle = _idle(plan, kept)
    if idle:
        looked = left_out(raw, "drop", idle, told=True)
        return Looked(plan=looked.plan, values=None, findings=(*findings, *looked.findings))
    return Looked(plan=plan, values=kept, findings=(*findings, *_holes(plan, len(kept))))


def _idle(plan: ColumnPlan, values: NDArray[Any]) -> str:
    """Why there is nothing to learn from a column, if so."""
    if plan.unique == 0:
        return "it is empty"
    if plan.unique == 1 and not plan.missing:
        return f"it is {one_line(str(values[0]), 40)!r} in every row"
    return ""


def _holes(plan: ColumnPlan, rows: int) -> tuple[Finding, ...]:
    if plan.missing <= MOSTLY_MISSING * rows:
        return ()
    told = f"{plan.missing} of its {rows} cells are missing"
    return (note(plan.name, told, "call it drop if it is not worth having", count=plan.missing),)


def _texts(raw: Raw, numbers: Numbers) -> Looked:
    _, known = distinct(raw.cells)
    plan = planned(raw.name, "categorical", "", raw.cells)
    idle = _idle(plan, raw.cells)
    if idle:
        return left_out(raw, "drop", idle, told=True)
    form, dated = form_of(known)
    if dated >= DATED_SHARE:
        return dates(raw, form, f"dates such as {one_line(known[0], 40)!r}")
    words = float(np.mean([len(text.split()) for text in known]))
    present = len(raw.cells) - plan.missing
    if len(known) >= max(LEAST_IDS, IDS_SHARE * present) and words < 2:
        nearly = "" if len(known) == present else "nearly "
        return left_out(raw, "id", f"{nearly}each row has a word of its own")
    if words >= TEXT_WORDS and len(known) >= max(FEW_VALUES / 2, TEXT_SHARE * present):
        reason = f"texts of about {words:.0f} words, most of which are there once"
        return _kept(raw, "text", reason)
    order = order_in(known)
    if order:
        return _kept(raw, "ordinal", f"words that have an order: {' < '.join(order)}", order=order)
    return _categories(raw, numbers, known)


def _categories(raw: Raw, numbers: Numbers, known: list[str]) -> Looked:
    reason = f"{len(known)} different texts"
    if len(known) > MOST_MARKS:
        reason += ", each of which becomes a mean of the target"
    if numbers.coded:
        reason += ", numbers that begin with zeros, as codes do"
    looked = _kept(raw, "categorical", reason)
    return Looked(
        plan=looked.plan,
        values=looked.values,
        findings=(*looked.findings, *_doubts(raw, numbers, known)),
    )


def _kept(raw: Raw, kind: ColumnKind, reason: str, order: tuple[str, ...] = ()) -> Looked:
    plan = planned(raw.name, kind, reason, raw.cells, order)
    return Looked(plan=plan, values=raw.cells, findings=_holes(plan, len(raw.cells)))


def dates(raw: Raw, form: str, reason: str) -> Looked:
    """A column of dates, whose other cells are kept and told: they are missing to a model."""
    plan = planned(raw.name, "date", reason, raw.cells)
    findings = list(_holes(plan, len(raw.cells)))
    odd = where_not(raw.cells, lambda text: read_date(text, form) is not None)
    if len(odd):
        what = "what is no date of the form of the others counts as missing"
        findings.append(raw.finding(what, odd, SEND_NOTHING))
    if form.startswith("%m/%d") and not len(where_not(raw.cells, _either_way)):
        told = "nothing tells day and month apart, so the month is taken to come first"
        findings.append(warning(raw.name, told, "write dates as 2024-01-31"))
    return Looked(plan=plan, values=raw.cells, findings=tuple(findings))


def _either_way(text: str) -> bool:
    """Whether a date with slashes is one with the day first as well."""
    month, day, *_ = text.split("/")
    return month.strip().isdigit() and day.strip().isdigit() and int(day) <= 12


def _doubts(raw: Raw, numbers: Numbers, known: list[str]) -> tuple[Finding, ...]:
    """What about a column of categories may be otherwise than it seems."""
    findings = []
    present = present_in(raw.cells)
    others = present - len(numbers.odd) - len(numbers.stated)
    if len(numbers.odd) and others > present / 2:
        what = f"it is mixed: {others} of {present} cells are numbers, others are not"
        remedy = "call it numeric to take them as missing"
        findings.append(raw.finding(what, numbers.odd, remedy))
    if len(numbers.stated):
        what = "a word for nothing is kept as a value like others"
        findings.append(raw.finding(what, numbers.stated, "leave them empty", severity="note"))
    if len({text.strip().casefold() for text in known}) < len(known):
        told = "some of its values differ by blanks or capital letters alone"
        findings.append(warning(raw.name, told, "write them alike"))
    if len(known) > TEXT_SHARE * present and present >= LEAST_IDS:
        told = f"{len(known)} different values in {present} cells are hardly categories"
        findings.append(warning(raw.name, told, "call it id or drop, or text"))
    return tuple(findings)
