"""A whole training, from the bytes of a table to a model that the platform's intake takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.errors import SpecRefused, TrainingFailed
from models.handlers.skops_file import SkopsFile
from models.preparation import Origin, prepare
from models.stages import Prepared
from models.training import trainer
from models.training.heldout import evaluate_heldout
from models.training.progress import Phase
from models.training.spec import read_spec
from models.training.study import Study
from models.training.trainer import Trained, train
from tests.models.training.by_hand import Listener, study

ROWS = 150
TIMES = frozenset(
    {"created_at", "seconds", "fit_seconds", "p50_ms", "p99_ms"}
)  # what may differ between two runs


def _table(rows: int = ROWS, *, seed: int = 3) -> bytes:
    """Three numbers and two texts that tell whether a loan is paid back; one number is missing."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "income": random.normal(50, 15, rows).round(2),
            "debt": random.gamma(2.0, 10, rows).round(2),
            "years": random.integers(0, 30, rows),
            "home": random.choice(["rents", "owns", "shares"], rows),
        }
    )
    risk = frame.debt - 0.5 * frame.income + 10 * (frame.home == "rents")
    frame["paid"] = np.where(risk + random.normal(0, 6, rows) > 0, "no", "yes")
    frame.loc[4, "income"] = None
    return _as_csv(frame)


def _as_csv(frame: pd.DataFrame) -> bytes:
    data: bytes = frame.to_csv(index=False).encode()
    return data


def _train(listener: Listener | None = None, *, data: bytes = b"", **said: Any) -> Trained:
    spec = {
        "model": "loans",
        "target": "paid",
        "compare": {"algorithms": ["logistic"]},
        "validation": {"folds": 3},
        "tune": {"trials": 3},
        **said,
    }
    reporting = (listener or Listener()).reporting
    return train(read_spec(spec), data or _table(), "loans.csv", reporting, confined=True)


def _taken_in(trained: Trained) -> Prepared:
    """What the intake makes of a trained model, with the rows and answers that came with it."""
    return prepare(
        SkopsFile().open(trained.model),
        Origin(format="skops", digest="ab" * 32),
        rows=trained.rows,
        answers=trained.answers,
        tell=lambda *_: None,
    )


def _timeless(value: Any) -> Any:
    match value:
        case Mapping():
            return {n: _timeless(each) for n, each in value.items() if n not in TIMES}
        case list() | tuple():
            return [_timeless(each) for each in value]
    return value


