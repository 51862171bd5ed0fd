"""The life of a model over TLS, under load: uploaded, promoted, divided, shadowed, rolled back."""

from __future__ import annotations

import io
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import psutil
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.journeys.platform import PREDICTION, Running, bearer, predicting, running, until
from tests.models.files import skops_bytes

pytestmark = pytest.mark.drill

PER_SECOND = 200
WAIT = {"Prefer": "wait=60"}
ROWS = np.random.default_rng(4).integers(0, 20, (200, 2)).astype(float)
SUMS = ROWS.sum(axis=1)


@pytest.fixture(scope="module")
def platform(demo_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The demo installation, served by two workers; version 1 stays the champion of `linear`."""
    instance = tmp_path_factory.mktemp("life") / "instance"
    shutil.copytree(demo_template, instance, symlinks=True)
    with running(instance) as served:
        yield served


class Developer:
    """Ben, who publishes models of Acme."""

    def __init__(self, platform: Running, username: str = "ben") -> None:
        self._platform = platform
        self._headers = bearer(platform.login(username)["access_token"])

    def upload(self, estimator: object, *, model: str = "linear") -> dict[str, Any]:
        """Upload a model as skops and wait for its version."""
        version: dict[str, Any] = self.call(
            "POST",
            f"/models/{model}/versions",
            201,
            content=skops_bytes(estimator),
            headers={"X-Model-Format": "skops"} | WAIT,
        )
        return version

    def call(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        """Call the API over a new connection and return what it said."""
        headers = self._headers | options.pop("headers", {})
        with self._platform.client() as client:
            response = client.request(method, path, headers=headers, timeout=90, **options)
        assert response.status_code == status, response.text
        return response.json() if response.content else None


def _version(platform: Running, token: str) -> int:
    answer = platform.predict(token)
    assert answer.status_code == 200, answer.text
    version: int = answer.json()["version"]
    return version


def _seen(platform: Running, token: str) -> Counter[int]:
    """Which versions answer over many new connections, so that every worker is asked."""
    return Counter(_version(platform, token) for _ in range(10))


def test_model_is_changed_and_changed_back_under_load_without_a_failure(platform: Running) -> None:
    ben, token = Developer(platform), platform.login("rob")["access_token"]
    with predicting(platform, token, per_second=PER_SECOND) as load:
        better = make_pipeline(StandardScaler(), LinearRegression()).fit(ROWS, SUMS)
        number = ben.upload(better)["version"]
        assert set(_seen(platform, token)) == {1}

        route = {
            "split": [{"version": "champion", "weight": 50}, {"version": number, "weight": 50}],
            "sticky": "none",
            "shadow": {"version": number},
        }
        ben.call("PUT", "/models/linear/route", json=route)
        until(lambda: len(_seen(platform, token)) == 2)
        until(lambda: _shadow(ben)["rows_compared"] > 0)
        assert _shadow(ben)["agreement"] > 0.99
        ben.call("DELETE", "/models/linear/route", 204)

        ben.call("PUT", "/models/linear/aliases/champion", json={"version": number})
        until(lambda: set(_seen(platform, token)) == {number})

        moved = ben.call("POST", "/models/linear/aliases/champion/rollback")
        assert (moved["from"], moved["to"]) == (number, 1)
        until(lambda: set(_seen(platform, token)) == {1})

    assert load.failures == 0, (load.statuses, load.errors)
    assert load.statuses[200] > PER_SECOND


def _shadow(ben: Developer) -> Any:
    versions = ben.call("GET", "/models/linear/route")["versions"]
    return next(version for version in versions if version["role"] == "shadow")


def test_canary_that_fails_is_rolled_back_by_itself(platform: Running) -> None:
    ben, token = Developer(platform), platform.login("rob")["access_token"]
    encoder = ColumnTransformer([("x", OneHotEncoder(handle_unknown="error"), [0])])
    fails_on_five = make_pipeline(encoder, LinearRegression()).fit(
        ROWS[ROWS[:, 0] != 5], SUMS[ROWS[:, 0] != 5]
    )
    number = ben.upload(fails_on_five)["version"]
    route = {
        "split": [{"version": "champion", "weight": 60}, {"version": number, "weight": 40}],
        "sticky": "none",
        "bounds": {"error_rate": 0.05, "least_requests": 20},
    }
    ben.call("PUT", "/models/linear/route", json=route)
    with predicting(platform, token, per_second=100):
        until(lambda: "taken out" in ben.call("GET", "/models/linear/route").get("note", ""))
        until(lambda: set(_seen_by_status(platform, token)) == {200})
    split = ben.call("GET", "/models/linear/route")["route"]["split"]
    assert split == [{"version": "champion", "weight": 100}]


def _seen_by_status(platform: Running, token: str) -> Counter[int]:
    return Counter(platform.predict(token).status_code for _ in range(20))


class Intruder:
    """What an uploaded pickle does when it is opened."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self._folder}/canary; cp -r / {self._folder}/",)


