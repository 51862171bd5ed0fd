from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import DBSCAN, KMeans
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.covariance import EmpiricalCovariance
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity, LocalOutlierFactor
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from models.errors import EstimatorRefused
from models.estimators import serve_natively
from models.inspection import Inspected, inspect
from models.signature import METHODS, Output
from models.tables import Features, Table
from tests.models.every_estimator import fitted, names

RANDOM = np.random.default_rng(5)
FEATURES = RANDOM.normal(size=(120, 3))
TARGET = FEATURES @ [1.0, -2.0, 0.5]
LABELS = np.where(TARGET > 0, "up", "down")
COLOURS = RANDOM.choice(np.array(["red", "green", "blue"], dtype=object), 120)


def _inspected(estimator: Any, given: Features | None = None) -> Inspected:
    return inspect(serve_natively(estimator), given)


def _frame(*, holes: bool = False) -> pd.DataFrame:
    colours = COLOURS.copy()
    if holes:
        colours[:5] = np.nan
    return pd.DataFrame(
        {
            "colour": pd.Series(colours, dtype=object),
            "size": FEATURES[:, 0],
            "weight": FEATURES[:, 1],
        }
    )


def _columns(*transformers: Any, **options: Any) -> ColumnTransformer:
    named = [(f"part {n}", *each) for n, each in enumerate(transformers)]
    return ColumnTransformer(named, **options)


@pytest.mark.parametrize(
    ("estimator", "task", "methods"),
    [
        (LinearRegression().fit(FEATURES, TARGET), "regression", ["predict"]),
        (
            LogisticRegression().fit(FEATURES, LABELS),
            "classification",
            ["predict", "predict_proba", "predict_log_proba", "decision_function"],
        ),
        (SVC().fit(FEATURES, LABELS), "classification", ["predict", "decision_function"]),
        (KMeans(2, n_init=1).fit(FEATURES), "clustering", ["predict", "transform"]),
        (
            IsolationForest(n_estimators=5).fit(FEATURES),
            "outlier",
            ["predict", "decision_function", "score_samples"],
        ),
        (
            LocalOutlierFactor(novelty=True).fit(FEATURES),
            "outlier",
            ["predict", "decision_function", "score_samples"],
        ),
        (StandardScaler().fit(FEATURES), "transform", ["transform"]),
        (KernelDensity().fit(FEATURES), "other", ["score_samples"]),
        (
            GaussianMixture(2).fit(FEATURES),
            "other",
            ["predict", "predict_proba", "score_samples"],
        ),
        (
            GridSearchCV(LogisticRegression(), {"C": [1]}).fit(FEATURES, LABELS),
            "classification",
            ["predict", "predict_proba", "predict_log_proba", "decision_function"],
        ),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "fit") else None,
)
def test_task_and_methods_are_those_of_the_estimator(
    estimator: Any, task: str, methods: list[str]
) -> None:
    signature = _inspected(estimator).signature

    assert signature.task == task
    assert list(signature.methods) == methods
    assert signature.default_method == methods[0]


def test_outputs_have_kind_and_width() -> None:
    signature = _inspected(LogisticRegression().fit(FEATURES, LABELS)).signature

    assert signature.methods["predict"] == Output("text", None)
    assert signature.methods["predict_proba"] == Output("number", 2)
    assert signature.methods["decision_function"] == Output("number", None)
    assert signature.classes == ("down", "up")


@pytest.mark.parametrize(
    ("labels", "kind", "classes"),
    [
        (TARGET > 0, "boolean", (False, True)),
        ((TARGET > 0).astype(int), "integer", (0, 1)),
        ((TARGET > 0) * 2.0, "number", (0.0, 2.0)),
        (LABELS.astype(object), "text", ("down", "up")),
    ],
)
def test_labels_keep_their_kind(labels: Any, kind: str, classes: Any) -> None:
    signature = _inspected(DecisionTreeClassifier(max_depth=2).fit(FEATURES, labels)).signature

    assert signature.methods["predict"].dtype == kind
    assert signature.classes == classes


def test_tables_of_several_outputs_stand_side_by_side() -> None:
    several = np.c_[TARGET > 0, np.digitize(FEATURES[:, 0], [-1, 1])].astype(int)
    forest = RandomForestClassifier(3).fit(FEATURES, several)
    own = serve_natively(forest)

    assert inspect(own).signature.methods["predict_proba"] == Output("number", 2 + 3)
    answers = own.answer("predict_proba", FEATURES)
    assert np.array_equal(answers, np.hstack(forest.predict_proba(FEATURES)))