@pytest.fixture
def _plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without figures, which take longer than small trainings."""

    def report(
        own: Study, _entries: Any, _searches: Any, fitted: Any, _train: Any, held: Any, said: Any
    ) -> tuple[dict[str, Any], bytes]:
        verdict = evaluate_heldout(own, fitted, held, confidence=0.95)
        return {**said, "holdout": verdict}, b""

    monkeypatch.setattr(trainer, "report", report)


plainly = pytest.mark.usefixtures("_plainly")


@pytest.fixture(scope="module")
def heard() -> Listener:
    """Whom the training told that the tests look at."""
    return Listener()


@pytest.fixture(scope="module")
def trained(heard: Listener) -> Trained:
    """One training for many tests."""
    return _train(heard)


def test_model_is_taken_in_and_compiled_with_its_own_rows_and_answers(trained: Trained) -> None:
    contents = _taken_in(trained).contents

    assert contents.engine == "chain"
    assert contents.parity is not None
    assert contents.parity.agrees
    assert contents.signature.feature_names == ("income", "debt", "years", "home")
    assert len(orjson.loads(trained.answers)) == 30


def test_evaluation_says_what_was_done_and_is_plain_json(trained: Trained) -> None:
    said = orjson.loads(orjson.dumps(trained.evaluation))

    assert said["schema"] == 1
    assert said["data"]["rows"] == ROWS
    assert (said["data"]["train_rows"], said["data"]["held_rows"]) == (120, 30)
    assert said["data"]["class_counts"] == {"no": 67, "yes": 83}
    assert said["validation"]["kind"] == "stratified"
    assert [each["name"] for each in said["data"]["columns"]] == [
        "income",
        "debt",
        "years",
        "home",
    ]
    board = {(each["algorithm"], each["tuned"]): each for each in said["leaderboard"]}
    assert set(board) == {("dummy", False), ("logistic", False), ("logistic", True)}
    assert sum(each["chosen"] for each in said["leaderboard"]) == 1
    assert said["champion"]["algorithm"] == "logistic"
    assert said["champion"]["why"].endswith(".")
    assert said["searches"][0]["stopped"] == "trials"
    assert said["holdout"]["rows"] == 30
    assert said["libraries"]["scikit-learn"]
    assert read_spec(said["spec"]).model == "loans"
    assert b"<html" in trained.report


def test_phases_are_told_in_their_order(trained: Trained, heard: Listener) -> None:
    assert trained
    assert list(dict.fromkeys(each.phase for each in heard.told)) == list(Phase)
    assert all(each.done <= each.total for each in heard.told)


def test_reference_is_of_the_rows_that_the_model_learnt_from(trained: Trained) -> None:
    assert trained.reference["rows"] == 120
    assert set(trained.reference["features"]) == {"income", "debt", "years", "home"}


@plainly
def test_attempt_that_knows_all_results_gives_the_same_document(
    trained: Trained, heard: Listener
) -> None:
    again = Listener(known=heard.kept, left=lambda: 0.0)

    resumed = _train(again)

    assert not again.kept
    before, after = _timeless(trained.evaluation), _timeless(resumed.evaluation)
    for name in ("data", "leaderboard", "searches", "champion", "notes", "metric", "validation"):
        assert after[name] == before[name]
    assert resumed.answers == trained.answers
    assert resumed.reference == trained.reference


@plainly
def test_budget_that_is_spent_still_gives_a_model_and_says_what_is_missing(heard: Listener) -> None:
    known = {key: value for key, value in heard.kept.items() if not key.startswith("tune")}
    short = _train(
        Listener(known=known, left=lambda: 0.0), compare={"algorithms": ["logistic", "tree"]}
    )

    notes = " ".join(short.evaluation["notes"])
    assert "before these were compared: Decision tree" in notes
    assert "before these were tuned: Logistic regression" in notes
    assert short.evaluation["champion"]["algorithm"] == "logistic"


@plainly
def test_weights_that_an_algorithm_cannot_take_are_told() -> None:
    said = _train(
        compare={"algorithms": ["logistic", "knn"]}, balance=True, tune={"method": "none"}
    )

    assert "No weights of classes are taken by: Nearest neighbours." in said.evaluation["notes"]


@plainly
def test_held_out_verdict_is_that_of_a_direct_fit_by_scikit_learn() -> None:
    own = study(rows=ROWS, seed=4)
    data = _as_csv(own.features.assign(y=own.target))
    rows = np.arange(ROWS)
    train_rows, held = train_test_split(rows, test_size=0.2, random_state=4, stratify=own.target)
    train_rows.sort()
    direct = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
    direct.fit(own.features.iloc[train_rows], own.target[train_rows])
    answers = direct.predict(own.features.iloc[np.sort(held)])

    said = _train(data=data, target="y", seed=4, tune={"method": "none"})

    assert orjson.loads(said.answers) == answers.tolist()
    value = said.evaluation["holdout"]["metrics"]["balanced_accuracy"]["value"]
    assert value == balanced_accuracy_score(own.target[np.sort(held)], answers)


@plainly
@pytest.mark.parametrize("kind", ["stratified", "time"])
def test_calibrated_model_is_stored_and_served_as_one(kind: str) -> None:
    frame = pd.read_csv(pd.io.common.BytesIO(_table()))
    frame["day"] = (np.datetime64("2024-01-01") + np.arange(ROWS)).astype(str)

    said = _train(
        data=_as_csv(frame),
        decide={"calibrate": True},
        tune={"method": "none"},
        validation={"folds": 3, "time": "day"} if kind == "time" else {"folds": 3},
        columns={} if kind == "time" else {"day": "drop"},
    )

    assert said.evaluation["validation"]["kind"] == kind
    model = SkopsFile().open(said.model).estimator
    assert type(model).__name__ == "CalibratedClassifierCV"
    assert len(model.calibrated_classifiers_) == 1
    if kind == "stratified":
        assert _taken_in(said).contents.engine == "chain"


@plainly
def test_regression_is_trained_alike() -> None:
    own = study("regression", rows=100)
    data = _as_csv(own.features.assign(y=own.target))

    said = _train(
        data=data, target="y", compare={"algorithms": ["linear", "svr"]}, tune={"method": "none"}
    )

    assert said.evaluation["task"] == "regression"
    assert said.evaluation["metric"] == "rmse"
    assert all(math.isfinite(each) for each in orjson.loads(said.answers))


def test_wish_that_cannot_be_is_refused_before_anything_is_fitted() -> None:
    for said in (
        {"compare": {"metric": "rmse"}},
        {"compare": {"algorithms": ["oracle"]}},
        {"decide": {"positive": "maybe"}},
    ):
        listener = Listener()
        with pytest.raises(SpecRefused):
            _train(listener, **said)
        assert set(listener.kept) <= {"study"}


def test_limit_that_no_candidate_keeps_ends_with_the_reason(heard: Listener) -> None:
    with pytest.raises(TrainingFailed, match=r"within 1e-06 ms"):
        _train(
            Listener(known=heard.kept),
            compare={"algorithms": ["logistic"], "most_serving_ms": 1e-6},
        )
