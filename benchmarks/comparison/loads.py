"""What is sent: rows of one data set to models that every server fitted alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

import numpy as np
from sklearn.datasets import load_breast_cancer

from benchmarks.peers.models import fitted

Form = Literal["json", "binary", "arrow"]
Kind = Literal["steady", "half", "mixed", "cold"]


@dataclass(frozen=True, slots=True)
class Load:
    """So many rows for a model in a form, over so many connections.

    `steady` asks as fast as it is answered, `half` half as often; `mixed` is steady beside slow
    work, and of `cold` only the start is measured. `among` are the servers that take part, if not
    Sallyport and every peer.
    """

    name: str
    model: str
    rows: int = 1
    form: Form = "json"
    connections: tuple[int, ...] = (16,)
    kind: Kind = "steady"
    among: frozenset[str] = frozenset()


SALLYPORT: Final = "sallyport"
TWICE: Final = "sallyport, 2 workers"
BARE: Final = "bare"
LOADS: Final = (
    Load("linear", "linear", connections=(1, 16, 256)),
    Load("pipeline", "pipeline"),
    Load("forest", "forest"),
    Load("forest-64", "forest", 64),
    Load("boosting", "boosting"),
    Load("native", "native"),
    Load("bulk-json", "linear", 10_000, connections=(4,)),
    Load("bulk-binary", "linear", 10_000, "binary", connections=(4,)),
    Load("bulk-arrow", "linear", 10_000, "arrow", connections=(4,)),
    Load("half", "linear", kind="half"),
    Load("gates", "linear", among=frozenset({SALLYPORT, BARE})),
    Load("workers", "linear", among=frozenset({SALLYPORT, TWICE})),
    Load("mixed", "linear", kind="mixed", among=frozenset({SALLYPORT})),
    Load("cold", "linear", kind="cold"),
)


@cache
def rows_of(count: int) -> Any:
    """So many rows of 30 numbers, C-contiguous in float64."""
    return np.ascontiguousarray(np.resize(load_breast_cancer().data, (count, 30)), dtype=np.float64)


@cache
def _model(name: str) -> Any:
    return fitted(name)


@cache
def expected(load: Load) -> Any:
    """What scikit-learn itself answers."""
    return _model(load.model).predict(rows_of(load.rows))


def estimator(name: str) -> Any:
    """A model as scikit-learn has it."""
    return _model(name)


def models_of(loads: Iterable[Load]) -> tuple[str, ...]:
    """The models that loads ask, each once."""
    return tuple(dict.fromkeys(load.model for load in loads))
