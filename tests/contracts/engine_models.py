"""Fitted models for the suite of engines, and rows to ask them."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import (
    compose,
    feature_extraction,
    impute,
    linear_model,
    naive_bayes,
    pipeline,
    preprocessing,
    svm,
)

from benchmarks.estimators import FEATURES, HOLES, POSITIVE, THREE, TWO, cases, listed
from models.arrays import pack_arrays, unpack_arrays
from models.compilation import Predictor, Unsuitable
from models.date_parts import DateParts
from models.engines import ENGINES
from models.estimators import NativePredictor, serve_natively
from models.landmarks import landmarks_of
from models.probes import Source
from models.tables import Features

Arrays = Mapping[str, NDArray[Any]]
KIND_OF = {name: kind for kind, name in listed()}

LINEAR = ("LinearRegression", "LogisticRegression", "PLSRegression", "Ridge")
TREES = (
    "AdaBoostClassifier",
    "DecisionTreeClassifier",
    "GradientBoostingClassifier",
    "HistGradientBoostingRegressor",
    "IsolationForest",
    "RandomForestRegressor",
)
NUMERIC = (
    *("AdditiveChi2Sampler", "AffinityPropagation", "BayesianGaussianMixture", "BernoulliNB"),
    *("BernoulliRBM", "Binarizer", "Birch", "BisectingKMeans", "CategoricalNB", "ComplementNB"),
    *("DummyClassifier", "DummyRegressor", "EllipticEnvelope", "FactorAnalysis", "FastICA"),
    *("FeatureAgglomeration", "GaussianMixture", "GaussianNB", "GaussianProcessRegressor"),
    *("GaussianRandomProjection", "IsotonicRegression", "KBinsDiscretizer"),
    *("KMeans", "KNeighborsClassifier", "KNeighborsRegressor", "KernelPCA", "KernelRidge"),
    *("LabelPropagation", "LocalOutlierFactor", "MLPClassifier", "MLPRegressor", "MaxAbsScaler"),
    *("MeanShift", "MinMaxScaler", "MissingIndicator", "MultinomialNB", "NearestCentroid"),
    *("Normalizer", "NuSVC", "NuSVR", "Nystroem", "OneClassSVM", "OneHotEncoder"),
    *("OrdinalEncoder", "PCA", "PolynomialCountSketch", "PolynomialFeatures", "PowerTransformer"),
    *("QuadraticDiscriminantAnalysis", "QuantileTransformer", "RBFSampler"),
    *("RadiusNeighborsClassifier", "RadiusNeighborsRegressor", "RobustScaler", "SVC", "SVR"),
    *("SelectKBest", "SimpleImputer", "SkewedChi2Sampler", "SparseRandomProjection"),
    *("KernelCenterer", "StandardScaler", "TargetEncoder", "TfidfTransformer"),
    *("TruncatedSVD", "VarianceThreshold"),
)
CHAIN = (
    *("CalibratedClassifierCV", "ClassifierChain", "ColumnTransformer", "FeatureUnion"),
    *("FixedThresholdClassifier", "GaussianProcessClassifier", "GridSearchCV"),
    *("MultiOutputClassifier", "MultiOutputRegressor", "OneVsOneClassifier"),
    *("OneVsRestClassifier", "OutputCodeClassifier", "Pipeline", "RANSACRegressor", "RFE"),
    *("RegressorChain", "SelfTrainingClassifier", "StackingClassifier", "StackingRegressor"),
    *("TransformedTargetRegressor", "TunedThresholdClassifierCV", "VotingClassifier"),
    *("VotingRegressor",),
)
GRAPH_CHAIN = ("Pipeline", "VotingRegressor")  # which may have graphs as parts, as chains do not
GRAPH = (
    "LinearRegression",
    "LogisticRegression",
    "MLPClassifier",
    "StandardScaler",
    "TruncatedSVD",
)
CASES = [
    (engine, name)
    for engine, names in {
        "linear": LINEAR,
        "trees": TREES,
        "numeric": NUMERIC,
        "chain": (*CHAIN, "texts and numbers", "bags and boosts"),
        "graph-chain": ("Pipeline", "StackingClassifier"),
        "graph": GRAPH,
    }.items()
    for name in names
]
CITIES = np.array(["bern", "lima", "oslo", "rome"], object)
COLOURS = np.array(["blue", "red"], object)


@functools.cache
def fitted(name: str) -> Any:
    """A fitted estimator, of classifiers with three labels where it takes three."""
    if name == "texts and numbers":
        return _mixed()
    if name == "bags and boosts":
        return _committee()
    return cases(KIND_OF[name], name)[-1].estimator


@functools.cache
def arrays_of(engine: str, name: str) -> Arrays:
    """What an engine keeps of a model, as it was read back."""
    arrays = ENGINES[engine].compile(fitted(name))
    assert not isinstance(arrays, Unsuitable), arrays
    return unpack_arrays(pack_arrays(arrays))


@functools.cache
def compiled(engine: str, name: str) -> Predictor:
    """A model as a worker opens it."""
    return ENGINES[engine].load(arrays_of(engine, name))


@functools.cache
def native(name: str) -> NativePredictor:
    """A model as a host opens it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return serve_natively(fitted(name))


