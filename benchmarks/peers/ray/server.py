"""Ray Serve: one deployment, with as many replicas as are asked for."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pyarrow as pa
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(os.environ["BENCH_MODELS"])


@serve.deployment(num_replicas=int(os.environ["BENCH_WORKERS"]), max_ongoing_requests=1000)
class Models:
    """Every model of the loads."""

    def __init__(self) -> None:
        self.models = {path.stem: joblib.load(path) for path in FOLDER.glob("*.joblib")}

    async def __call__(self, request: Request) -> Any:
        """Answer rows: /predict/MODEL in JSON, /predict/MODEL/npy and /predict/MODEL/arrow."""
        _, _, model, *form = request.url.path.split("/")
        if form == ["npy"]:
            return self.npy(model, await request.body())
        if form == ["arrow"]:
            return self.arrow(model, await request.body())
        rows = np.asarray((await request.json())["features"])
        return {"prediction": self.models[model].predict(rows).tolist()}

    def npy(self, model: str, body: bytes) -> Response:
        """Answer an array with an array."""
        out = io.BytesIO()
        np.save(out, self.models[model].predict(np.load(io.BytesIO(body))))
        return Response(out.getvalue(), media_type="application/x-npy")

    def arrow(self, model: str, body: bytes) -> Response:
        """Answer an Arrow stream with an Arrow stream."""
        table = pa.ipc.open_stream(body).read_all()
        rows = np.column_stack([column.to_numpy() for column in table.columns])
        answer = pa.table({"prediction": self.models[model].predict(rows)})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, answer.schema) as writer:
            writer.write_table(answer)
        return Response(
            sink.getvalue().to_pybytes(), media_type="application/vnd.apache.arrow.stream"
        )


if __name__ == "__main__":
    ray.init(include_dashboard=False, log_to_driver=False)
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(os.environ["BENCH_PORT"])},
        logging_config={"enable_access_log": False},
    )
    serve.run(Models.bind(), route_prefix="/")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