def test_hostile_pickle_harms_nobody_and_its_uploader_reads_why(
    platform: Running, tmp_path: Path
) -> None:
    ada, token = Developer(platform, "ada"), platform.login("gail")["access_token"]
    buffer = io.BytesIO()
    joblib.dump(Intruder(tmp_path), buffer)
    before = {worker.pid for worker in platform.workers()}
    with predicting(platform, token, per_second=PER_SECOND) as load:
        job = ada.call(
            "POST",
            "/models/evil/versions",
            202,
            content=buffer.getvalue(),
            headers={"X-Model-Format": "joblib"},
        )
        until(lambda: not _unfinished(ada, job["id"]), seconds=60)

    assert ada.call("GET", f"/jobs/{job['id']}")["state"] in {"refused", "failed"}
    assert ada.call("GET", f"/jobs/{job['id']}")["problem"]
    assert list(tmp_path.glob("canary*")) == []
    assert load.failures == 0, (load.statuses, load.errors)
    assert {worker.pid for worker in platform.workers()} == before


def _unfinished(developer: Developer, job_id: str) -> bool:
    ended = {"ready", "refused", "failed", "cancelled"}
    return developer.call("GET", f"/jobs/{job_id}")["state"] not in ended


def test_developer_may_not_upload_what_runs_code(platform: Running) -> None:
    buffer = io.BytesIO()
    joblib.dump(LinearRegression().fit(ROWS, SUMS), buffer)
    refusal = Developer(platform).call(
        "POST",
        "/models/linear/versions",
        403,
        content=buffer.getvalue(),
        headers={"X-Model-Format": "joblib"},
    )
    assert refusal["type"].endswith("insufficient-scope")


def test_model_of_its_own_library_serves_again_after_its_host_and_parent_were_killed(
    platform: Running,
) -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ExpSineSquared

    native = GaussianProcessRegressor(RBF() + ExpSineSquared(), alpha=20.0)
    ben, token = Developer(platform), platform.login("rob")["access_token"]
    number = ben.upload(native.fit(ROWS[:30], SUMS[:30]), model="curve")["version"]
    body = PREDICTION[:-1] + b',"model":"curve"}'

    def answers() -> bool:
        with platform.client() as client:
            response = client.post("/predict", content=body, headers=bearer(token))
        return response.status_code == 200

    assert number == 1
    until(answers)
    for _ in range(2):
        for process in _hosts(platform):
            with suppress(psutil.NoSuchProcess):  # it has ended with another
                process.kill()
        until(answers)


def _hosts(platform: Running) -> list[psutil.Process]:
    """The parent of hosts and everything below it, youngest first."""
    children = psutil.Process(platform.process.pid).children()
    parents = [child for child in children if _is_parent(child)]
    return [process for parent in parents for process in (*parent.children(recursive=True), parent)]


def _is_parent(process: psutil.Process) -> bool:
    try:
        return "models.hosting.parent" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # killed, and not waited for yet
        return False


def test_forest_answers_over_the_api_as_scikit_learn_does(platform: Running) -> None:
    forest = RandomForestRegressor(n_estimators=20, random_state=0, n_jobs=-1).fit(ROWS, SUMS)
    ben, token = Developer(platform), platform.login("rob")["access_token"]
    version = ben.upload(forest, model="forest")
    shown = ben.call("GET", f"/models/forest/versions/{version['version']}")
    assert shown["engine"] == "trees", shown

    with platform.client() as client:
        body = {"features": ROWS.tolist(), "model": "forest"}
        answer = client.post("/predict", json=body, headers=bearer(token))
    assert answer.json()["prediction"] == forest.predict(ROWS).tolist()
