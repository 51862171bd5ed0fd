from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from models.handlers.skops_file import SkopsFile, write_skops
from models.preparation import Origin, prepare
from models.stages import Prepared
from models.training.pipelines import pipeline_of
from models.training.preparation import MOST_MARKS, preparer
from models.training.spec import read_spec
from models.training.studies import study_of
from models.training.study import Study
from models.training.tables import read_table

ROWS = 90
WORDS = ["fine", "poor", "meal", "room", "place", "stay", "never", "again", "lovely", "noisy"]


def _columns(kinds: Sequence[str]) -> dict[str, list[str]]:
    random = np.random.default_rng(7)
    days = np.datetime64("2024-01-01") + random.integers(0, 300, ROWS)
    drawn = {
        "size": random.normal(10, 2, ROWS).round(3).astype(str).tolist(),
        "weight": random.normal(0, 1, ROWS).round(3).astype(str).tolist(),
        "holed": random.normal(5, 1, ROWS).round(3).astype(str).tolist(),
        "colour": random.choice(["red", "green", "blue", ""], ROWS).tolist(),
        "rank": random.choice(["low", "medium", "high"], ROWS).tolist(),
        "town": [f"town {at % (MOST_MARKS + 5)}" for at in range(ROWS)],
        "seen": days.astype(str).tolist(),
        "words": [" ".join(random.choice(WORDS, 5)) for _ in range(ROWS)],
    }
    for name in {"holed", "rank", "seen", "words"} & set(kinds):
        drawn[name][5] = ""
    return {kind: drawn[kind] for kind in kinds}


def _study(kinds: Sequence[str], task: str = "classification") -> Study:
    columns = _columns(kinds)
    first = np.array(columns["size"], float)
    target = np.where(first > 10, "yes", "no") if task == "classification" else first * 3.3
    lines = [",".join([*columns, "y"])]
    lines += [",".join(cells) for cells in zip(*columns.values(), target.astype(str), strict=True)]
    spec = read_spec({"model": "small", "target": "y", "task": task})
    return study_of(spec, read_table("\n".join(lines).encode(), name="t.csv", spec=spec))


def _fitted(study: Study, model: BaseEstimator, *, scaled: bool) -> Any:
    return pipeline_of(study, model, scaled=scaled).fit(study.features, study.target)


def _served(study: Study, pipeline: Any) -> Prepared:
    """What the platform makes of a pipeline that is stored, opened and given its own rows."""
    head = study.features.iloc[:30]
    records = [
        {name: None if pd.isna(cell) else cell for name, cell in row.items()}
        for row in head.to_dict("records")
    ]
    data = write_skops(pipeline)
    return prepare(
        SkopsFile().open(data),
        Origin(format="skops", digest=hashlib.sha256(data).hexdigest()),
        rows=orjson.dumps(records),
        answers=orjson.dumps(pipeline.predict(head).tolist()),
        tell=lambda _stage, _note: None,
    )


ALL = ("size", "holed", "colour", "rank", "town", "seen", "words")
KINDS = {
    "size": "numeric",
    "holed": "numeric",
    "colour": "categorical",
    "rank": "ordinal",
    "town": "categorical",
    "seen": "date",
    "words": "text",
}


@pytest.fixture(scope="module")
def mixed() -> Study:
    """A study of columns of every kind."""
    return _study(ALL, "regression")


@pytest.fixture(scope="module")
def fitted(mixed: Study) -> Any:
    """A pipeline of all of them into a linear model."""
    return _fitted(mixed, Ridge(), scaled=True)


@pytest.fixture(scope="module")
def served(mixed: Study, fitted: Any) -> Prepared:
    """That pipeline as the platform takes it in."""
    return _served(mixed, fitted)


def test_columns_of_every_kind_become_numbers(mixed: Study) -> None:
    for scaled in (False, True):
        made = preparer(mixed, scaled=scaled).fit_transform(mixed.features, mixed.target)

        assert {plan.name: plan.kind for plan in mixed.plans} == KINDS
        assert made.dtype == np.float64
        assert np.isfinite(made).all()


