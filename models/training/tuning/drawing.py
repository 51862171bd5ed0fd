"""Random search: trials drawn from the ranges by scikit-learn's own sampler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.model_selection import ParameterSampler

from models.training.algorithms import Algorithm
from models.training.fitting import unheard
from models.training.ranges import plain
from models.training.tuning.arena import BATCH, Arena, Found, Proposal


def draw(algorithm: Algorithm, count: int, *, seed: int) -> list[Mapping[str, Any]]:
    """So many sets of parameters; the first are the defaults, which a search has to beat.

    A space of fewer sets gives them all.
    """
    space = {name: each.drawn_from() for name, each in algorithm.space.items()}
    drawn = ParameterSampler(space, count - 1, random_state=seed) if count > 1 else ()
    with unheard():
        return [{}, *({n: plain(v) for n, v in each.items()} for each in drawn)]


def random_search(arena: Arena) -> Found:
    """Judge trials as they were drawn, until there are enough of them or no time is left."""
    drawn = draw(arena.algorithm, arena.most, seed=arena.seed)
    waiting: list[Proposal] = list(enumerate(drawn))
    while waiting:
        arena.judge(waiting[:BATCH])
        waiting = waiting[BATCH:]
        stop = arena.why_stop() if waiting else None
        if stop:
            return arena.found(stop)
    return arena.found("trials")
