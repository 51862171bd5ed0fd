"""The engine of single estimators in numpy: finds the family, and keeps it beside the arrays."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation import Predictor, Unsuitable
from models.compilation.numeric import (
    bayes,
    clusters,
    constants,
    counting,
    dates,
    discriminants,
    expansions,
    filling,
    functions,
    kernels,
    machines,
    mixtures,
    neighbours,
    networks,
    probing,
    processes,
    projections,
    scaling,
    within,
    words,
)
from models.compilation.numeric.taking import Taker
from models.errors import ArraysMalformed, EstimatorNotHeld
from models.parts import Part

OURS: Final = ("sklearn.", "models.date_parts")
_FAMILIES: Final = (
    bayes,
    clusters,
    constants,
    counting,
    dates,
    discriminants,
    expansions,
    filling,
    functions,
    kernels,
    machines,
    mixtures,
    neighbours,
    networks,
    probing,
    processes,
    projections,
    scaling,
    within,
    words,
)
KINDS: Final[Mapping[str, type[Part]]] = MappingProxyType(
    {name: part for family in _FAMILIES for name, part in family.KINDS.items()}
)
TAKERS: Final[Mapping[str, Taker]] = MappingProxyType(
    {name: taker for family in _FAMILIES for name, taker in family.TAKERS.items()}
)


class NumericEngine:
    """Serves single estimators of scikit-learn in numpy alone."""

    name = "numeric"

    def compile(self, estimator: object) -> Mapping[str, NDArray[Any]] | Unsuitable:
        """Return the estimator's arrays and `kind`, which part answers from them."""
        own = type(estimator)
        taker = TAKERS.get(own.__name__) if own.__module__.startswith(OURS) else None
        if taker is None:
            return Unsuitable(
                f"{own.__name__} is no estimator that this engine knows", foreign=True
            )
        try:
            with np.errstate(all="ignore"):
                kind, arrays = taker(estimator)
                KINDS[kind](arrays)
        except (EstimatorNotHeld, ArraysMalformed) as error:
            return Unsuitable(error.problem)
        except (AttributeError, TypeError, ValueError, IndexError) as error:
            return Unsuitable(f"{own.__name__} is not fitted as it should be: {error}")
        return {"kind": np.array([kind]), **arrays}

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> Predictor:
        """Open an estimator; raises ArraysMalformed unless the arrays are those of its kind."""
        kind = arrays.get("kind")
        if kind is None or kind.dtype.kind != "U" or kind.shape != (1,) or kind[0] not in KINDS:
            raise ArraysMalformed("they are of no kind that this engine knows")
        own = {name: array for name, array in arrays.items() if name != "kind"}
        with np.errstate(all="ignore"):
            return KINDS[str(kind[0])](own)
