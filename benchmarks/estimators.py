"""Every estimator of scikit-learn, fitted on small data that suits it."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import (
    compose,
    decomposition,
    ensemble,
    feature_selection,
    frozen,
    linear_model,
    model_selection,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    pipeline,
    preprocessing,
    svm,
    tree,
)
from sklearn.base import OutlierMixin
from sklearn.utils import all_estimators

ROWS = 150
RANDOM = np.random.default_rng(20)
FEATURES = RANDOM.normal(size=(ROWS, 5)) * [1.0, 3.0, 0.5, 10.0, 1.0]
FEATURES[:, 4] = np.round(FEATURES[:, 4])
NUMBERS = FEATURES @ [1.0, -0.5, 2.0, 0.0, 0.3] + RANDOM.normal(size=ROWS) * 0.3
TWO = np.where(NUMBERS > 0, "yes", "no")
THREE = np.digitize(NUMBERS, [-1.5, 1.5])
POSITIVE = np.abs(FEATURES) + 0.05
CATEGORIES = np.clip(np.round(np.abs(FEATURES)), 0, 4)
HOLES = np.where(RANDOM.random(FEATURES.shape) < 0.1, np.nan, FEATURES)
TEXTS = ["red apple pie", "green apple", "blue sky and red sun", "a green, green hill"] * 30
SEVERAL = np.c_[NUMBERS > 0, FEATURES[:, 0] > 0].astype(int)

KINDS = ("classifier", "regressor", "cluster", "outlier", "transformer", "other")
TITLES = {
    "classifier": "Classifiers",
    "regressor": "Regressors",
    "cluster": "Clustering",
    "outlier": "Outlier detection",
    "transformer": "Transformers",
    "other": "Mixtures, wrappers and others",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One fitted estimator; `data` says on what."""

    kind: str
    name: str
    data: str
    estimator: Any


def _voters(*, numbers: bool = False) -> list[tuple[str, Any]]:
    if numbers:
        return [("vectors", svm.SVR()), ("trees", ensemble.RandomForestRegressor(10))]
    return [("bayes", naive_bayes.GaussianNB()), ("trees", ensemble.RandomForestClassifier(10))]


def _logistic() -> Any:
    return linear_model.LogisticRegression(max_iter=200)


_BUILT: Mapping[str, Callable[[], Any]] = {
    "ClassifierChain": lambda: multioutput.ClassifierChain(_logistic()),
    "ColumnTransformer": lambda: compose.ColumnTransformer(
        [("scaled", preprocessing.StandardScaler(), [0, 1]), ("cut", _bins(), [2, 3])]
    ),
    "DummyClassifier": lambda: _named("DummyClassifier")(strategy="prior"),
    "FeatureUnion": lambda: pipeline.FeatureUnion(
        [("scaled", preprocessing.StandardScaler()), ("turned", decomposition.PCA(2))]
    ),
    "FrozenEstimator": lambda: frozen.FrozenEstimator(_logistic().fit(FEATURES, THREE)),
    "GridSearchCV": lambda: model_selection.GridSearchCV(_logistic(), {"C": [0.1, 1.0]}),
    "Pipeline": lambda: pipeline.make_pipeline(
        preprocessing.StandardScaler(), ensemble.HistGradientBoostingClassifier(max_iter=20)
    ),
    "RandomizedSearchCV": lambda: model_selection.RandomizedSearchCV(
        svm.SVC(), {"C": [0.1, 1.0]}, n_iter=2
    ),
    "FixedThresholdClassifier": lambda: model_selection.FixedThresholdClassifier(
        _logistic(), threshold=0.3, pos_label="yes"
    ),
    "KBinsDiscretizer": lambda: _bins(),
    "LocalOutlierFactor": lambda: neighbors.LocalOutlierFactor(novelty=True),
    "MultiOutputClassifier": lambda: multioutput.MultiOutputClassifier(_logistic()),
    "MultiOutputRegressor": lambda: multioutput.MultiOutputRegressor(svm.SVR()),
    "NuSVC": lambda: svm.NuSVC(nu=0.2),
    "OneVsOneClassifier": lambda: multiclass.OneVsOneClassifier(svm.LinearSVC()),
    "OneVsRestClassifier": lambda: multiclass.OneVsRestClassifier(_logistic()),
    "OutputCodeClassifier": lambda: multiclass.OutputCodeClassifier(
        _logistic(), code_size=3, random_state=0
    ),
    "QuantileTransformer": lambda: preprocessing.QuantileTransformer(n_quantiles=50),
    "RadiusNeighborsClassifier": lambda: neighbors.RadiusNeighborsClassifier(
        8.0, outlier_label="most_frequent"
    ),
    "RadiusNeighborsRegressor": lambda: neighbors.RadiusNeighborsRegressor(8.0),
    "RegressorChain": lambda: multioutput.RegressorChain(svm.SVR()),
    "RFE": lambda: feature_selection.RFE(_logistic(), n_features_to_select=3),
    "RFECV": lambda: feature_selection.RFECV(_logistic()),
    "SelectFromModel": lambda: feature_selection.SelectFromModel(_logistic()),
    "SelfTrainingClassifier": lambda: _named("SelfTrainingClassifier")(naive_bayes.GaussianNB()),
    "SequentialFeatureSelector": lambda: feature_selection.SequentialFeatureSelector(
        tree.DecisionTreeClassifier(max_depth=2), n_features_to_select=2, cv=2
    ),
    "SparseCoder": lambda: decomposition.SparseCoder(
        FEATURES[:4] / np.linalg.norm(FEATURES[:4], axis=1, keepdims=True)
    ),
    "SparseRandomProjection": lambda: _named("SparseRandomProjection")(n_components=3),
    "GaussianRandomProjection": lambda: _named("GaussianRandomProjection")(n_components=3),
    "StackingClassifier": lambda: ensemble.StackingClassifier(_voters(), cv=3),
    "StackingRegressor": lambda: ensemble.StackingRegressor(_voters(numbers=True), cv=3),
    "TunedThresholdClassifierCV": lambda: model_selection.TunedThresholdClassifierCV(
        _logistic(), scoring="accuracy", cv=3
    ),
    "VotingClassifier": lambda: ensemble.VotingClassifier(_voters(), voting="soft"),
    "VotingRegressor": lambda: ensemble.VotingRegressor(_voters(numbers=True)),
}
# Fitted quickly rather than well: how fast an answer comes depends on their size.
_QUICK: Mapping[str, Any] = {"n_estimators": 20, "cv": 3, "random_state": 0}
_ON: Mapping[str, Any] = {
    **dict.fromkeys(("MultinomialNB", "ComplementNB", "SkewedChi2Sampler"), POSITIVE),
    **dict.fromkeys(("NMF", "MiniBatchNMF", "LatentDirichletAllocation"), POSITIVE),
    **dict.fromkeys(("AdditiveChi2Sampler", "TfidfTransformer", "BernoulliRBM"), POSITIVE),
    **dict.fromkeys(("CategoricalNB", "OneHotEncoder", "OrdinalEncoder"), CATEGORIES),
    **dict.fromkeys(("TargetEncoder",), CATEGORIES),
    **dict.fromkeys(("SimpleImputer", "KNNImputer", "MissingIndicator"), HOLES),
    **dict.fromkeys(("CountVectorizer", "TfidfVectorizer", "HashingVectorizer"), TEXTS),
    "IsotonicRegression": FEATURES[:, :1],
    "KernelCenterer": FEATURES[:60] @ FEATURES[:60].T,
    "DictVectorizer": [{"a": 1.0, "b": 2.0}, {"a": 3.0}],
    "FeatureHasher": [{"a": 1.0, "b": 2.0}, {"a": 3.0}],
    "PatchExtractor": np.ones((4, 6, 6)),
    "MultiLabelBinarizer": [("a", "b"), ("b",)],
    **dict.fromkeys(("LabelBinarizer", "LabelEncoder"), TWO),
}
_TARGETS: Mapping[str, Any] = {
    **dict.fromkeys(("ClassifierChain", "MultiOutputClassifier"), SEVERAL),
    **dict.fromkeys(("MultiOutputRegressor", "RegressorChain"), np.c_[NUMBERS, -NUMBERS]),
    **dict.fromkeys(("PoissonRegressor", "GammaRegressor"), np.abs(NUMBERS) + 0.1),
    **dict.fromkeys(("CCA", "PLSCanonical", "PLSSVD"), np.c_[NUMBERS, FEATURES[:, 0]]),
    **dict.fromkeys(("LabelPropagation", "LabelSpreading"), np.where(THREE == 2, -1, THREE)),
    "SelfTrainingClassifier": np.where(np.arange(ROWS) % 3 == 0, -1, THREE),
    "TunedThresholdClassifierCV": (NUMBERS > 0).astype(int),
}
_MULTITASK = "MultiTask"
_TWO_ONLY = frozenset({"FixedThresholdClassifier", "TunedThresholdClassifierCV"})


