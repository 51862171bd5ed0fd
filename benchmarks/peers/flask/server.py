"""Plain Flask, on gunicorn with threads, as its own tutorials serve a model."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pyarrow as pa
from flask import Flask, Response, jsonify, request

MODELS = {
    path.stem: joblib.load(path) for path in Path(os.environ["BENCH_MODELS"]).glob("*.joblib")
}
app = Flask(__name__)


@app.post("/predict/<model>")
def predict(model: str) -> Any:
    """Answer rows in JSON."""
    answers = MODELS[model].predict(np.asarray(request.get_json()["features"]))
    return jsonify(prediction=answers.tolist())


@app.post("/predict/<model>/npy")
def predict_npy(model: str) -> Any:
    """Answer an array with an array."""
    answers = MODELS[model].predict(np.load(io.BytesIO(request.get_data())))
    out = io.BytesIO()
    np.save(out, answers)
    return Response(out.getvalue(), mimetype="application/x-npy")


@app.post("/predict/<model>/arrow")
def predict_arrow(model: str) -> Any:
    """Answer an Arrow stream with an Arrow stream."""
    table = pa.ipc.open_stream(request.get_data()).read_all()
    rows = np.column_stack([column.to_numpy() for column in table.columns])
    answer = pa.table({"prediction": MODELS[model].predict(rows)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, answer.schema) as writer:
        writer.write_table(answer)
    return Response(sink.getvalue().to_pybytes(), mimetype="application/vnd.apache.arrow.stream")