@pytest.mark.parametrize("estimator", [DBSCAN(), LocalOutlierFactor()], ids=str)
def test_estimator_for_the_rows_of_its_fit_alone_is_refused_with_that_reason(
    estimator: Any,
) -> None:
    with pytest.raises(EstimatorRefused, match="has no method for new ones"):
        _inspected(estimator.fit(FEATURES))


def test_estimator_without_any_of_the_methods_is_refused() -> None:
    with pytest.raises(EstimatorRefused, match="none of the methods"):
        _inspected(EmpiricalCovariance().fit(FEATURES))


def test_estimator_that_is_not_fitted_is_refused() -> None:
    with pytest.raises(EstimatorRefused, match="not fitted"):
        _inspected(LogisticRegression())


def test_method_that_answers_by_chance_is_left_out_and_the_reason_told() -> None:
    inspected = _inspected(BernoulliRBM(2, n_iter=2).fit(FEATURES))

    assert list(inspected.signature.methods) == ["transform"]
    assert inspected.refused == {"score_samples": "it does not answer twice alike"}


def test_estimator_that_answers_another_number_of_rows_is_refused() -> None:
    class Grumpy(LinearRegression):  # type: ignore[misc]
        """Answers twice as many rows as it was asked."""

        def predict(self, X: Any) -> Any:  # noqa: N803  scikit-learn's own name
            return np.zeros(2 * len(X))

    with pytest.raises(EstimatorRefused, match="once for each row"):
        _inspected(Grumpy().fit(FEATURES, TARGET))


# --- columns -------------------------------------------------------------------------------------


def test_names_are_those_of_the_fit() -> None:
    frame = pd.DataFrame(FEATURES, columns=["a", "b", "c"])
    own = serve_natively(LinearRegression().fit(frame, TARGET))
    signature = inspect(own).signature

    assert signature.feature_names == ("a", "b", "c")
    assert signature.kinds is None
    assert np.allclose(own.answer("predict", FEATURES), TARGET)


@pytest.mark.parametrize(
    "columns",
    [
        _columns((OneHotEncoder(handle_unknown="ignore"), ["colour"]), remainder="passthrough"),
        _columns((OneHotEncoder(handle_unknown="ignore"), [0]), (StandardScaler(), [1, 2])),
        _columns((OneHotEncoder(), make_column_selector(dtype_include=object))),
        _columns(
            (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), slice(0, 1)),
            (StandardScaler(), ["size", "weight"]),
        ),
        FeatureUnion([("one", _columns((OneHotEncoder(), ["colour"])))]),
        _columns((make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), [0])),
    ],
    ids=[
        "remainder",
        "positions",
        "selector",
        "slice",
        "union",
        "imputer first",
    ],
)
def test_kinds_and_categories_are_found_within_pipelines(columns: Any) -> None:
    model = make_pipeline(columns, LogisticRegression()).fit(_frame(), LABELS)
    own = serve_natively(model)
    signature = inspect(own).signature
    table = Table((COLOURS, FEATURES[:, 0].copy(), FEATURES[:, 1].copy()))

    assert signature.feature_names == ("colour", "size", "weight")
    assert signature.kinds == ("text", "number", "number")
    assert signature.categories == {0: ("blue", "green", "red")}
    assert own.answer("predict", table).tolist() == model.predict(_frame()).tolist()


def test_encoder_of_a_matrix_of_texts_takes_texts() -> None:
    texts = COLOURS.reshape(-1, 1).astype(str)
    own = serve_natively(make_pipeline(OneHotEncoder(), LogisticRegression()).fit(texts, LABELS))
    signature = inspect(own).signature

    assert signature.kinds == ("text",)
    assert signature.feature_names is None
    assert len(own.answer("predict", Table((COLOURS,)))) == 120


def test_categories_that_are_numbers_are_columns_of_numbers() -> None:
    numbers = RANDOM.integers(0, 5, (120, 2)).astype(float)
    encoder = OneHotEncoder(handle_unknown="ignore").fit(numbers)
    signature = _inspected(encoder).signature

    assert signature.kinds is None
    assert signature.categories == {}
    assert signature.methods["transform"].width == sum(map(len, encoder.categories_))


def test_categories_of_a_histogram_model_are_found() -> None:
    frame = _frame().astype({"colour": "category"})
    model = HistGradientBoostingClassifier(max_iter=3, categorical_features=["colour"])
    signature = _inspected(model.fit(frame, LABELS)).signature

    assert signature.kinds == ("text", "number", "number")
    assert signature.categories == {0: ("blue", "green", "red")}


