"""LitServe: one API whose requests name the model, with as many workers as are asked for.

It reads the annotations of its methods when it starts, so they stand here as what they are.
"""

import os
from pathlib import Path
from typing import Any

import joblib
import litserve as ls
import numpy as np


class Models(ls.LitAPI):
    """Every model of the loads."""

    def setup(self, device: str) -> None:
        """Open the models, in each worker."""
        folder = Path(os.environ["BENCH_MODELS"])
        self.models = {path.stem: joblib.load(path) for path in folder.glob("*.joblib")}

    def decode_request(self, request: dict[str, Any]) -> Any:
        """Take the rows out of a request."""
        return request["model"], np.asarray(request["features"])

    def predict(self, asked: Any) -> Any:
        """Answer rows."""
        model, rows = asked
        return self.models[model].predict(rows)

    def encode_response(self, output: Any) -> dict[str, Any]:
        """Put the answers into a response."""
        return {"prediction": output.tolist()}


if __name__ == "__main__":
    server = ls.LitServer(
        Models(), accelerator="cpu", workers_per_device=int(os.environ["BENCH_WORKERS"])
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
