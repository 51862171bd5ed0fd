"""A column as its user says that it is, whatever it looks like; what does not fit is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from models.dates import form_of
from models.errors import DataRefused
from models.training.cells import as_texts, distinct, numbers_in, truth_in, where_not
from models.training.findings import Looked, Raw, lines_of
from models.training.inference import (
    AS_IT_IS,
    dates,
    left_out,
    missing_in_words,
    planned,
    within_bounds,
)
from models.training.spec import Column, ColumnKind
from models.training.study import Finding

SAID: Final = "as the spec says"


def as_said(raw: Raw, said: Column) -> Looked:
    """Take a column for what the spec says; raises DataRefused if it cannot be that."""
    return TAKERS[said.kind](raw, said)


def _numeric(raw: Raw, said: Column) -> Looked:
    told: tuple[Finding, ...] = ()
    if raw.cells.dtype != object:
        values = raw.cells.astype(np.float64)
    elif (truth := truth_in(raw.cells)) is not None:
        values = truth
    else:
        numbers = numbers_in(raw.cells)
        values, told = numbers.values, missing_in_words(raw, numbers)
    values, beyond = within_bounds(raw, values)
    if np.isnan(values).all():
        raise DataRefused(
            f"the column {raw.name!r} has no number", AS_IT_IS, report=lines_of((*told, *beyond))
        )
    plan = planned(raw.name, "numeric", SAID, values)
    return Looked(plan=plan, values=values, findings=(*told, *beyond))


def _texts(raw: Raw, said: Column) -> Looked:
    cells = as_texts(raw.cells)
    plan = planned(raw.name, said.kind, SAID, cells)
    if not plan.unique:
        raise DataRefused(f"the column {raw.name!r} is empty", "call it drop")
    return Looked(plan=plan, values=cells)


def _ordinal(raw: Raw, said: Column) -> Looked:
    cells = as_texts(raw.cells)
    plan = planned(raw.name, "ordinal", SAID, cells, said.order)
    odd = where_not(cells, lambda text: text in said.order)
    texts = replace(raw, cells=cells)
    what = "a value is not in the order that the spec gives"
    findings = (texts.finding(what, odd, "add them to the order"),) if len(odd) else ()
    if not set(said.order) & set(distinct(cells)[1]):
        raise DataRefused(
            f"no cell of the column {raw.name!r} is in its order", report=lines_of(findings)
        )
    return Looked(plan=plan, values=cells, findings=findings)


def _date(raw: Raw, said: Column) -> Looked:
    known = distinct(raw.cells)[1] if raw.cells.dtype == object else []
    form, dated = form_of(known)
    if not dated:
        raise DataRefused(f"the column {raw.name!r} has no date", "write dates as 2024-01-31")
    return dates(raw, form, SAID)


def _left_out(raw: Raw, said: Column) -> Looked:
    return left_out(raw, said.kind, SAID)


TAKERS: Final[Mapping[ColumnKind, Callable[[Raw, Column], Looked]]] = {
    "numeric": _numeric,
    "categorical": _texts,
    "text": _texts,
    "ordinal": _ordinal,
    "date": _date,
    "id": _left_out,
    "drop": _left_out,
}
