"""Where the parts of a fitted estimator sit, and which of the model's columns each of them sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Positions = tuple[int | None, ...]
Floats = NDArray[np.float64]

# They keep columns apart and in order: what comes out of one tells of the same column that went in.
SCALERS: Final = frozenset(
    {
        "MaxAbsScaler",
        "MinMaxScaler",
        "PowerTransformer",
        "QuantileTransformer",
        "RobustScaler",
        "StandardScaler",
    }
)
IMPUTERS: Final = frozenset({"IterativeImputer", "KNNImputer", "SimpleImputer"})
VECTORIZERS: Final = frozenset({"CountVectorizer", "HashingVectorizer", "TfidfVectorizer"})
MOST_PLACED: Final = 100_000
MOST_MAPPED: Final = 4_000_000  # cells that a scaler is asked to map back at once


@dataclass(frozen=True, slots=True)
class Placed:
    """A fitted part: the model's column behind each of its own, and the scalers in between."""

    part: Any
    columns: Positions
    before: tuple[Any, ...] = ()

    @property
    def kind(self) -> str:
        """The name of the part's class."""
        return type(self.part).__name__

    def back(self, column: int, values: Floats) -> Floats:
        """Values of the part's own column as the model's input has them, as near as can be."""
        for scaler in reversed(self.before):
            width = scaler.n_features_in_
            values = values[: max(1, MOST_MAPPED // width)]
            matrix = np.zeros((len(values), width))
            matrix[:, column] = values
            values = np.asarray(scaler.inverse_transform(matrix), np.float64)[:, column]
        return values


def width_of(estimator: Any) -> int | None:
    """How many columns a fitted estimator takes, some of which always take one."""
    first = first_step(estimator)
    if type(first).__name__ in VECTORIZERS | {"IsotonicRegression"}:
        return 1
    count = getattr(estimator, "n_features_in_", getattr(first, "n_features_in_", None))
    return int(count) if isinstance(count, int | np.integer) and count > 0 else None


def first_step(estimator: Any) -> Any:
    """What sees the rows first: within pipelines their first step that does anything."""
    steps = getattr(estimator, "steps", None)
    while isinstance(steps, list) and steps:
        steps_doing = [step for _, step in steps if step not in (None, "passthrough")]
        if not steps_doing:
            break
        estimator = steps_doing[0]
        steps = getattr(estimator, "steps", None)
    return estimator


def placements(estimator: Any) -> Iterator[Placed]:
    """Walk an estimator and the parts within it whose columns can be told, each once."""
    count = width_of(estimator) or 0
    waiting = [Placed(estimator, tuple(range(count)))]
    seen: set[int] = set()
    while waiting and len(seen) < MOST_PLACED:
        placed = waiting.pop()
        if id(placed.part) not in seen:
            seen.add(id(placed.part))
            yield placed
            waiting.extend(_inside(placed))


def _inside(placed: Placed) -> Iterator[Placed]:
    for attribute, walk in STRUCTURES.items():
        if isinstance(getattr(placed.part, attribute, None), list):
            yield from walk(placed)
            return
    yield from _children(placed)


def _steps(placed: Placed) -> Iterator[Placed]:
    """The steps of a pipeline, as long as the columns stay what they were."""
    columns, before = placed.columns, placed.before
    for _, step in placed.part.steps:
        if step is None or isinstance(step, str):
            continue
        here = Placed(step, columns, before)
        yield here
        if here.kind in SCALERS and getattr(step, "n_features_in_", 0) == len(columns):
            before = (*before, step)
        elif not _keeps_columns(here):
            return


def _keeps_columns(placed: Placed) -> bool:
    part = placed.part
    if placed.kind in IMPUTERS:
        statistics = getattr(part, "statistics_", None)
        whole = statistics is None or len(statistics) == len(placed.columns)
        return whole and getattr(part, "indicator_", None) is None
    return placed.kind == "FunctionTransformer" and part.func is None


def _transformers(placed: Placed) -> Iterator[Placed]:
    """The transformers of a ColumnTransformer; scikit-learn resolves their columns to positions."""
    if placed.before:
        return
    indices = getattr(placed.part, "_transformer_to_input_indices", {})
    for name, transformer, _ in placed.part.transformers_:
        if not isinstance(transformer, str) and name in indices:
            own = tuple(placed.columns[at] for at in np.asarray(indices[name], int).tolist())
            yield Placed(transformer, own)


def _union(placed: Placed) -> Iterator[Placed]:
    for _, transformer in placed.part.transformer_list:
        if transformer is not None and not isinstance(transformer, str):
            yield Placed(transformer, placed.columns, placed.before)


STRUCTURES: Final[dict[str, Callable[[Placed], Iterator[Placed]]]] = {
    "steps": _steps,
    "transformers_": _transformers,
    "transformer_list": _union,
}


def _children(placed: Placed) -> Iterator[Placed]:
    """Fitted estimators among the attributes that take as many columns as the part itself."""
    part, columns = placed.part, placed.columns
    if not hasattr(part, "__dict__"):
        return
    chosen = getattr(part, "estimators_features_", None)
    for name, value in vars(part).items():
        if name == "estimators_" and chosen is not None:
            for child, own in zip(value, chosen, strict=False):
                yield _bagged(placed, child, [int(at) for at in own])
        elif name != "final_estimator_":
            for child in _estimators(value):
                if width_of(child) == len(columns):
                    yield Placed(child, columns, placed.before)


def _bagged(placed: Placed, child: Any, own: list[int]) -> Placed:
    if own == list(range(len(placed.columns))):
        return Placed(child, placed.columns, placed.before)
    return Placed(child, tuple(placed.columns[at] for at in own))


def _estimators(value: Any) -> Iterator[Any]:
    if isinstance(value, np.ndarray):
        value = value.ravel().tolist() if value.dtype == object else ()
    several: Sequence[Any] = value if isinstance(value, list | tuple) else (value,)
    for one in several:
        if isinstance(one, tuple):  # (name, estimator)
            yield from (part for part in one if hasattr(part, "get_params"))
        elif hasattr(one, "get_params") and not isinstance(one, type):
            yield one
        elif type(one).__name__ == "_CalibratedClassifier":
            yield one.estimator
