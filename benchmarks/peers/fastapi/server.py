"""FastAPI on uvicorn with uvloop and httptools; orjson writes the answers.

The endpoints are coroutines: functions, which FastAPI runs in threads, answered fewer requests.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import orjson
import pyarrow as pa
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

MODELS = {
    path.stem: joblib.load(path) for path in Path(os.environ["BENCH_MODELS"]).glob("*.joblib")
}
app = FastAPI()


class Rows(BaseModel):
    """What is asked."""

    features: list[list[float]]


@app.post("/predict/{model}")
async def predict(model: str, rows: Rows) -> Response:
    """Answer rows in JSON."""
    answers: Any = MODELS[model].predict(np.asarray(rows.features))
    body = orjson.dumps({"prediction": answers}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, media_type="application/json")


@app.post("/predict/{model}/npy")
async def predict_npy(model: str, request: Request) -> Response:
    """Answer an array with an array."""
    answers = MODELS[model].predict(np.load(io.BytesIO(await request.body())))
    out = io.BytesIO()
    np.save(out, answers)
    return Response(out.getvalue(), media_type="application/x-npy")


@app.post("/predict/{model}/arrow")
async def predict_arrow(model: str, request: Request) -> Response:
    """Answer an Arrow stream with an Arrow stream."""
    table = pa.ipc.open_stream(await request.body()).read_all()
    rows = np.column_stack([column.to_numpy() for column in table.columns])
    answer = pa.table({"prediction": MODELS[model].predict(rows)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, answer.schema) as writer:
        writer.write_table(answer)
    return Response(sink.getvalue().to_pybytes(), media_type="application/vnd.apache.arrow.stream")
