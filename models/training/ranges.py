"""What a parameter of an algorithm may be: drawn at random, or suggested by a sampler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from scipy import stats


@dataclass(frozen=True, slots=True)
class Among:
    """One of some values: plain ones, which JSON holds."""

    values: Sequence[Any]

    def drawn_from(self) -> Sequence[Any]:
        """What scikit-learn's samplers draw from."""
        return list(self.values)

    def suggested_from(self) -> optuna.distributions.BaseDistribution:
        """What Optuna's samplers choose from."""
        return optuna.distributions.CategoricalDistribution(tuple(self.values))


@dataclass(frozen=True, slots=True)
class Numbers:
    """A number between two, both over zero: as often of each size as of another."""

    low: float
    high: float

    def drawn_from(self) -> Any:
        """What scikit-learn's samplers draw from."""
        return stats.loguniform(self.low, self.high)

    def suggested_from(self) -> optuna.distributions.BaseDistribution:
        """What Optuna's samplers choose from."""
        return optuna.distributions.FloatDistribution(self.low, self.high, log=True)


@dataclass(frozen=True, slots=True)
class Shares:
    """A number between two, each as likely as another."""

    low: float
    high: float

    def drawn_from(self) -> Any:
        """What scikit-learn's samplers draw from."""
        return stats.uniform(self.low, self.high - self.low)

    def suggested_from(self) -> optuna.distributions.BaseDistribution:
        """What Optuna's samplers choose from."""
        return optuna.distributions.FloatDistribution(self.low, self.high)


@dataclass(frozen=True, slots=True)
class Counts:
    """A whole number between two, both of them possible."""

    low: int
    high: int

    def drawn_from(self) -> Any:
        """What scikit-learn's samplers draw from."""
        return stats.randint(self.low, self.high + 1)

    def suggested_from(self) -> optuna.distributions.BaseDistribution:
        """What Optuna's samplers choose from."""
        return optuna.distributions.IntDistribution(self.low, self.high)


Range = Among | Numbers | Shares | Counts
Space = Mapping[str, Range]


def plain(value: Any) -> Any:
    """A drawn value as JSON holds it."""
    return value.item() if isinstance(value, np.generic) else value
