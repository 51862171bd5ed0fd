"""From a table to a study: what each column is, what is learnt from, and all that was noticed."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.dates import form_of, read_date
from models.errors import DataRefused, SpecRefused
from models.training.cells import distinct
from models.training.findings import Looked, Raw, lines_of, note, warning
from models.training.inference import left_out, look_at
from models.training.leakage import find_leakage, is_copy
from models.training.overrides import as_said
from models.training.repetitions import find_imbalance, find_repetitions, resolved
from models.training.spec import Spec
from models.training.study import ColumnPlan, Finding, Study
from models.training.tables import Table
from models.training.targets import Target, target_of


def study_of(spec: Spec, table: Table) -> Study:
    """Make a table ready; raises SpecRefused or DataRefused with a report of all that is wrong."""
    _check_columns(spec, table)
    rows = np.arange(1, len(table.frame) + 1)
    target = target_of(_raw(table, spec.target, rows), task=spec.task)
    kept = Table(
        frame=table.frame.loc[target.kept],
        findings=table.findings,
        digest=table.digest,
        set_aside=table.set_aside,
    )
    looked = _looked(spec, kept, rows[target.kept], target)
    features = _features(looked, table)
    plans = tuple(each.plan for each in looked.values()) + _set_aside(table)
    found = [finding for each in looked.values() for finding in each.findings]
    groups = _groups(spec, kept)
    times = _times(spec, kept, rows[target.kept])
    least = int(np.unique(target.values, return_counts=True)[1].min()) if target.classes else 0
    splitting = resolved(
        spec.validation.kind, grouped=groups is not None, ordered=times is not None, least=least
    )
    if splitting == "stratified" and not target.classes:
        raise SpecRefused("validation.kind", "only labels can be stratified", "say plain")
    return Study(
        spec=spec,
        task=target.task,
        features=features,
        target=target.values,
        classes=target.classes,
        plans=plans,
        findings=(
            *table.findings,
            *target.findings,
            *found,
            *_of_the_whole(spec, features, target, plans, rows[target.kept]),
        ),
        splitting=splitting,
        groups=groups,
        times=times,
        digest=table.digest,
    )


def _check_columns(spec: Spec, table: Table) -> None:
    """Raise SpecRefused for a column that the table does not have."""
    names = [str(name) for name in table.frame.columns] + list(table.set_aside)
    if spec.target not in table.frame:
        raise DataRefused(
            f"it has no column {spec.target!r}, which is the target", _meant(spec.target, names)
        )
    wanted = {f"columns.{name}": name for name in spec.columns}
    wanted |= {"validation.group": spec.validation.group, "validation.time": spec.validation.time}
    for where, name in wanted.items():
        if name and name not in names:
            raise SpecRefused(where, f"the table has no column {name!r}", _meant(name, names))
        if name == spec.target:
            raise SpecRefused(where, "that column is the target")


def _meant(name: str, names: list[str]) -> str:
    alike = [each for each in names if each.casefold() == name.casefold()]
    close = alike or get_close_matches(name, names, 1)
    return f"did you mean {close[0]!r}?" if close else f"it has {', '.join(names[:10])}"


def _raw(table: Table, name: str, rows: NDArray[np.int64]) -> Raw:
    return Raw(name=name, cells=table.frame[name].to_numpy(), rows=rows)


def _looked(spec: Spec, table: Table, rows: NDArray[np.int64], target: Target) -> dict[str, Looked]:
    """Every column but the target, as the spec says or as it looks."""
    looked: dict[str, Looked] = {}
    first: dict[bytes, str] = {}
    for name in (str(each) for each in table.frame.columns if each != spec.target):
        raw = _raw(table, name, rows)
        if name in spec.columns:
            looked[name] = as_said(raw, spec.columns[name])
        elif name == spec.validation.group:
            looked[name] = left_out(raw, "id", "it says which rows belong together")
        elif name == spec.validation.time:
            looked[name] = left_out(raw, "drop", "it orders the rows: later ones are beyond it")
        elif is_copy(raw.cells, target.values):
            looked[name] = _told(left_out(raw, "drop", "it is the target under another name"))
        else:
            looked[name] = _once(look_at(raw), raw, first)
    return looked


def _told(looked: Looked) -> Looked:
    plan = looked.plan
    told = warning(plan.name, f"the column is left out: {plan.reason}")
    return replace(looked, findings=(told,))


def _once(looked: Looked, raw: Raw, first: dict[bytes, str]) -> Looked:
    """A column that is used, unless another one before it is the same."""
    if looked.values is None:
        return looked
    hashed = pd.util.hash_array(looked.values, categorize=True).tobytes()
    other = first.setdefault(hashed, raw.name)
    if other == raw.name:
        return looked
    return left_out(raw, "drop", f"it is the same as {other}", told=True)


def _features(looked: dict[str, Looked], table: Table) -> pd.DataFrame:
    used = {name: each.values for name, each in looked.items() if each.values is not None}
    if not used:
        reasons = [f"{name}: {each.plan.reason}" for name, each in looked.items()]
        raise DataRefused(
            "no column is left to learn from",
            "say under [columns] what a column is",
            report=(*reasons[:20], *lines_of(table.findings)[:20]),
        )
    return pd.DataFrame({name: pd.Series(v, dtype=v.dtype) for name, v in used.items()})


def _set_aside(table: Table) -> tuple[ColumnPlan, ...]:
    return tuple(
        ColumnPlan(name=name, kind="drop", reason=reason, missing=0, unique=0)
        for name, reason in table.set_aside.items()
    )


def _groups(spec: Spec, table: Table) -> NDArray[Any] | None:
    """A number for each group; a row that names none is a group of its own."""
    if not spec.validation.group:
        return None
    codes, known = distinct(table.frame[spec.validation.group].to_numpy())
    alone = codes < 0
    codes[alone] = len(known) + np.arange(int(alone.sum()))
    return codes


def _times(spec: Spec, table: Table, rows: NDArray[np.int64]) -> NDArray[np.datetime64] | None:
    """A moment for each row: of dates theirs, of numbers one that is in their order."""
    if not spec.validation.time:
        return None
    raw = _raw(table, spec.validation.time, rows)
    codes, known = distinct(raw.cells)
    if raw.cells.dtype == object:
        form, _ = form_of(known)
        moments = [read_date(text, form) for text in known]
        values = np.array([*moments, None], "datetime64[us]")
    else:
        order = np.argsort(np.argsort(known))
        values = np.array([*order.tolist(), "NaT"], "datetime64[us]")
    times = values[codes]
    absent = np.flatnonzero(np.isnat(times))
    if len(absent):
        what = raw.finding("without a time, a row has no place in their order", absent)
        raise DataRefused(what.what, "fill it in, or validate otherwise", report=lines_of([what]))
    return times


def _of_the_whole(
    spec: Spec,
    features: pd.DataFrame,
    target: Target,
    plans: tuple[ColumnPlan, ...],
    rows: NDArray[np.int64],
) -> tuple[Finding, ...]:
    """What is seen only where columns and rows are looked at together."""
    leaks = find_leakage(
        features, target.values, name=spec.target, task=target.task, seed=spec.seed
    )
    repetitions = find_repetitions(features, target.values, rows, plans=plans)
    imbalance: tuple[Finding, ...] = ()
    if target.classes:
        imbalance = find_imbalance(
            target.values,
            name=spec.target,
            balanced=spec.balance,
            folds=spec.validation.folds,
        )
    wide: tuple[Finding, ...] = ()
    if features.shape[1] > len(features):
        wide = (note("table", f"{features.shape[1]} columns are more than {len(features)} rows"),)
    return leaks + repetitions + imbalance + wide