def test_names_tell_where_each_number_is_from(mixed: Study) -> None:
    part = preparer(mixed, scaled=True).fit(mixed.features, mixed.target)
    made = part.transform(mixed.features)
    names = part.get_feature_names_out().tolist()

    assert len(names) == made.shape[1]
    assert {"marks__colour_red", "date_0__seen_weekday", "numbers__missingindicator_holed"} <= {
        *names
    }


def test_pipeline_of_every_kind_is_stored_and_served_with_raw_records(served: Prepared) -> None:
    signature = served.contents.signature

    assert served.contents.engine == "chain"
    assert served.contents.parity is not None
    assert served.contents.parity.agrees
    assert signature.feature_names == ALL
    assert signature.kinds == ("number", "number", *["text"] * 5)
    assert signature.missing
    assert signature.categories[2] == ("blue", "green", "red")


def test_stored_pipeline_takes_what_was_never_seen(mixed: Study, fitted: Any) -> None:
    again = SkopsFile().open(write_skops(fitted)).estimator
    strange = dict.fromkeys(ALL, "☃ unseen") | {"size": 1e30, "holed": -1e30}
    missing: dict[str, Any] = dict.fromkeys(ALL) | {"size": np.nan, "holed": np.nan}
    rows = pd.DataFrame([strange, missing]).astype(
        {name: object for name, kind in KINDS.items() if kind != "numeric"}
    )
    rows = rows.where(rows.notna(), None).astype({"size": float, "holed": float})

    assert again.predict(rows).tolist() == fitted.predict(rows).tolist()
    assert np.isfinite(fitted.predict(rows)).all()


@pytest.mark.parametrize(
    ("kinds", "task", "model", "scaled", "missing"),
    [
        (["size", "weight"], "regression", Ridge(), True, False),
        (["size", "weight"], "classification", DecisionTreeClassifier(max_depth=3), False, True),
        (["size", "holed"], "classification", LogisticRegression(), True, True),
        (["size", "colour", "rank", "town"], "regression", Ridge(), True, True),
        (["size", "seen", "words"], "regression", DecisionTreeRegressor(max_depth=3), False, True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseEstimator) else str(value),
)
def test_prepared_pipelines_are_served_by_an_engine(
    kinds: list[str], task: str, model: BaseEstimator, scaled: bool, missing: bool
) -> None:
    study = _study(kinds, task)
    contents = _served(study, _fitted(study, clone(model), scaled=scaled)).contents

    assert contents.engine == "chain"
    assert contents.engine_methods == tuple(contents.signature.methods)
    assert contents.signature.feature_names in (tuple(kinds), None)
    assert contents.signature.missing is missing


def test_plain_numbers_are_not_put_through_a_table_of_transformers() -> None:
    study = _study(["size", "weight"])

    assert isinstance(preparer(study, scaled=True), StandardScaler)
    assert isinstance(preparer(study, scaled=False), FunctionTransformer)
    for scaled in (False, True):
        fitted = _fitted(study, LogisticRegression(), scaled=scaled)
        assert fitted.feature_names_in_.tolist() == ["size", "weight"]


def test_same_data_and_seed_give_the_same_numbers(mixed: Study) -> None:
    made = [
        preparer(_study(ALL), scaled=True).fit_transform(mixed.features, mixed.target)
        for _ in range(2)
    ]

    assert np.array_equal(made[0], made[1])


def test_column_that_is_empty_in_a_fold_still_becomes_a_number() -> None:
    study = _study(["size", "holed", "words", "seen"])
    rows = study.features.copy()
    rows["holed"] = np.nan
    rows["words"] = pd.Series([None] * len(rows), dtype=object)
    rows["seen"] = pd.Series([None] * len(rows), dtype=object)
    part = preparer(study, scaled=True).fit(rows, study.target)

    assert np.isfinite(part.transform(study.features)).all()
