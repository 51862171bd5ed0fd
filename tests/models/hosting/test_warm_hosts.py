"""Hosts as they are served: scikit-learn's own answers, out of the sandbox."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import psutil
import pytest
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.errors import ArtefactBroken, RowsRefused
from models.hosting.starting import ROOT
from tests.models.hosting.conftest import SECONDS, Hosts

WORKERS_NEED = (
    "models.execution.hosts",
    "models.serving",
    "models.register.incidents",
    "models.intake",
)


@pytest.fixture(scope="module")
def classes() -> tuple[Any, Any]:
    features, answers = make_classification(120, 5, random_state=0)
    return features, answers


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        RandomForestClassifier(5, n_jobs=-1, random_state=0),
        HistGradientBoostingClassifier(max_iter=5),
        make_pipeline(StandardScaler(), LogisticRegression()),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_host_answers_as_the_library_does(
    warm_hosts: Hosts, classes: tuple[Any, Any], model: Any
) -> None:
    features, answers = classes
    fitted = model.fit(features, answers)
    version = warm_hosts.shelf.version(fitted)

    for method in version.signature.methods:
        answer = warm_hosts.executor.answer(version, method, features, seconds=SECONDS)
        with np.errstate(divide="ignore"):
            expected = getattr(fitted, method)(features)
        np.testing.assert_array_equal(answer, expected)
        assert answer.dtype == expected.dtype


def test_labels_of_text_come_back_as_text(warm_hosts: Hosts, classes: tuple[Any, Any]) -> None:
    features, answers = classes
    labels = np.array(["no", "yé"])[answers]
    fitted = LogisticRegression().fit(features, labels)
    version = warm_hosts.shelf.version(fitted)

    answer = warm_hosts.executor.answer(version, "predict", features, seconds=SECONDS)

    assert answer.tolist() == fitted.predict(features).tolist()


def test_calls_of_many_threads_and_models_never_mix(warm_hosts: Hosts) -> None:
    features, answers = make_regression(60, 3, random_state=1)
    models = [LinearRegression().fit(features, answers * scale) for scale in (1, 2, 3)]
    models.append(KNeighborsRegressor(1).fit(features, answers))
    versions = [warm_hosts.shelf.version(model) for model in models]
    expected = [model.predict(features) for model in models]

    def ask(number: int) -> bool:
        which, start = number % len(models), number % 50
        rows = slice(start, start + 1 + number % 7)
        answer = warm_hosts.executor.answer(
            versions[which], "predict", features[rows], seconds=SECONDS
        )
        return bool(np.allclose(answer, expected[which][rows], rtol=1e-12, atol=0))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(400)))


def test_a_host_has_one_thread(warm_hosts: Hosts, classes: tuple[Any, Any]) -> None:
    features, answers = classes
    forest = RandomForestClassifier(5, n_jobs=-1).fit(features, answers)
    version = warm_hosts.shelf.version(forest)
    warm_hosts.executor.answer(version, "predict", features, seconds=SECONDS)

    host = warm_hosts.host_of("tnt_acme")

    assert host is not None
    assert psutil.Process(host["pid"]).num_threads() == 1


def test_rows_that_a_models_library_refuses_are_the_callers(warm_hosts: Hosts) -> None:
    features, answers = make_regression(30, 3, random_state=1)
    version = warm_hosts.shelf.version(LinearRegression().fit(features, answers))

    with pytest.raises(RowsRefused):
        warm_hosts.executor.answer(version, "predict", features[:, :2], seconds=SECONDS)


def test_a_file_that_is_not_what_was_registered_is_not_opened(warm_hosts: Hosts) -> None:
    version = warm_hosts.shelf.file(b"no model at all", columns=1)

    with pytest.raises(ArtefactBroken):
        warm_hosts.executor.answer(version, "predict", np.ones((1, 1)), seconds=SECONDS)


def test_a_file_of_another_digest_is_not_opened(warm_hosts: Hosts) -> None:
    version = warm_hosts.shelf.file(b"one", columns=1)
    warm_hosts.shelf.replace(version, b"two")

    with pytest.raises(ArtefactBroken, match="digest"):
        warm_hosts.executor.answer(version, "predict", np.ones((1, 1)), seconds=SECONDS)


def test_a_worker_imports_no_library_of_models() -> None:
    script = (
        f"import importlib, sys; [importlib.import_module(n) for n in {WORKERS_NEED}]; "
        "print([n for n in ('sklearn', 'pandas', 'joblib', 'skops', 'onnx') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"
