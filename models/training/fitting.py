"""One fit of a candidate and how it is judged: what runs side by side, in whichever process."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from models.estimators import limit_native_threads
from models.training.algorithms import ALGORITHMS, Algorithm
from models.training.folds import Fold, Rows
from models.training.parallel import Workers
from models.training.pipelines import pipeline_of
from models.training.progress import Reporting, Result
from models.training.scoring import scores
from models.training.study import Study

MOST_REASON: Final = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A candidate on one fold; `key` is its name among the results of a training.

    It is scored by every metric, or by one.
    """

    key: str
    algorithm: str
    params: Mapping[str, Any]
    fold: Fold
    only: str = ""


Judged = Mapping[str, Any]  # scores, seconds and unconverged; or failed, the reason


def judge_all(
    study: Study, trials: Sequence[Trial], workers: Workers, reporting: Reporting
) -> Iterator[Judged]:
    """Judge every trial, in their order; what is known already is not computed again."""
    waiting = [trial for trial in trials if trial.key not in reporting.known]
    computed = workers.map(partial(judge, study), waiting)
    for trial in trials:
        known = reporting.known.get(trial.key)
        if known is None:
            known = next(computed)
            reporting.keep(Result(trial.key, known))
        yield known


def judge(study: Study, trial: Trial) -> dict[str, Any]:
    """Fit on the one side of a fold and score on the other; a failure is a result as well."""
    algorithm = ALGORITHMS[study.task][trial.algorithm]
    train, test = trial.fold
    try:
        fitted = fit(study, algorithm, trial.params, train)
        found = judged_by(study, fitted.pipeline, test, only=trial.only)
    except Exception as error:  # noqa: BLE001  whatever a library raises is this candidate's failure
        return {"failed": reason_of(error)}
    return {"scores": found, "seconds": fitted.seconds, "unconverged": fitted.unconverged}


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted pipeline, how long that took, and whether it was still learning when it stopped."""

    pipeline: Pipeline
    seconds: float
    unconverged: bool


def fit(study: Study, algorithm: Algorithm, params: Mapping[str, Any], rows: Rows) -> Fitted:
    """Fit a candidate to some rows, in one thread."""
    limit_native_threads()
    estimator = algorithm.make(study, params, study.spec.seed)
    pipeline = pipeline_of(study, estimator, scaled=algorithm.scaled)
    with unheard():
        started = time.perf_counter()
        pipeline.fit(study.features.iloc[rows], targets_of(study, rows))
        seconds = time.perf_counter() - started
    unconverged = algorithm.limited and _was_stopped(pipeline["model"])
    return Fitted(pipeline, seconds, unconverged=unconverged)


def targets_of(study: Study, rows: Rows) -> NDArray[Any]:
    """The targets of some rows as a model is fitted to them.

    Texts are of a fixed width: with labels that are objects, no engine takes the model.
    """
    targets = study.target[rows]
    return np.array(targets.tolist()) if targets.dtype == object else targets


def judged_by(study: Study, fitted: Any, rows: Rows, *, only: str = "") -> dict[str, float]:
    """The metrics of a fitted pipeline on some rows, or one of them."""
    features, truth = study.features.iloc[rows], targets_of(study, rows)
    with unheard():
        answers = fitted.predict(features)
        return scores(study, truth, answers, odds_of(study, fitted, features), only=only)


def odds_of(study: Study, fitted: Any, features: Any) -> NDArray[np.float64] | None:
    """Probabilities, a column for each of the study's classes; None where there are none.

    Of a class that was not among the rows of the fit, the probability is zero.
    """
    if study.task == "regression" or not hasattr(fitted, "predict_proba"):
        return None
    known = list(study.classes)
    odds = np.zeros((len(features), len(known)))
    places = [known.index(label) for label in fitted.classes_.tolist()]
    odds[:, places] = fitted.predict_proba(features)
    return odds


@contextmanager
def unheard() -> Iterator[None]:
    """Keep the warnings of libraries from whoever runs this: what they say is told as results."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def reason_of(error: Exception) -> str:
    """What went wrong, in one line."""
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}"[:MOST_REASON]


def _was_stopped(model: Any) -> bool:
    """Whether all rounds were used up, of which scikit-learn warns.

    Asked of the model, as threads cannot tell whose a warning is.
    """
    inner = getattr(model, "regressor_", model)
    return bool(np.max(inner.n_iter_) >= inner.max_iter)