@functools.cache
def rows_for(name: str) -> tuple[Features, ...]:
    """Rows within the model's ranges, around them, and at the ends of what numbers can be."""
    own = native(name)
    source = Source(own.columns, landmarks_of(own.estimator), given=None, seed=3)
    parts = [source.within(60), source.around(60), source.landmarks(60), source.extremes(30)]
    if source.has_texts():
        parts.append(source.unknown(30))
    return tuple(parts)


@functools.cache
def taken_rows(name: str) -> Features:
    """Rows that the model's own library takes."""
    own = native(name)
    source = Source(own.columns, landmarks_of(own.estimator), given=None, seed=3)
    for rows in (source.within(60), source.known(60), source.inside(60, positive=True)):
        with contextlib.suppress(Exception):
            own.answer(sorted(own.methods)[0], rows)
            return rows
    raise LookupError(name)


def _mixed() -> Any:
    """Texts, dates, numbers, and numbers that are missing, for a machine."""
    import pandas as pd

    random = np.random.default_rng(4)
    rows = len(FEATURES)
    frame = pd.DataFrame(
        {
            "city": CITIES[random.integers(0, 4, rows)],
            "size": HOLES[:, 0],
            "rooms": np.round(POSITIVE[:, 1]),
            "colour": COLOURS[random.integers(0, 2, rows)],
            "seen": np.array(["2024-01-31", "2023-12-24T18:30", "never"])[np.arange(rows) % 3],
            "note": np.array(["fine room", "poor meal", "fine meal"])[np.arange(rows) % 3],
        }
    )
    columns = compose.ColumnTransformer(
        [
            ("marked", preprocessing.OneHotEncoder(handle_unknown="ignore"), ["city"]),
            ("numbered", preprocessing.OrdinalEncoder(), ["colour"]),
            ("filled", impute.SimpleImputer(add_indicator=True), ["size"]),
            ("dated", pipeline.make_pipeline(DateParts(), impute.SimpleImputer()), ["seen"]),
            ("words", feature_extraction.text.TfidfVectorizer(), "note"),
        ],
        remainder="passthrough",
    )
    model = pipeline.make_pipeline(columns, preprocessing.MaxAbsScaler(), svm.SVC())
    return model.fit(frame, THREE)


def _committee() -> Any:
    """A bag and a boost of models that are no trees, and votes over both."""
    from sklearn import ensemble

    bag = ensemble.BaggingClassifier(linear_model.Perceptron(), n_estimators=4, max_features=0.6)
    boost = ensemble.AdaBoostClassifier(naive_bayes.GaussianNB(), n_estimators=4)
    voters = [("bag", bag.set_params(random_state=0)), ("boost", boost.set_params(random_state=0))]
    return ensemble.VotingClassifier(voters, voting="hard", weights=[1, 2]).fit(FEATURES, TWO)
