"""Linear models as matrix products, bit for bit as scikit-learn computes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.compilation import Predictor, Unsuitable
from models.compilation.linear.answers import KINDS
from models.compilation.linear.taking import TAKERS
from models.errors import ArraysMalformed, EstimatorNotHeld


class LinearEngine:
    """Serves scikit-learn's linear models in numpy alone."""

    name = "linear"

    def compile(self, estimator: object) -> Mapping[str, NDArray[Any]] | Unsuitable:
        """Return coefficients, intercepts and labels, and what is answered with them."""
        own = type(estimator)
        taker = TAKERS.get(own.__name__) if own.__module__.startswith("sklearn.") else None
        if taker is None:
            return Unsuitable(
                f"{own.__name__} is no linear model that this engine knows", foreign=True
            )
        try:
            kind, arrays = taker(estimator)
            KINDS[kind](arrays)
        except (EstimatorNotHeld, ArraysMalformed) as error:
            return Unsuitable(error.problem)
        except (AttributeError, TypeError, ValueError) as error:
            return Unsuitable(f"{own.__name__} is not fitted as it should be: {error}")
        return {"kind": np.array([kind]), **arrays}

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> Predictor:
        """Open a linear model; raises ArraysMalformed unless the arrays are those of its kind."""
        kind = arrays.get("kind")
        if kind is None or kind.shape != (1,) or kind.tolist()[0] not in KINDS:
            raise ArraysMalformed("they are of no kind of linear model")
        own = {name: array for name, array in arrays.items() if name != "kind"}
        return KINDS[str(kind[0])](own)
