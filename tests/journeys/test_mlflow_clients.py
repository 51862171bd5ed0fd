"""MLflow's own clients, unmodified, against the real platform over real TLS."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.docs.markdown import ROOT
from tests.journeys.platform import Running, bearer, running

PREDICTED: Final = pytest.approx([15, 3])


@pytest.fixture(scope="module")
def told(demo_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What came of one conversation."""
    folder = tmp_path_factory.mktemp("mlflow")
    shutil.copytree(demo_template, folder / "instance", symlinks=True)
    with running(folder / "instance") as served:
        robot = {"name": "robot", "scope": "predict"}
        with served.client() as client:
            token = served.login()["access_token"]
            made = client.post("/admin/clients", json=robot, headers=bearer(token)).json()
        netrc = folder / "netrc"
        netrc.write_text(f"machine localhost login {made['id']} password {made['secret']}\n")
        netrc.chmod(0o600)
        token = served.login("rob")["access_token"]
        place = {"url": served.url, "token": token, "identifier": made["id"]}
        return converse(served, netrc, place | {"secret": made["secret"]})


def converse(served: Running, netrc: Path, place: dict[str, str]) -> Any:
    """Run MLflow apart: where it finds certificates and credentials is said to a process."""
    authority = str(served.instance / "certs" / "ca.pem")
    told = {"REQUESTS_CA_BUNDLE": authority, "MLFLOW_TRACKING_SERVER_CERT_PATH": authority}
    done = subprocess.run(
        [sys.executable, "-m", "tests.journeys.mlflow_conversation"],
        input=json.dumps(place),
        cwd=ROOT,
        env=os.environ | told | {"NETRC": str(netrc), "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_scoring_client_finds_its_credentials_in_a_netrc(told: Any) -> None:
    said = told["scoring"]
    assert said["version"]
    for name in ("array", "list", "frame", "method"):
        assert said[name] == PREDICTED, name
    assert "error code 400" in said["narrow"]
    assert "Failed to enforce schema of data" in said["narrow"]


@pytest.mark.parametrize("credentials", ["token", "password"])
def test_deployment_client_predicts(told: Any, credentials: str) -> None:
    said = told[credentials]
    assert said["predictions"] == PREDICTED
    assert "RESOURCE_DOES_NOT_EXIST" in said["absent"]
    assert "there is no model 'absent'" in said["absent"]
