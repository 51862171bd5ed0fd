"""What MLflow's own clients are told by a platform; reads where it is, prints what came of it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd
from mlflow.deployments import get_deploy_client
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

ROWS: Final = np.array([[5.0, 10.0], [1.0, 2.0]])
Place = dict[str, str]


def score(place: Place) -> dict[str, Any]:
    """Ask with the client of `mlflow models serve`, which finds Basic credentials in a netrc."""
    client: Any = ScoringServerClient  # its class has no types
    client = client("localhost", "0")
    client.url_prefix = place["url"]  # it writes http:// itself
    client.ping()

    def invoke(data: Any, **options: Any) -> list[float]:
        found: list[float] = client.invoke(data, **options).get_predictions()[0].tolist()
        return found

    return {
        "version": client.get_version(),
        "array": invoke(ROWS),
        "list": invoke(ROWS.tolist()),
        "frame": invoke(pd.DataFrame(ROWS[:, ::-1], columns=["x1", "x0"])),
        "method": invoke(ROWS, params={"method": "predict"}),
        "narrow": refusal(lambda: invoke(ROWS[:, :1])),
    }


def deploy(place: Place, **environment: str) -> dict[str, Any]:
    """Ask with the client of deployments, which takes credentials from the environment."""
    os.environ.update(environment)
    make: Any = get_deploy_client
    client = make(place["url"])
    frame = {"dataframe_split": {"data": ROWS.tolist()}}
    answer = client.predict(endpoint="linear", inputs=frame)
    absent = refusal(lambda: client.predict(endpoint="absent", inputs=frame))
    for name in environment:
        del os.environ[name]
    return {"predictions": answer["predictions"], "absent": absent}


def refusal(ask: Callable[[], object]) -> str:
    """What a client raises."""
    try:
        ask()
    except Exception as error:  # noqa: BLE001
        return str(error)
    return ""


def main() -> None:
    """Hold the conversation."""
    place = json.load(sys.stdin)
    told = {"scoring": score(place)}
    del os.environ["NETRC"]  # `requests` prefers what is there to any header
    told |= {
        "token": deploy(place, MLFLOW_TRACKING_TOKEN=place["token"]),
        "password": deploy(
            place,
            MLFLOW_TRACKING_USERNAME=place["identifier"],
            MLFLOW_TRACKING_PASSWORD=place["secret"],
        ),
    }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
