"""Functions of numpy that a transformer applies, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from models.compilation.numeric.taking import Taken, Taker, text
from models.errors import EstimatorNotHeld
from models.layouts import choice, layout
from models.parts import Part, matrix
from models.tables import Features, Table

FUNCTIONS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        function.__name__: function
        for function in (
            np.absolute,
            np.arcsinh,
            np.arctan,
            np.cbrt,
            np.ceil,
            np.cos,
            np.cosh,
            np.deg2rad,
            np.exp,
            np.exp2,
            np.expm1,
            np.floor,
            np.log,
            np.log10,
            np.log1p,
            np.log2,
            np.negative,
            np.rad2deg,
            np.reciprocal,
            np.rint,
            np.sign,
            np.sin,
            np.sinh,
            np.sqrt,
            np.square,
            np.tan,
            np.tanh,
            np.trunc,
        )
    }
)
SAME: Final = "same"


class Function(Part):
    """One function of each number, or the numbers as they are."""

    LAYOUT = layout(function=choice(SAME, *FUNCTIONS))

    def transform(self, features: Features) -> Any:
        """The function's values; texts that stay as they are come as objects."""
        name = str(self.arrays["function"][0])
        if name != SAME:
            return FUNCTIONS[name](matrix(features))
        if isinstance(features, Table) and "text" in features.kinds:
            return np.column_stack([column.astype(object) for column in features.columns])
        return matrix(features)


def function(called: object) -> Taken:
    """A function's name; raises EstimatorNotHeld for one that is not numpy's own."""
    if called is None:
        return "function", {"function": text(SAME)}
    known = [name for name, own in FUNCTIONS.items() if own is called]
    if not known:
        raise EstimatorNotHeld(f"its function {getattr(called, '__name__', called)!r} is not known")
    return "function", {"function": text(known[0])}


def _transformer(estimator: Any) -> Taken:
    if estimator.kw_args:
        raise EstimatorNotHeld("its function is given arguments")
    return function(estimator.func)


KINDS: Final[dict[str, type[Part]]] = {"function": Function}
TAKERS: Final[dict[str, Taker]] = {"FunctionTransformer": _transformer}
