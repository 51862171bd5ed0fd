"""Every estimator that scikit-learn offers, fitted on few rows that it takes."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import all_estimators

RANDOM = np.random.default_rng(3)
ROWS: Final = RANDOM.normal(size=(80, 4))
POSITIVE: Final = np.abs(ROWS) + 0.1
COUNTS: Final = RANDOM.integers(0, 4, (80, 4)).astype(np.float64)
NUMBERS: Final = ROWS @ [1.0, -2.0, 0.5, 0.0] + 3 + RANDOM.normal(size=80) * 0.1
AMOUNTS: Final = np.exp(NUMBERS / 4)
LABELS: Final = np.where(NUMBERS > 3, "up", "down")
SEVERAL: Final = np.c_[NUMBERS > 3, ROWS[:, 1] > 0].astype(int)
TEXTS: Final = [f"a text about {word} and {RANDOM.integers(9)}" for word in LABELS]

Arguments = tuple[Any, ...]

# Of estimators that need something, or that take what is not usual.
GIVEN: Final[Mapping[str, dict[str, Any]]] = {
    "ClassifierChain": {"estimator": LogisticRegression()},
    "ColumnTransformer": {"transformers": [("scaled", StandardScaler(), [0, 1])]},
    "FeatureUnion": {"transformer_list": [("scaled", StandardScaler()), ("pca", PCA(2))]},
    "FixedThresholdClassifier": {"estimator": LogisticRegression()},
    "FrozenEstimator": {"estimator": LinearRegression().fit(ROWS, NUMBERS)},
    "GridSearchCV": {"estimator": DecisionTreeClassifier(), "param_grid": {"max_depth": [1, 2]}},
    "HalvingGridSearchCV": {
        "estimator": DecisionTreeClassifier(),
        "param_grid": {"max_depth": [1, 2]},
    },
    "HalvingRandomSearchCV": {
        "estimator": DecisionTreeClassifier(),
        "param_distributions": {"max_depth": [1, 2]},
    },
    "MultiOutputClassifier": {"estimator": DecisionTreeClassifier(max_depth=2)},
    "MultiOutputRegressor": {"estimator": DecisionTreeRegressor(max_depth=2)},
    "OneVsOneClassifier": {"estimator": LogisticRegression()},
    "OneVsRestClassifier": {"estimator": LogisticRegression()},
    "OutputCodeClassifier": {"estimator": LogisticRegression()},
    "Pipeline": {"steps": [("scaled", StandardScaler()), ("model", LogisticRegression())]},
    "RFE": {"estimator": LogisticRegression()},
    "RFECV": {"estimator": LogisticRegression()},
    "RandomizedSearchCV": {
        "estimator": DecisionTreeClassifier(),
        "param_distributions": {"max_depth": [1, 2]},
        "n_iter": 2,
    },
    "RegressorChain": {"estimator": LinearRegression()},
    "SelectFromModel": {"estimator": LogisticRegression()},
    "SelfTrainingClassifier": {"estimator": LogisticRegression()},
    "SequentialFeatureSelector": {"estimator": LinearRegression(), "n_features_to_select": 2},
    "SparseCoder": {"dictionary": np.eye(4)},
    "StackingClassifier": {"estimators": [("tree", DecisionTreeClassifier(max_depth=2))]},
    "StackingRegressor": {"estimators": [("tree", DecisionTreeRegressor(max_depth=2))]},
    "TunedThresholdClassifierCV": {"estimator": LogisticRegression()},
    "VotingClassifier": {
        "estimators": [
            ("tree", DecisionTreeClassifier(max_depth=2)),
            ("linear", LogisticRegression()),
        ],
        "voting": "soft",
    },
    "VotingRegressor": {
        "estimators": [("tree", DecisionTreeRegressor(max_depth=2)), ("linear", LinearRegression())]
    },
    "LocalOutlierFactor": {"novelty": True},
    "RadiusNeighborsClassifier": {"radius": 3.0, "outlier_label": "down"},
    "RadiusNeighborsRegressor": {"radius": 3.0},
    "SpectralBiclustering": {"n_clusters": 2},
    "BayesianGaussianMixture": {"n_components": 2},
    "GaussianMixture": {"n_components": 2},
    "MLPClassifier": {"max_iter": 30},
    "MLPRegressor": {"max_iter": 30},
    "LinearDiscriminantAnalysis": {"n_components": 1},
    "FeatureAgglomeration": {"n_clusters": 2},
    "TSNE": {"perplexity": 5},
}  # fmt: skip
FEW: Final = {"n_estimators": 8, "n_init": 1, "max_iter": 200, "n_components": 2}
KEEPS: Final = frozenset({"max_iter"})
ON: Final[Mapping[str, Callable[[], Arguments]]] = {
    "AdditiveChi2Sampler": lambda: (POSITIVE,),
    "CategoricalNB": lambda: (COUNTS, LABELS),
    "ClassifierChain": lambda: (ROWS, SEVERAL),
    "ComplementNB": lambda: (COUNTS, LABELS),
    "CountVectorizer": lambda: (TEXTS,),
    "DictVectorizer": lambda: ([{"a": 1.0}, {"b": 2.0}],),
    "FeatureHasher": lambda: ([{"a": 1.0}, {"b": 2.0}],),
    "GammaRegressor": lambda: (ROWS, AMOUNTS),
    "HashingVectorizer": lambda: (TEXTS,),
    "KernelCenterer": lambda: (ROWS @ ROWS.T,),
    "MissingIndicator": lambda: (np.where(ROWS > 1.5, np.nan, ROWS),),
    "PLSSVD": lambda: (ROWS, np.c_[NUMBERS, ROWS[:, 1]]),
    "SelfTrainingClassifier": lambda: (ROWS, np.where(ROWS[:, 1] > 1, -1, NUMBERS > 3)),
    "IsotonicRegression": lambda: (ROWS[:, 0], NUMBERS),
    "LabelBinarizer": lambda: (LABELS,),
    "LabelEncoder": lambda: (LABELS,),
    "LatentDirichletAllocation": lambda: (COUNTS,),
    "MiniBatchNMF": lambda: (POSITIVE,),
    "MultiLabelBinarizer": lambda: ([["a"], ["a", "b"]],),
    "MultiOutputClassifier": lambda: (ROWS, SEVERAL),
    "MultinomialNB": lambda: (COUNTS, LABELS),
    "NMF": lambda: (POSITIVE,),
    "PatchExtractor": lambda: (RANDOM.normal(size=(2, 8, 8)),),
    "PoissonRegressor": lambda: (ROWS, AMOUNTS),
    "SpectralCoclustering": lambda: (POSITIVE,),
    "SpectralBiclustering": lambda: (POSITIVE,),
    "TfidfVectorizer": lambda: (TEXTS,),
    "TweedieRegressor": lambda: (ROWS, AMOUNTS),
}
REGRESSION: Final = frozenset({"SequentialFeatureSelector", "TransformedTargetRegressor"})
TARGETS: Final = frozenset({"CCA", "PLSCanonical"})


def fitted(name: str) -> Any:
    """An estimator by its name in scikit-learn, fitted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what does not converge, or is deprecated, serves too
        estimator = _made(name)
        arguments = ON[name]() if name in ON else _usual(name, estimator)
        return estimator.fit(*arguments)


def names() -> list[str]:
    """The names of all estimators."""
    return list(_kinds())


@functools.cache
def _kinds() -> dict[str, type]:
    """Every class of an estimator, by its name: scikit-learn looks through all its modules."""
    return dict(all_estimators())


def _made(name: str) -> Any:
    kind = _kinds()[name]
    if name in GIVEN:
        return kind(**GIVEN[name])
    estimator = kind()
    known = estimator.get_params(deep=False)
    few = {
        option: value
        for option, value in FEW.items()
        if option in known and (option not in KEEPS or (known[option] or 0) > value)
    }
    return estimator.set_params(**few)


def _usual(name: str, estimator: Any) -> Arguments:
    kind = estimator.__sklearn_tags__().estimator_type
    if name.startswith("MultiTask") or name in {"RegressorChain", "MultiOutputRegressor"} | TARGETS:
        return (ROWS, np.c_[NUMBERS, ROWS[:, 1]])
    if kind == "regressor" or name in REGRESSION:
        return (ROWS, NUMBERS)
    return (ROWS, LABELS)


__all__ = ["COUNTS", "LABELS", "NUMBERS", "ROWS", "KMeans", "fitted", "names"]
