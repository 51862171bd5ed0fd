"""Bayesian search without gradients: Optuna's tree-structured Parzen estimator suggests trials.

Asked for a batch and told of it in order. Of the trials that are not told yet, the sampler assumes
the worst, so that those of one batch differ (its `constant_liar`).
"""

from __future__ import annotations

import optuna

from models.training.fitting import unheard
from models.training.tuning.arena import BATCH, Arena, Found, Proposal, Tried


def bayesian_search(arena: Arena) -> Found:
    """Judge the defaults, and then what was suggested by what the trials before had shown."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with unheard():
        sampler = optuna.samplers.TPESampler(seed=arena.seed, constant_liar=True)
    directions = optuna.study.StudyDirection
    direction = directions.MAXIMIZE if arena.greater_is_better else directions.MINIMIZE
    study = optuna.create_study(sampler=sampler, direction=direction)
    space = {name: each.suggested_from() for name, each in arena.algorithm.space.items()}
    while len(arena.tried) < arena.most:
        first = len(arena.tried)
        wanted = min(BATCH, arena.most - first)
        defaults: list[Proposal] = [(0, {})] if first == 0 else []
        asked = [study.ask(space) for _ in range(wanted - len(defaults))]
        numbers = range(first + len(defaults), first + wanted)
        suggested = [(number, trial.params) for number, trial in zip(numbers, asked, strict=True)]
        tried = arena.judge([*defaults, *suggested])
        for trial, each in zip(asked, tried[len(defaults) :], strict=True):
            _tell(study, trial, each)
        stop = arena.why_stop() if len(arena.tried) < arena.most else None
        if stop:
            return arena.found(stop)
    return arena.found("trials")


def _tell(study: optuna.Study, trial: optuna.Trial, tried: Tried) -> None:
    if tried.score is None:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    else:
        study.tell(trial, tried.score)
