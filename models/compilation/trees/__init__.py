"""Tree ensembles, answered by treelite from arrays that were looked through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from numpy.typing import NDArray

from models.compilation import Predictor, Unsuitable
from models.compilation.trees.boosting import BOOSTERS
from models.compilation.trees.checks import checked_ensemble
from models.compilation.trees.ensemble import NAMES as ENSEMBLE_NAMES
from models.compilation.trees.ensemble import Arrays, Ensemble
from models.compilation.trees.forests import FORESTS
from models.compilation.trees.lightgbm_trees import lightgbm_arrays
from models.compilation.trees.outcomes import NAMES as OUTCOME_NAMES
from models.compilation.trees.outcomes import Outcome, outcome_of
from models.compilation.trees.readings import NAMES as READING_NAMES
from models.compilation.trees.readings import Reading, reading_of
from models.compilation.trees.runtime import Sums
from models.compilation.trees.xgboost_trees import xgboost_arrays
from models.errors import ArraysMalformed, EstimatorNotHeld, MethodUnknown, RowsRefused
from models.tables import Features, column_count

XGBOOST: Final = (
    "Booster",
    "XGBClassifier",
    "XGBRegressor",
    "XGBRFClassifier",
    "XGBRFRegressor",
    "XGBRanker",
)
LIGHTGBM: Final = ("Booster", "LGBMClassifier", "LGBMRegressor", "LGBMRanker")
LIGHTGBM_FILES: Final = ("LightgbmModel", "LightgbmClassifier")  # models.handlers.lightgbm_file's
KNOWN: Final[Mapping[tuple[str, str], Callable[[Any], Arrays]]] = {
    **{("sklearn", name): take for name, take in {**FORESTS, **BOOSTERS}.items()},
    **{("xgboost", name): xgboost_arrays for name in XGBOOST},
    **{("lightgbm", name): lightgbm_arrays for name in LIGHTGBM},
    **{("models", name): lightgbm_arrays for name in LIGHTGBM_FILES},
}


class TreePredictor:
    """Reads rows, sums the leaves that they reach, and answers from the sums."""

    __slots__ = ("_ask", "_features", "_outcome", "_reading", "methods", "size", "steps")

    def __init__(self, reading: Reading, trees: Ensemble, outcome: Outcome) -> None:
        self._reading, self._outcome, self._features = reading, outcome, trees.features
        sums = Sums(trees)
        self._ask = sums.each if outcome.EACH else sums.sums
        self.methods = outcome.methods
        self.size, self.steps = sums.size, sums.steps

    def answer(self, method: str, features: Features) -> NDArray[Any]:
        """Answer each row; raises RowsRefused for a row that the model's own library refuses."""
        if method not in self.methods:
            raise MethodUnknown(method, tuple(sorted(self.methods)))
        if column_count(features) != self._features:
            raise RowsRefused(f"other than the {self._features} columns that the trees read")
        return self._outcome.answer(method, self._ask(self._reading.read(features)))


class TreesEngine:
    """Serves trees of scikit-learn, XGBoost and LightGBM."""

    name = "trees"

    def compile(self, estimator: object) -> Mapping[str, NDArray[Any]] | Unsuitable:
        """Return the trees as flat arrays, how rows are read, and what is answered."""
        kind = type(estimator)
        taken = KNOWN.get((kind.__module__.partition(".")[0], kind.__name__))
        if taken is None:
            return Unsuitable(
                f"{kind.__name__} is no ensemble of trees that this engine knows", foreign=True
            )
        try:
            arrays = taken(estimator)
            self._read(arrays)
        except (EstimatorNotHeld, ArraysMalformed) as error:
            return Unsuitable(error.problem)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            return Unsuitable(f"{kind.__name__} is not fitted as it should be: {error!r}"[:300])
        return arrays

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> Predictor:
        """Check the arrays and build the trees from them."""
        reading, trees, outcome = self._read(arrays)
        return TreePredictor(reading, trees, outcome)

    def _read(self, arrays: Mapping[str, NDArray[Any]]) -> Any:
        unknown = arrays.keys() - {*ENSEMBLE_NAMES, *READING_NAMES, *OUTCOME_NAMES}
        if unknown:
            raise ArraysMalformed(f"trees have no {', '.join(sorted(unknown))}")
        trees = checked_ensemble(arrays)
        return reading_of(arrays, trees), trees, outcome_of(arrays, trees)
