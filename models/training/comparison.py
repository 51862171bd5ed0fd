"""Every algorithm on the same folds, at its defaults, with what it costs to fit and to serve."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from models.errors import ModelsError
from models.training.algorithms import ALGORITHMS, Algorithm, algorithms_of
from models.training.entries import Entry, failure_in
from models.training.fitting import Judged, Trial, fit, judge_all, reason_of, unheard
from models.training.folds import Fold, Rows, folds_of
from models.training.parallel import Workers
from models.training.progress import Phase, Progress, Reporting
from models.training.scoring import metric_of
from models.training.serving_cost import Serving, serving_cost
from models.training.study import Study

SPENT: Final = "the budget was spent before its turn came"
FIRST: Final = 2  # the baseline and one candidate are fitted whatever the budget is


def compare(study: Study, rows: Rows, workers: Workers, reporting: Reporting) -> list[Entry]:
    """Judge every algorithm on the folds of some rows, and tell of each as it is done."""
    folds = folds_of(study, rows)
    algorithms = algorithms_of(study)
    entries: list[Entry] = []
    for wave in _waves(algorithms, folds, workers):
        why_not = {
            each.name: _too_many(study, each, rows) or _out_of_time(each, algorithms, reporting)
            for each in wave
        }
        taken = [each for each in wave if not why_not[each.name]]
        trials = [trial for each in taken for trial in _trials(each, folds)]
        judged = judge_all(study, trials, workers, reporting)
        for algorithm in wave:
            entry = _entry(study, algorithm, judged, folds, why_not[algorithm.name])
            entry = with_costs(study, entry, rows, reporting)
            entries.append(entry)
            reporting.tell(_progress(study, entry, len(entries), len(algorithms)))
    return entries


def with_costs(study: Study, entry: Entry, rows: Rows, reporting: Reporting) -> Entry:
    """An entry with the time of a fit to all rows, and what it costs to serve that."""
    if entry.failed is not None:
        return entry
    key = f"cost/{entry.algorithm}{'/tuned' if entry.tuned else ''}"
    found = reporting.once(key, lambda: _costs(study, entry, rows))
    if "failed" in found:
        return replace(entry, failed=f"it cannot be served: {found['failed']}")
    return replace(entry, fit_seconds=found["seconds"], serving=Serving(**found["serving"]))


def _costs(study: Study, entry: Entry, rows: Rows) -> dict[str, Any]:
    try:
        fitted = fit(study, ALGORITHMS[study.task][entry.algorithm], entry.params, rows)
        with unheard():
            features = study.features.iloc[rows]
            serving = serving_cost(fitted.pipeline, features, seed=study.spec.seed)
    except ModelsError as error:
        return {"failed": str(error)[:300]}
    except Exception as error:  # noqa: BLE001  whatever a library raises is this candidate's failure
        return {"failed": reason_of(error)}
    return {"seconds": fitted.seconds, "serving": serving.as_json()}


def _waves(
    algorithms: Sequence[Algorithm], folds: Sequence[Fold], workers: Workers
) -> Iterator[Sequence[Algorithm]]:
    """So many algorithms at a time that every worker has something to do."""
    many = max(1, math.ceil(workers.count / len(folds)))
    for start in range(0, len(algorithms), many):
        yield algorithms[start : start + many]


def _too_many(study: Study, algorithm: Algorithm, rows: Rows) -> str:
    """Why an algorithm is not tried on so many rows, unless somebody asked for it."""
    if not 0 < algorithm.most_rows < len(rows) or study.spec.compare.algorithms:
        return ""
    return (
        f"its fit takes the square of the rows, more than {algorithm.most_rows}: "
        "name it in compare.algorithms to have it tried"
    )


def _out_of_time(
    algorithm: Algorithm, algorithms: Sequence[Algorithm], reporting: Reporting
) -> str:
    """Whether there is no time for it; that too is known to whoever goes on from here."""
    if algorithm in algorithms[:FIRST]:
        return ""
    key = f"compare/{algorithm.name}/turn"
    return "" if reporting.once(key, lambda: {"comes": reporting.left() > 0})["comes"] else SPENT


def _trials(algorithm: Algorithm, folds: Sequence[Fold]) -> Iterator[Trial]:
    for at, fold in enumerate(folds):
        key = f"compare/{algorithm.name}/fold-{at}"
        yield Trial(key=key, algorithm=algorithm.name, params={}, fold=fold)


def _entry(
    study: Study,
    algorithm: Algorithm,
    judged: Iterator[Judged],
    folds: Sequence[Fold],
    why_not: str,
) -> Entry:
    found = [] if why_not else [next(judged) for _ in folds]
    return Entry(
        algorithm=algorithm.name,
        title=algorithm.title,
        baseline=algorithm.baseline,
        failed=why_not or failure_in(found, metric_of(study)),
        scores=[each.get("scores", {}) for each in found],
        unconverged=sum(each.get("unconverged", False) for each in found),
    )


def _progress(study: Study, entry: Entry, done: int, total: int) -> Progress:
    metric = metric_of(study)
    said = entry.failed or f"{metric} {entry.mean(metric):.4g}"
    return Progress(Phase.COMPARING, done, total, f"{entry.title}: {said}")
