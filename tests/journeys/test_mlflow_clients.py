"""MLflow's own clients, unmodified, against the real platform over real TLS."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.docs.markdown import ROOT, blocks
from tests.journeys.platform import Running, bearer, printed, running

MANUAL: Final = ROOT / "docs" / "how-to" / "clients.md"
ADDRESS: Final = "https://localhost:8443"
PREDICTED: Final = pytest.approx([15, 3])


@dataclass(frozen=True, slots=True)
class Site:
    """A platform that serves, a token, and a service account's credentials in a netrc."""

    served: Running
    token: str
    account: dict[str, str]
    netrc: Path

    @property
    def authority(self) -> str:
        """The certificate that clients trust."""
        return str(self.served.instance / "certs" / "ca.pem")

    def run(self, *words: str, given: str = "", **environment: str) -> str:
        """Run a program beside the installation and return what it printed."""
        told = {"PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
        folder = self.served.instance.parent
        return printed(words, cwd=folder, environment=os.environ | told | environment, given=given)


@pytest.fixture(scope="module")
def site(demo_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The demo with a robot."""
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
        yield Site(served, served.login("rob")["access_token"], made, netrc)


@pytest.fixture(scope="module")
def told(site: Site) -> Any:
    """What came of one conversation; where credentials are found is said to a process."""
    place = {"url": site.served.url, "token": site.token}
    place |= {"identifier": site.account["id"], "secret": site.account["secret"]}
    said = site.run(
        sys.executable,
        "-m",
        "tests.journeys.mlflow_conversation",
        given=json.dumps(place),
        NETRC=str(site.netrc),
        REQUESTS_CA_BUNDLE=site.authority,
        MLFLOW_TRACKING_SERVER_CERT_PATH=site.authority,
    )
    return json.loads(said)


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


def test_curl_chooses_what_it_has_of_the_ways_that_are_offered(site: Site) -> None:
    words = ["curl", "-sS", "--cacert", site.authority, "--anyauth", "--netrc-file"]
    body = ["-H", "Content-Type: application/json", "-d", '{"inputs": [[5, 10]]}']
    said = site.run(*words, str(site.netrc), *body, f"{site.served.url}/invocations")
    assert json.loads(said)["predictions"] == pytest.approx([15])


def test_the_examples_of_tf_serving_work_as_pasted(site: Site) -> None:
    [shown] = [each for each in blocks(MANUAL.read_text(), "bash") if "/v1/" in each]
    pasted = shown.replace(ADDRESS, site.served.url)
    rows, columns, number, state, metadata = map(
        json.loads,
        site.run("bash", "-euo", "pipefail", "-c", pasted, TOKEN=site.token).splitlines(),
    )
    assert rows["predictions"] == columns["outputs"] == PREDICTED
    assert number["results"] == pytest.approx([15])
    assert state["model_version_status"][0]["state"] == "AVAILABLE"
    assert "serving_default" in metadata["metadata"]["signature_def"]["signature_def"]


def test_the_example_of_mlflow_works_as_pasted(site: Site) -> None:
    [shown] = [each for each in blocks(MANUAL.read_text(), "python") if "mlflow" in each]
    pasted = f"token = {site.token!r}\n" + shown.replace(ADDRESS, site.served.url)
    assert json.loads(site.run(sys.executable, "-c", pasted)) == PREDICTED
