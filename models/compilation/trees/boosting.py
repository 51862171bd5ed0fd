"""Takes scikit-learn's gradient boosting apart, of both kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.trees.ensemble import Arrays, Floats, Tree, ensemble_of, stump
from models.compilation.trees.forests import leaf_values, tree_of
from models.compilation.trees.readings import AS_DOUBLE, AS_SINGLE, CODED
from models.errors import EstimatorNotHeld
from models.labels import plain_labels

STEADY: Final = frozenset({"DummyRegressor", "DummyClassifier"})
STEADY_STRATEGIES: Final = frozenset(
    {"prior", "most_frequent", "constant", "mean", "median", "quantile"}
)
WORD_BITS: Final = 32


def boosting_arrays(estimator: Any) -> Arrays:
    """Gradient boosting whose first guess is the same for every row."""
    first, columns = estimator.init_, estimator.n_features_in_
    steady = type(first).__name__ in STEADY and first.strategy in STEADY_STRATEGIES
    if not steady and not (isinstance(first, str) and first == "zero"):
        raise EstimatorNotHeld("its first guess is not the same for every row")
    guesses = estimator._raw_predict_init(np.zeros((1, columns)))[0]
    rate = estimator.learning_rate
    stages = [
        [tree_of(fitted, rate * leaf_values(fitted)[:, :, 0]) for fitted in stage]
        for stage in estimator.estimators_
    ]
    return {
        **_summed(guesses, stages, columns),
        "reading": np.array([AS_SINGLE]),
        **_outcome(estimator, len(guesses), zero_is_second=True),
    }


def histogram_arrays(estimator: Any) -> Arrays:
    """Histogram-based gradient boosting, with categories and missing values."""
    columns = estimator.n_features_in_
    reading, order = _categories(estimator)
    stages = [
        [_histogram_tree(fitted, order) for fitted in stage] for stage in estimator._predictors
    ]
    guesses = np.asarray(estimator._baseline_prediction, np.float64).reshape(-1)
    arrays: dict[str, NDArray[Any]] = {
        **_summed(guesses, stages, columns),
        **reading,
        **_outcome(estimator, len(guesses), zero_is_second=False),
    }
    if "classes" in arrays:
        arrays["withheld"] = np.array(["predict_log_proba"])  # which this estimator lacks
    return arrays


def _summed(guesses: Floats, stages: list[list[Tree]], columns: int) -> Arrays:
    """Trees that add to one sum each, a first guess before them, as the library adds."""
    width = len(guesses)
    if any(len(stage) != width for stage in stages):
        raise EstimatorNotHeld("its stages have not one tree for each score")
    trees = [stump(guess) for guess in guesses.reshape(-1, 1)]
    trees += [tree for stage in stages for tree in stage]
    sums = None if width == 1 else list(range(width)) * (len(stages) + 1)
    return ensemble_of(trees, features=columns, width=width, columns=sums).as_arrays()


def _outcome(estimator: Any, width: int, *, zero_is_second: bool) -> Arrays:
    if not hasattr(estimator, "classes_"):
        link = type(estimator._loss.link).__name__
        if link not in LINKS or width != 1:
            raise EstimatorNotHeld(f"its link {link} is not known")
        return {"outcome": np.array([LINKS[link]])}
    classes = plain_labels(estimator.classes_)
    if width > 1:
        return {"outcome": np.array(["multinomial"]), "classes": classes}
    scale = SCALES.get(type(estimator._loss.link).__name__)
    if scale is None or len(classes) != 2:
        raise EstimatorNotHeld("its scores are of a kind that is not known")
    return {
        "outcome": np.array(["binomial"]),
        "classes": classes,
        "numbers": np.array([scale, float(zero_is_second)]),
    }


def _histogram_tree(fitted: Any, order: NDArray[np.int64]) -> Tree:
    nodes = fitted.nodes
    leaf = nodes["is_leaf"] != 0
    categorical = ~leaf & (nodes["is_categorical"] != 0)
    bits = fitted.raw_left_cat_bitsets
    return Tree(
        left=np.where(leaf, -1, nodes["left"].astype(np.int64)),
        right=np.where(leaf, -1, nodes["right"].astype(np.int64)),
        feature=order[np.where(leaf, 0, nodes["feature_idx"])],
        threshold=np.where(leaf | categorical, 0.0, nodes["num_threshold"]),
        default_left=~leaf & (nodes["missing_go_to_left"] != 0),
        leaves=nodes["value"][leaf].reshape(-1, 1),
        sets={
            int(node): _members(bits[nodes["bitset_idx"][node]])
            for node in np.flatnonzero(categorical)
        },
    )


def _members(words: NDArray[np.uint32]) -> list[int]:
    """The numbers in a set of bits."""
    return [
        WORD_BITS * place + bit
        for place, word in enumerate(words.tolist())
        for bit in range(WORD_BITS)
        if word >> bit & 1
    ]


def _categories(estimator: Any) -> tuple[Arrays, NDArray[np.int64]]:
    """How to read rows, and the column that each feature of the trees stands for."""
    columns = np.arange(estimator.n_features_in_)
    if getattr(estimator, "_preprocessor", None) is None:
        return {"reading": np.array([AS_DOUBLE])}, columns
    coded = np.flatnonzero(estimator.is_categorical_)
    encoder = estimator._preprocessor.named_transformers_["encoder"]
    known = [_known(values) for values in encoder.categories_]
    _refuse_unknown_codes(estimator, known)
    arrays = {
        "reading": np.array([CODED]),
        "coded": coded.astype(np.int64),
        "code_sizes": np.array([len(values) for values in known], np.int64),
        "code_textual": np.array([values.dtype.kind == "U" for values in known]),
    }
    for name, kind in (("code_numbers", "f"), ("code_texts", "U")):
        some = [values for values in known if values.dtype.kind == kind and len(values)]
        if some:
            arrays[name] = np.concatenate(some)
    # The encoder puts what it encodes before the other columns.
    return arrays, np.concatenate([coded, np.setdiff1d(columns, coded)])


def _known(values: NDArray[Any]) -> NDArray[Any]:
    """The categories of a column in the order of their codes, as numbers or texts."""
    if len(values) and isinstance(values[-1], float | np.floating) and np.isnan(values[-1]):
        values = values[:-1]
    if not len(values):
        return np.zeros(0)
    plain = plain_labels(values)
    return plain if plain.dtype.kind == "U" else plain.astype(np.float64)


def _refuse_unknown_codes(estimator: Any, known: list[NDArray[Any]]) -> None:
    """A code that the trees do not know would be missing to them, and is not to these arrays."""
    bits, _ = estimator._bin_mapper.make_known_categories_bitsets()
    for words, values in zip(bits, known, strict=True):
        if _members(words) != list(range(len(values))):
            raise EstimatorNotHeld("its trees know other categories than its encoder")


LINKS: Final = {"IdentityLink": "total", "LogLink": "exponential"}
SCALES: Final = {"LogitLink": 1.0, "HalfLogitLink": 2.0}
BOOSTERS: Final[Mapping[str, Callable[[Any], Arrays]]] = {
    "GradientBoostingClassifier": boosting_arrays,
    "GradientBoostingRegressor": boosting_arrays,
    "HistGradientBoostingClassifier": histogram_arrays,
    "HistGradientBoostingRegressor": histogram_arrays,
}
