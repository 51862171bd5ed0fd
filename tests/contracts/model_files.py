"""Model files that their own libraries wrote, with what those libraries answer."""

from __future__ import annotations

import io
from typing import Any

import joblib
import lightgbm
import numpy as np
import onnxruntime
import skops.io
import xgboost
from numpy.typing import NDArray
from skl2onnx import convert_sklearn, to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.contracts.opening import Sample

OPSETS = {"": 21, "ai.onnx.ml": 3}  # the newest that the converter knows
RANDOM = np.random.default_rng(7)
ROWS = RANDOM.random((120, 4))
BINARY = (ROWS[:, 0] + ROWS[:, 1] > 1).astype(int)
THREE = (ROWS[:, 0] * 3).astype(int)
TEXTS = np.array(["low", "mid", "top"])[THREE]
ASKED = RANDOM.random((9, 4))
COLUMNS = [column.tolist() for column in ASKED.T]
QUIET: dict[str, Any] = {"n_estimators": 3, "verbose": -1, "min_child_samples": 5, "n_jobs": 1}
METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function")


def samples() -> list[Sample]:
    """A few of every format that the base and the extra `boosting` bring."""
    return [*_scikit_learn(), *_onnx(), _onnx_of_columns(), *_xgboost(), *_lightgbm()]


def of_format(name: str) -> Sample:
    """The first sample of a format."""
    return next(sample for sample in samples() if sample.format == name)


def own_answers(model: Any, rows: Any = ASKED) -> dict[str, Any]:
    """What a model answers by each of its methods."""
    with np.errstate(divide="ignore"):  # the logarithm of no chance at all
        found = {m: getattr(model, m)(rows).tolist() for m in METHODS if hasattr(model, m)}
    return {method: answer for method, answer in found.items() if answer}


def _scikit_learn() -> list[Sample]:
    found = []
    for name, model in (
        ("forest", RandomForestClassifier(4, random_state=0).fit(ROWS, TEXTS)),
        ("xgboost", xgboost.XGBClassifier(n_estimators=3).fit(ROWS, THREE)),
        ("lightgbm", lightgbm.LGBMClassifier(**QUIET).fit(ROWS, TEXTS)),
    ):
        packed = io.BytesIO()
        joblib.dump(model, packed)
        answers = own_answers(model)
        found.append(Sample("skops", bytes(skops.io.dumps(model)), COLUMNS, answers, name))
        found.append(Sample("joblib", packed.getvalue(), COLUMNS, answers, name))
    return found


def _onnx() -> list[Sample]:
    found = []
    for name, model, options, answers in (
        ("maps", LogisticRegression(), {}, TEXTS),
        ("arrays", RandomForestClassifier(4, random_state=0), {"zipmap": False}, THREE),
        ("numbers", LinearRegression(), None, BINARY),
    ):
        model.fit(ROWS, answers)
        graph = to_onnx(
            model,
            ROWS[:1].astype(np.float32),
            options=None if options is None else {id(model): options},
            target_opset=OPSETS,
        )
        data = graph.SerializeToString()
        feeds = {"X": ASKED.astype(np.float32)}
        found.append(Sample("onnx", data, COLUMNS, _runtime_answers(data, feeds, model), name))
    return found


def _onnx_of_columns() -> Sample:
    import pandas as pd

    frame = pd.DataFrame({"age": ROWS[:, 0], "size": ROWS[:, 1], "kind": TEXTS})
    encoded = make_column_transformer(
        (StandardScaler(), ["age", "size"]), (OneHotEncoder(), ["kind"])
    )
    model = make_pipeline(encoded, LogisticRegression()).fit(frame, BINARY)
    types = [(name, FloatTensorType([None, 1])) for name in ("age", "size")]
    types.append(("kind", StringTensorType([None, 1])))
    data = convert_sklearn(model, initial_types=types, target_opset=OPSETS).SerializeToString()
    columns: list[list[Any]] = [*COLUMNS[:2], ["low", "mid", "top"] * 3]
    feeds = {
        "age": np.array(columns[0], np.float32).reshape(-1, 1),
        "size": np.array(columns[1], np.float32).reshape(-1, 1),
        "kind": np.array(columns[2], object).reshape(-1, 1),
    }
    return Sample("onnx", data, columns, _runtime_answers(data, feeds, model), "columns")


def _runtime_answers(data: bytes, feeds: dict[str, NDArray[Any]], model: Any) -> dict[str, Any]:
    """What ONNX Runtime itself answers, its outputs called as methods are."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    outputs = session.run(None, feeds)
    if len(outputs) == 1:
        return {"predict": outputs[0].ravel().tolist()}
    scores = outputs[1]
    if isinstance(scores, list):
        scores = np.array([[row[label] for label in model.classes_.tolist()] for row in scores])
    return {"predict": outputs[0].tolist(), "predict_proba": scores.tolist()}


def _xgboost() -> list[Sample]:
    found = []
    for name, model, answers in (
        ("two", xgboost.XGBClassifier(n_estimators=3), BINARY),
        ("three", xgboost.XGBClassifier(n_estimators=3), THREE),
        ("numbers", xgboost.XGBRegressor(n_estimators=3), BINARY),
        ("dart", xgboost.XGBRegressor(n_estimators=3, booster="dart"), BINARY),
        ("linear", xgboost.XGBRegressor(n_estimators=3, booster="gblinear"), BINARY),
        ("several", xgboost.XGBRegressor(n_estimators=3), np.c_[BINARY, THREE]),
        ("rank", xgboost.XGBRanker(n_estimators=3), BINARY),
    ):
        groups = {"qid": np.zeros(len(ROWS))} if name == "rank" else {}
        model.fit(ROWS, answers, **groups)
        for form in ("ubj", "json"):
            data = bytes(model.get_booster().save_raw(form))
            found.append(Sample("xgboost", data, COLUMNS, own_answers(model), f"{name}-{form}"))
    return found


def _lightgbm() -> list[Sample]:
    found = []
    for name, model, answers in (
        ("two", lightgbm.LGBMClassifier(**QUIET), BINARY),
        ("three", lightgbm.LGBMClassifier(**QUIET), THREE),
        ("each", lightgbm.LGBMClassifier(**QUIET, objective="multiclassova"), THREE),
        ("numbers", lightgbm.LGBMRegressor(**QUIET), BINARY),
        ("counts", lightgbm.LGBMRegressor(**QUIET, objective="poisson"), THREE),
    ):
        model.fit(ROWS, answers)
        data = model.booster_.model_to_string().encode()
        found.append(Sample("lightgbm", data, COLUMNS, own_answers(model), name))
    return found
