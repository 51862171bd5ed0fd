"""Triton's own HTTP clients, unmodified, against the real platform over real TLS."""

from __future__ import annotations

import json
import shutil
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from certs.inspection import public_key_digest
from config.settings import load_settings
from service.operations import clients
from service.operations.imports import import_model
from service.operations.uploads import Wishes
from tests.docs.markdown import ROOT, blocks
from tests.house import opened
from tests.journeys.platform import Running, printed, running
from tests.journeys.served import free_port
from tests.models.files import skops_bytes
from tests.service.test_open_inference import TEXTS
from tests.service.test_open_inference_graphs import simple

PREDICTED: Final = pytest.approx([15, 3])
MANUAL: Final = ROOT / "docs" / "how-to" / "clients.md"


@dataclass(frozen=True, slots=True)
class Site:
    """A platform that serves, and a service account's certificate for its other listener."""

    served: Running
    mutual: int
    pair: Path
    robot: tuple[str, str]


@pytest.fixture(scope="module")
def site(demo_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The demo with a model of texts, a graph and a robot."""
    folder, mutual = tmp_path_factory.mktemp("triton"), free_port()
    shutil.copytree(demo_template, folder / "instance", symlinks=True)
    pair, robot = furnish(folder)
    with running(folder / "instance", CLIENT_CERTIFICATE_PORT=mutual) as served:
        yield Site(served, mutual, pair, robot)


def furnish(folder: Path) -> tuple[Path, tuple[str, str]]:
    """Add two models and accounts, as the commands do; returns a certificate and a secret."""
    (folder / "texts.skops").write_bytes(skops_bytes(TEXTS))
    (folder / "simple.onnx").write_bytes(simple())
    with opened(load_settings(folder / "instance")) as house:
        platform, scope = house.platform, house.operator("acme")
        for name in ("texts.skops", "simple.onnx"):
            model = name.partition(".")[0]
            import_model(platform, scope, model, folder / name, Wishes(promote=False))
        issued = platform.authority.issue_client("robot", days=7)
        certificate = ssl.PEM_cert_to_DER_cert(issued.certificate_pem.decode())
        digest = public_key_digest(certificate)
        clients.create_client(platform, scope, "robot", "predict", certificate_digest=digest)
        made = clients.create_client(platform, scope, "another", "predict")
    pair = folder / "robot.pem"
    pair.write_bytes(issued.certificate_pem + issued.key_pem)
    return pair, (made.id, made.secret or "")


@pytest.fixture(scope="module")
def told(site: Site) -> Any:
    """What came of one conversation."""
    served = site.served
    place = {
        "address": f"localhost:{served.port}",
        "ca": str(served.instance / "certs" / "ca.pem"),
        "tokens": {name: served.login(name)["access_token"] for name in ("rob", "ben")},
        "mutual": f"localhost:{site.mutual}",
        "pair": str(site.pair),
        "robot": site.robot,
    }
    return json.loads(converse("-m", "tests.journeys.triton_conversation", given=place))


def converse(*words: str, given: Any = None) -> str:
    """Run Python apart, for gevent is no guest in the process of the tests."""
    return printed([sys.executable, *words], given=json.dumps(given))


def test_it_reads_health_and_descriptions(told: Any) -> None:
    shown = told["descriptions"]
    for name in ("live", "ready", "model_ready", "version_ready"):
        assert shown[name] is True, name
    assert shown["absent_ready"] is False
    assert shown["server"]["name"] == "sallyport"
    assert [tensor["datatype"] for tensor in shown["metadata"]["inputs"]] == ["BYTES", "FP64"]
    assert shown["config"]["input"][0]["dims"] == [-1, 2]
    assert {(each["name"], each["state"]) for each in shown["index"]} == {
        ("linear", "READY"),
        ("simple", "READY"),
        ("texts", "READY"),
    }


def test_it_predicts_in_binary_form_and_in_json(told: Any) -> None:
    said = told["predictions"]
    assert said["binary"]["id"] == "a7"
    for name in ("binary", "json", "alias", "async", "parameters"):
        assert said[name]["outputs"]["predict"] == PREDICTED, name
        assert said[name]["model_version"] == "1"


def test_it_compresses_both_ways(told: Any) -> None:
    compressed = told["predictions"]["compressed"]
    assert len(compressed) == 6
    for answer in compressed:
        values = answer["outputs"]["predict"]
        assert (values[:2], len(values)) == (PREDICTED, 400)


def test_it_sends_and_reads_texts(told: Any) -> None:
    given = np.array([["café", 10.0], ["no", 2.0]], dtype=object)
    labels = TEXTS.predict(given).tolist()
    said = told["predictions"]
    assert said["texts"]["outputs"]["predict"] == labels
    assert said["texts in json"]["outputs"]["predict"] == labels
    several = said["several"]["outputs"]
    assert list(several) == ["predict_proba", "predict"]
    assert np.allclose(several["predict_proba"], TEXTS.predict_proba(given))
    assert several["predict"] == labels


def test_it_asks_a_graph_by_the_names_of_its_own_tensors(told: Any) -> None:
    said = told["graphs"]
    own = {"OUTPUT0": [list(range(2, 18))], "OUTPUT1": [list(range(-2, 14))]}
    assert said["wanted"]["outputs"] == said["unnamed"]["outputs"] == own
    names = {side: [t["name"] for t in said["metadata"][side]] for side in ("inputs", "outputs")}
    assert names == {"inputs": ["INPUT0", "INPUT1"], "outputs": ["OUTPUT0", "OUTPUT1"]}
    [counted] = said["counted"]["model_stats"]
    assert (counted["inference_count"], counted["execution_count"]) == (2, 2)
    assert said["missing"][0] == "400"


def test_it_reads_what_was_counted(told: Any) -> None:
    [counted] = told["predictions"]["counted"]["model_stats"]
    assert (counted["name"], counted["version"]) == ("linear", "1")
    assert counted["inference_stats"]["success"]["count"] == 11
    assert counted["inference_count"] == 6 * 400 + 5 * 2
    assert len(told["predictions"]["every"]["model_stats"]) == 3


def test_it_reads_what_is_refused(told: Any) -> None:
    said = told["refusals"]
    assert said["public"] is True
    failures = {name: answer for name, answer in said.items() if name != "public"}
    assert {name: status for name, (status, _) in failures.items()} == {
        "nobody": "401",
        "absent": "404",
        "version": "404",
        "output": "400",
        "tensor": "400",
        "unload": "403",
        "sequence": "400",
    }
    assert said["absent"][1].startswith("Request for unknown model: ")
    assert all(message for _, message in failures.values())


def test_it_unloads_and_loads(told: Any) -> None:
    said = told["repository"]
    assert (said["ready"], said["again"]) == (False, True)
    states = {each["name"]: (each["state"], each.get("reason")) for each in said["index"]}
    assert states.pop("linear") == ("UNAVAILABLE", "unloaded")
    assert states == dict.fromkeys(("simple", "texts"), ("READY", None))
    assert said["refused"][0] == "503"
    assert "not ready: unloaded" in said["refused"][1]
    assert said["config"][0] == said["files"][0] == "400"
    assert said["answer"]["outputs"]["predict"] == PREDICTED


def test_it_calls_with_a_client_certificate_alone(told: Any) -> None:
    said = told["certificates"]
    assert said["answer"]["outputs"]["predict"] == PREDICTED
    assert said["unknown"][1].startswith("Request for unknown model")


def test_it_calls_with_an_identifier_and_secret_alone(told: Any) -> None:
    said = told["basic"]
    assert said["ready"] is True
    assert said["answer"]["outputs"]["predict"] == PREDICTED
    assert said["unload"][0] == "403"


def test_the_asynchronous_client_does_the_same(told: Any) -> None:
    said = told["asynchronous"]
    assert said["ready"] is True
    assert said["metadata"]["inputs"][0]["name"] == "input"
    assert len(said["answers"]) == 4
    assert all(answer["outputs"]["predict"] == PREDICTED for answer in said["answers"])
    assert said["counted"]["model_stats"][0]["inference_count"] > 0
    assert said["refused"][0] == "404"


def test_the_example_of_the_manual_works(site: Site) -> None:
    served = site.served
    shown = blocks(MANUAL.read_text(), "python")
    [example] = [each for each in shown if "tritonclient.http" in each]
    token = served.login("rob")["access_token"]
    code = example.replace("localhost:8443", f"localhost:{served.port}")
    code = code.replace("instance/certs", str(served.instance / "certs"))
    assert converse("-c", f"token = {token!r}\n{code}").strip() == "[15.  3.]"