def _bins() -> Any:
    return preprocessing.KBinsDiscretizer(quantile_method="averaged_inverted_cdf")


def _named(name: str) -> Any:
    return dict(all_estimators())[name]


def listed() -> Iterator[tuple[str, str]]:
    """Each estimator's name with the first kind that it is of."""
    of_kind = {
        kind: {name for name, _ in all_estimators(type_filter=kind)}
        for kind in ("classifier", "regressor", "cluster", "transformer")
    }
    of_kind["outlier"] = {n for n, made in all_estimators() if issubclass(made, OutlierMixin)}
    for name, _ in all_estimators():
        yield next((kind for kind in KINDS if name in of_kind.get(kind, ())), "other"), name


def cases(kind: str, name: str) -> list[Case]:
    """An estimator fitted on every kind of target that it is for."""
    if name in _TARGETS or kind in {"cluster", "outlier"}:
        return [Case(kind, name, "its own", _fitted(name, _TARGETS.get(name)))]
    if kind == "classifier":
        targets = {"two labels": TWO} | ({} if name in _TWO_ONLY else {"three labels": THREE})
        return [Case(kind, name, data, _fitted(name, target)) for data, target in targets.items()]
    if kind == "regressor":
        target = np.c_[NUMBERS, -NUMBERS] if name.startswith(_MULTITASK) else NUMBERS
        return [Case(kind, name, "numbers", _fitted(name, target))]
    return [Case(kind, name, "its own", _fitted(name, THREE))]


def _fitted(name: str, target: Any) -> Any:
    estimator = _made(name)
    features = _ON.get(name, FEATURES)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # what does not converge, or is deprecated, serves too
        if name in _ON and len(features) != ROWS:
            target = None
        if name in {"LabelBinarizer", "LabelEncoder", "MultiLabelBinarizer"}:
            return estimator.fit(features)
        return estimator.fit(features, target)


def _made(name: str) -> Any:
    estimator = _BUILT[name]() if name in _BUILT else _named(name)()
    known = estimator.get_params(deep=True)
    quick = {
        key: _QUICK[key.rpartition("__")[2]]
        for key, value in known.items()
        if key.rpartition("__")[2] in _QUICK and key not in {"cv"} and not isinstance(value, bool)
    }
    estimator.set_params(**quick)
    return estimator
