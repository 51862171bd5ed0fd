"""A whole training: from a spec and the bytes of a table to a model and all that is known of it.

What is served is what was judged: the model is fitted to the rows that the candidates were compared
on, judged by the rows held out, and not fitted again to both.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.drift.reference import reference_of
from models.handlers.skops_file import write_skops
from models.training.algorithms import ALGORITHMS, algorithms_of
from models.training.calibration import calibrated
from models.training.choice import Choice, choose, named
from models.training.comparison import SPENT, compare
from models.training.decisions import check_decisions
from models.training.document import columns, document
from models.training.entries import Entry, Ranking, share_judged_by
from models.training.fitting import fit, unheard
from models.training.folds import Rows, folds_of, holdout_of
from models.training.parallel import Workers, workers_of
from models.training.progress import Phase, Progress, Reporting
from models.training.reporting import report
from models.training.samples import answers_as_json, rows_as_json, some_rows
from models.training.scoring import metric_of
from models.training.spec import Spec
from models.training.studies import study_of
from models.training.study import Study
from models.training.tables import read_table
from models.training.tuning.nesting import Search, Tuned, tune


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A model as a skops file, what is known of it, and rows with its own answers to them.

    `evaluation` and `reference` are plain JSON types, `report` is a page of HTML; `rows` are raw
    ones that were held out, as the intake of models reads them.
    """

    model: bytes
    evaluation: Mapping[str, Any]
    report: bytes
    reference: Mapping[str, Any]
    rows: bytes
    answers: bytes


def train(spec: Spec, data: bytes, name: str, reporting: Reporting, *, confined: bool) -> Trained:
    """Train what a spec says on the table of a file called `name`.

    Raises SpecRefused, DataRefused, or TrainingFailed where no candidate can be chosen. In a
    sandbox, `confined`, fits run one after another.
    """
    started = time.monotonic()
    reporting.tell(Progress(Phase.READING, 0, 1))
    table = read_table(data, name=name, spec=spec)
    reporting.tell(Progress(Phase.PREPARING, 0, 1))
    study = study_of(spec, table)
    # Shown before any of it is used.
    reporting.once("study", lambda: {"task": study.task, "columns": columns(study)})
    check_wishes(study)
    train_rows, held_rows = holdout_of(study)
    with workers_of(spec.parallel, confined=confined) as workers:
        searched = _search(study, train_rows, workers, reporting)
    return _finish(study, searched, (train_rows, held_rows), started, reporting)


def check_wishes(study: Study) -> None:
    """Raise SpecRefused for names that the table's own answers do not bear out."""
    metric_of(study)
    algorithms_of(study)
    check_decisions(study)


@dataclass(frozen=True, slots=True)
class _Searched:
    """What comparison and tuning came to."""

    entries: Sequence[Entry]
    searches: Sequence[Search]
    choice: Choice
    ranking: Ranking
    notes: Sequence[str]


def _search(study: Study, rows: Rows, workers: Workers, reporting: Reporting) -> _Searched:
    ranking = Ranking(
        metric_of(study), share_judged_by(folds_of(study, rows)), study.spec.compare.confidence
    )
    compared = compare(study, rows, workers, reporting)
    candidates = [each for each in compared if not each.baseline]
    tuned = tune(study, rows, candidates, ranking, workers, reporting)
    entries = [*compared, *tuned.entries]
    choice = choose(entries, ranking, most_serving_ms=study.spec.compare.most_serving_ms)
    notes = _notes(study, entries, tuned, workers)
    return _Searched(entries, tuned.searches, choice, ranking, notes)


def _notes(study: Study, entries: Sequence[Entry], tuned: Tuned, workers: Workers) -> list[str]:
    """What was cut short, or done otherwise than the spec says."""
    algorithms = ALGORITHMS[study.task]
    balanced = study.spec.balance and study.task == "classification"
    told = {
        "The budget was spent before these were compared": [
            each.title for each in entries if each.failed == SPENT
        ],
        "The budget was spent before these were tuned": tuned.left_out,
        "The time ended the searches of": [
            algorithms[each.algorithm].title for each in tuned.searches if each.is_cut
        ],
        "Still learning when their rounds were over": [
            named(each).rstrip(",") for each in entries if each.unconverged
        ],
        "No weights of classes are taken by": [
            each.title
            for each in entries
            if balanced and not (each.tuned or each.baseline or algorithms[each.algorithm].weighs)
        ],
    }
    notes = [f"{what}: {', '.join(names)}." for what, names in told.items() if names]
    return [f"Fits ran {workers.note}.", *notes] if workers.note else notes


def _finish(
    study: Study,
    searched: _Searched,
    sides: tuple[Rows, Rows],
    started: float,
    reporting: Reporting,
) -> Trained:
    train_rows, held_rows = sides
    reporting.tell(Progress(Phase.EVALUATING, 0, 1))
    fitted = _fitted(study, searched.choice.entry, train_rows)
    evaluation = document(
        study, sides, searched.entries, searched.searches, searched.choice, searched.ranking
    )
    evaluation["notes"] = list(searched.notes)
    reporting.tell(Progress(Phase.REPORTING, 0, 1))
    evaluation, page = report(
        study,
        searched.entries,
        searched.searches,
        fitted,
        train_rows,
        held_rows,
        evaluation,
    )
    evaluation["seconds"] = time.monotonic() - started
    return _trained(study, fitted, sides, evaluation, page)


def _fitted(study: Study, chosen: Entry, rows: Rows) -> Any:
    algorithm = ALGORITHMS[study.task][chosen.algorithm]
    if study.spec.decide.calibrate and study.task == "classification":
        with unheard():
            return calibrated(study, algorithm, chosen.params, rows)
    return fit(study, algorithm, chosen.params, rows).pipeline


def _trained(
    study: Study, fitted: Any, sides: tuple[Rows, Rows], evaluation: dict[str, Any], page: bytes
) -> Trained:
    seen = study.features.iloc[sides[0]]
    held = some_rows(study.features.iloc[sides[1]])
    with unheard():
        said, answers = fitted.predict(seen), fitted.predict(held)
    columns = {str(each): seen[each].to_numpy() for each in seen}
    return Trained(
        model=write_skops(fitted),
        evaluation=evaluation,
        report=page,
        reference=reference_of(columns, predictions=np.asarray(said)),
        rows=rows_as_json(held),
        answers=answers_as_json(answers),
    )
