"""Engines: what answers in place of a model's own library, where it is proven to agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from models.tables import Features


@dataclass(frozen=True, slots=True)
class Unsuitable:
    """The normal refusal of an engine: the reason why it cannot take an estimator.

    `foreign` says that the engine is for estimators of another kind altogether.
    """

    reason: str
    foreign: bool = False


class Predictor(Protocol):
    """An opened model; many threads may ask it at once."""

    @property
    def methods(self) -> frozenset[str]:
        """The methods that it answers, of those that models.signature names."""
        ...

    @property
    def size(self) -> int:
        """About how many bytes of memory it holds."""
        ...

    def answer(self, method: str, features: Features) -> NDArray[Any]:
        """Answer each row, in the dtype of the model's own answers.

        Whoever asks has numpy warn of nothing (`np.errstate`): that takes as long as a small model.
        """
        ...


class Engine(Protocol):
    """Takes estimators apart into plain arrays, and answers from such arrays.

    An engine is one module here and one line in `models.engines`. It imports no machine-learning
    library when it is imported or loads arrays, since it runs inside web workers.
    """

    name: str

    def compile(self, estimator: object) -> Mapping[str, NDArray[Any]] | Unsuitable:
        """Return the arrays that answer like the estimator, or why there are none."""
        ...

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> Predictor:
        """Open arrays; raises ArraysMalformed unless they mean a model of this engine."""
        ...