@pytest.mark.parametrize("vectorizer", [CountVectorizer(), TfidfVectorizer()], ids=str)
def test_vectorizer_takes_one_column_of_texts(vectorizer: Any) -> None:
    texts = [f"a {colour} thing" for colour in COLOURS]
    model = make_pipeline(vectorizer, LogisticRegression()).fit(texts, LABELS)
    own = serve_natively(model)
    table = Table((np.array(texts, dtype=object),))

    assert inspect(own).signature.kinds == ("text",)
    assert own.answer("predict", table).tolist() == model.predict(texts).tolist()


def test_vectorizer_of_one_column_among_others_is_found() -> None:
    model = make_pipeline(
        _columns((TfidfVectorizer(), "colour"), (StandardScaler(), ["size"])), LogisticRegression()
    )
    signature = _inspected(model.fit(_frame(), LABELS)).signature

    assert signature.kinds == ("text", "number", "number")


def test_rows_given_with_a_model_are_what_it_is_tried_on() -> None:
    class Picky(LinearRegression):  # type: ignore[misc]
        """Takes nothing but what nobody would guess."""

        def predict(self, X: Any) -> Any:  # noqa: N803  scikit-learn's own name
            if not (np.asarray(X)[:, 0] == 4711).all():
                raise ValueError("not for me")
            return super().predict(X)

    model = Picky().fit(FEATURES, TARGET)

    with pytest.raises(EstimatorRefused, match="not for me"):
        _inspected(model)
    given = np.full((5, 3), 4711.0)
    assert list(_inspected(model, given).signature.methods) == ["predict"]


# --- missing values ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "missing"),
    [
        (LinearRegression(), False),
        (LogisticRegression(), False),
        (StandardScaler(), False),  # it takes them, and its answers could not be sent
        (DecisionTreeClassifier(), True),
        (RandomForestClassifier(3), True),
        (HistGradientBoostingClassifier(max_iter=3), True),
        (make_pipeline(SimpleImputer(), LogisticRegression()), True),
        (make_pipeline(StandardScaler(), SimpleImputer(), LogisticRegression()), True),
    ],
    ids=lambda value: str(value)[:40],
)
def test_missing_values_are_taken_where_the_model_answers_them(
    estimator: Any, missing: bool
) -> None:
    target = TARGET if isinstance(estimator, LinearRegression) else LABELS

    assert _inspected(estimator.fit(FEATURES, target)).signature.missing is missing


@pytest.mark.parametrize("absent", [np.nan, None])
def test_missing_texts_are_given_as_the_model_knows_them(absent: Any) -> None:
    frame = _frame()
    frame.loc[:9, "colour"] = absent
    frame["colour"] = frame["colour"].astype(object).where(frame["colour"].notna(), absent)
    model = make_pipeline(
        _columns((OneHotEncoder(), ["colour"]), remainder="passthrough"), LogisticRegression()
    ).fit(frame, LABELS)
    own = serve_natively(model)
    colours = np.array([None if pd.isna(c) else c for c in frame["colour"]], dtype=object)
    table = Table((colours, FEATURES[:, 0].copy(), FEATURES[:, 1].copy()))

    assert inspect(own).signature.missing
    assert own.answer("predict", table).tolist() == model.predict(frame).tolist()


def test_column_of_texts_that_takes_no_missing_ones_is_told_so() -> None:
    model = make_pipeline(OneHotEncoder(handle_unknown="error"), LogisticRegression())

    assert _inspected(model.fit(_frame()[["colour"]], LABELS)).signature.missing is False


# --- every estimator -----------------------------------------------------------------------------

# No request can hold what these take, or they only ever answer the rows that they were fitted on.
UNSERVED = {
    "AgglomerativeClustering",
    "ClassicalMDS",
    "DBSCAN",
    "DictVectorizer",
    "EmpiricalCovariance",
    "FeatureHasher",
    "GraphicalLasso",
    "GraphicalLassoCV",
    "HDBSCAN",
    "HashingVectorizer",  # a million columns by default; in front of a model it is taken
    "LabelBinarizer",
    "LabelEncoder",
    "LedoitWolf",
    "MDS",
    "MinCovDet",
    "MultiLabelBinarizer",
    "NearestNeighbors",
    "OAS",
    "OPTICS",
    "PatchExtractor",
    "ShrunkCovariance",
    "SpectralBiclustering",
    "SpectralClustering",
    "SpectralCoclustering",
    "SpectralEmbedding",
    "TSNE",
}


@pytest.mark.parametrize("name", names())
def test_every_estimator_with_a_method_for_new_rows_is_served(name: str) -> None:
    estimator = fitted(name)
    if name in UNSERVED:
        with pytest.raises(EstimatorRefused):
            _inspected(estimator)
        return
    signature = _inspected(estimator).signature

    assert signature.methods
    assert list(signature.methods) == [m for m in METHODS if m in signature.methods]
