"""The algorithms that are compared: how each is made, and what of it can be tuned.

What is not set here is scikit-learn's own default. Each makes one estimator of one thread, seeded;
fits run side by side, not parts of one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final

from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from models.errors import SpecRefused
from models.training.ranges import Among, Counts, Numbers, Shares, Space
from models.training.spec import Task
from models.training.study import Study

CALIBRATION_FOLDS: Final = 3
MANY_ROWS: Final = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Algorithm:
    """One way to learn; `scaled` ones want columns of one size.

    `limited` ones stop after `max_iter` rounds, whether or not they have converged by then.
    Of more than `most_rows`, whose square its fit takes, it is fitted where the spec names it.
    `weighs` ones take the weights of classes, where the spec balances them.
    """

    name: str
    title: str
    task: Task
    build: Callable[..., Any]
    scaled: bool = False
    space: Space = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    seeded: bool = False
    baseline: bool = False
    limited: bool = False
    weighs: bool = False
    most_rows: int = 0

    def make(self, study: Study, params: Mapping[str, Any], seed: int) -> Any:
        """An unfitted estimator; `params` are those of the space, or none of them."""
        arguments = {**self.settings, **params}
        if self.seeded:
            arguments["random_state"] = seed
        if self.weighs and study.spec.balance:
            arguments["class_weight"] = "balanced"
        return self.build(**arguments)


def _support_vectors(**arguments: Any) -> Any:
    """Support vectors with probabilities, which scikit-learn gives them by calibration."""
    return CalibratedClassifierCV(SVC(**arguments), ensemble=False, cv=CALIBRATION_FOLDS)


def _of_scaled_target(build: Callable[..., Any]) -> Callable[..., Any]:
    """A regressor whose penalties mean something only where its target is of size one."""

    def made(**arguments: Any) -> Any:
        return TransformedTargetRegressor(build(**arguments), transformer=StandardScaler())

    return made


_TREE: Final[Space] = {
    "max_depth": Among((None, 3, 5, 8, 12, 20)),
    "min_samples_leaf": Counts(1, 30),
}
_FOREST: Final[Space] = {
    "n_estimators": Among((50, 100, 200, 300)),
    "max_features": Among(("sqrt", 0.3, 0.6, 1.0)),
    "min_samples_leaf": Counts(1, 20),
    "max_depth": Among((None, 6, 12, 20)),
}
_BOOSTING: Final[Space] = {
    "n_estimators": Among((50, 100, 200, 300)),
    "learning_rate": Numbers(0.01, 0.3),
    "max_depth": Counts(2, 6),
    "subsample": Shares(0.5, 1.0),
}
_HISTOGRAM: Final[Space] = {
    "learning_rate": Numbers(0.01, 0.3),
    "max_iter": Among((50, 100, 200, 300)),
    "max_leaf_nodes": Among((7, 15, 31, 63)),
    "min_samples_leaf": Counts(5, 60),
    "l2_regularization": Numbers(1e-6, 10.0),
}
_NEIGHBOURS: Final[Space] = {
    "n_neighbors": Counts(1, 40),
    "weights": Among(("uniform", "distance")),
    "p": Among((1, 2)),
}
_MACHINE: Final[Space] = {"C": Numbers(1e-2, 1e3), "gamma": Numbers(1e-4, 1.0)}
_NETWORK: Final[Space] = {
    "hidden_layer_sizes": Among((32, 64, 100, 200)),
    "alpha": Numbers(1e-6, 1e-1),
    "learning_rate_init": Numbers(1e-4, 1e-2),
}
_PENALTY: Final[Space] = {"alpha": Numbers(1e-4, 1e3)}
_ROUNDS: Final = {"max_iter": 1_000}

_CLASSIFIERS: Final = (
    Algorithm(
        name="dummy",
        title="Baseline: the share of each class",
        task="classification",
        build=DummyClassifier,
        settings={"strategy": "prior"},
        baseline=True,
    ),
    Algorithm(
        name="logistic",
        title="Logistic regression",
        task="classification",
        build=LogisticRegression,
        scaled=True,
        space={"C": Numbers(1e-4, 1e3)},
        settings=_ROUNDS,
        limited=True,
        weighs=True,
    ),
    Algorithm(
        name="ridge",
        title="Ridge classifier",
        task="classification",
        build=RidgeClassifier,
        scaled=True,
        space=_PENALTY,
        weighs=True,
    ),
    Algorithm(
        name="naive_bayes",
        title="Naive Bayes",
        task="classification",
        build=GaussianNB,
        scaled=True,
        space={"var_smoothing": Numbers(1e-10, 1e-1)},
    ),
    Algorithm(
        name="tree",
        title="Decision tree",
        task="classification",
        build=DecisionTreeClassifier,
        space=_TREE,
        seeded=True,
        weighs=True,
    ),
    Algorithm(
        name="knn",
        title="Nearest neighbours",
        task="classification",
        build=KNeighborsClassifier,
        scaled=True,
        space=_NEIGHBOURS,
    ),
    Algorithm(
        name="random_forest",
        title="Random forest",
        task="classification",
        build=RandomForestClassifier,
        space=_FOREST,
        seeded=True,
        weighs=True,
    ),
    Algorithm(
        name="extra_trees",
        title="Extra trees",
        task="classification",
        build=ExtraTreesClassifier,
        space=_FOREST,
        seeded=True,
        weighs=True,
    ),
    Algorithm(
        name="hist_gradient_boosting",
        title="Histogram gradient boosting",
        task="classification",
        build=HistGradientBoostingClassifier,
        space=_HISTOGRAM,
        seeded=True,
        weighs=True,
    ),
    Algorithm(
        name="gradient_boosting",
        title="Gradient boosting",
        task="classification",
        build=GradientBoostingClassifier,
        space=_BOOSTING,
        seeded=True,
    ),
    Algorithm(
        name="svc",
        title="Support vectors",
        task="classification",
        build=_support_vectors,
        scaled=True,
        space=_MACHINE,
        seeded=True,
        weighs=True,
        most_rows=MANY_ROWS,
    ),
    Algorithm(
        name="mlp",
        title="Neural network",
        task="classification",
        build=MLPClassifier,
        scaled=True,
        space=_NETWORK,
        settings={"max_iter": 400},
        seeded=True,
        limited=True,
    ),
)
_REGRESSORS: Final = (
    Algorithm(
        name="dummy",
        title="Baseline: the mean",
        task="regression",
        build=DummyRegressor,
        settings={"strategy": "mean"},
        baseline=True,
    ),
    Algorithm(
        name="linear",
        title="Linear regression",
        task="regression",
        build=LinearRegression,
        scaled=True,
    ),
    Algorithm(
        name="ridge",
        title="Ridge regression",
        task="regression",
        build=Ridge,
        scaled=True,
        space=_PENALTY,
    ),
    Algorithm(
        name="lasso",
        title="Lasso",
        task="regression",
        build=Lasso,
        scaled=True,
        space=_PENALTY,
        settings=_ROUNDS,
        limited=True,
    ),
    Algorithm(
        name="elastic_net",
        title="Elastic net",
        task="regression",
        build=ElasticNet,
        scaled=True,
        space={**_PENALTY, "l1_ratio": Shares(0.05, 1.0)},
        settings=_ROUNDS,
        limited=True,
    ),
    Algorithm(
        name="tree",
        title="Decision tree",
        task="regression",
        build=DecisionTreeRegressor,
        space=_TREE,
        seeded=True,
    ),
    Algorithm(
        name="knn",
        title="Nearest neighbours",
        task="regression",
        build=KNeighborsRegressor,
        scaled=True,
        space=_NEIGHBOURS,
    ),
    Algorithm(
        name="random_forest",
        title="Random forest",
        task="regression",
        build=RandomForestRegressor,
        space=_FOREST,
        seeded=True,
    ),
    Algorithm(
        name="extra_trees",
        title="Extra trees",
        task="regression",
        build=ExtraTreesRegressor,
        space=_FOREST,
        seeded=True,
    ),
    Algorithm(
        name="hist_gradient_boosting",
        title="Histogram gradient boosting",
        task="regression",
        build=HistGradientBoostingRegressor,
        space=_HISTOGRAM,
        seeded=True,
    ),
    Algorithm(
        name="gradient_boosting",
        title="Gradient boosting",
        task="regression",
        build=GradientBoostingRegressor,
        space=_BOOSTING,
        seeded=True,
    ),
    Algorithm(
        name="svr",
        title="Support vectors",
        task="regression",
        build=_of_scaled_target(SVR),
        scaled=True,
        space=_MACHINE,
        most_rows=MANY_ROWS,
    ),
    Algorithm(
        name="mlp",
        title="Neural network",
        task="regression",
        build=_of_scaled_target(MLPRegressor),
        scaled=True,
        space=_NETWORK,
        settings={"max_iter": 400},
        seeded=True,
        limited=True,
    ),
)
ALGORITHMS: Final[Mapping[Task, Mapping[str, Algorithm]]] = MappingProxyType(
    {
        "classification": MappingProxyType({each.name: each for each in _CLASSIFIERS}),
        "regression": MappingProxyType({each.name: each for each in _REGRESSORS}),
    }
)


def algorithms_of(study: Study) -> tuple[Algorithm, ...]:
    """Those that a spec names, or all, the cheap ones first; the baseline always.

    Raises SpecRefused for a name that the task has none of.
    """
    known = ALGORITHMS[study.task]
    wanted = study.spec.compare.algorithms
    for name in wanted:
        if name not in known:
            close = get_close_matches(name, known, 1)
            meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise SpecRefused(
                "compare.algorithms", f"no algorithm for {study.task} is called {name!r}", meant
            )
    return tuple(
        each for each in known.values() if each.baseline or not wanted or each.name in wanted
    )
