"""What the Open Inference Protocol says of models, and its repository that loads and unloads."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.house import House
from tests.neighbour import Neighbour
from tests.service.test_open_inference import ROWS, ask, kennel, outputs, refused, tensor

__all__ = ["kennel"]
UNLOAD: Final = "/v2/repository/models/linear/unload"
LOAD: Final = "/v2/repository/models/linear/load"


def told(house: House, path: str, username: str = "rob") -> Any:
    response = getattr(house, username).get(path)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/json"
    return response.get_json()


def test_health_and_server_are_everybodys(shared_house: House) -> None:
    client = shared_house.client
    assert client.get("/v2/health/live").get_json() == {"live": True}
    assert client.get("/v2/health/ready").get_json() == {"ready": True, "live": True}
    assert client.get("/v2").get_json() == client.get("/v2/").get_json()
    server = client.get("/v2").get_json()
    assert server["name"] == "sallyport"
    assert {"binary_tensor_data", "statistics", "model_repository"} <= set(server["extensions"])


def test_a_platform_that_cannot_predict_is_not_ready(
    shared_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = {"database": "failing"}
    monkeypatch.setattr("service.operations.health.readiness", lambda _: checks)
    assert refused(shared_house.client.get("/v2/health/ready"), 503) == "not ready: database"


def test_metadata_name_the_tensors(kennel: House) -> None:
    numbers = told(kennel, "/v2/models/numbers")
    assert numbers["name"] == "numbers"
    assert numbers["versions"] == ["1"]
    assert numbers["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 2]}]
    assert {"name": "predict", "datatype": "INT64", "shape": [-1]} in numbers["outputs"]
    assert {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2]} in numbers["outputs"]
    assert told(kennel, "/v2/models/numbers/versions/champion") == numbers

    texts = told(kennel, "/v2/models/texts")
    assert texts["inputs"] == [
        {"name": "x0", "datatype": "BYTES", "shape": [-1]},
        {"name": "x1", "datatype": "FP64", "shape": [-1]},
    ]


def test_the_configuration_is_in_tritons_form(kennel: House) -> None:
    config = told(kennel, "/v2/models/texts/config")
    assert config["max_batch_size"] == 0
    assert config["input"][0] == {"name": "x0", "data_type": "TYPE_STRING", "dims": [-1]}
    assert config["version_policy"] == {"specific": {"versions": [1]}}
    assert told(kennel, "/v2/models/texts/versions/1/config") == config


def test_what_the_metadata_say_can_be_asked(kennel: House) -> None:
    """Every model answers tensors made from its own metadata, with the outputs that it names."""
    for name in told(kennel, "/v2/models")["models"]:
        shown = told(kennel, f"/v2/models/{name}")
        values = {"FP64": 1.0, "BYTES": "no"}
        inputs = [
            tensor(
                [[1.0] * given["shape"][1]] if given["shape"][1:] else [values[given["datatype"]]],
                given["name"],
                given["datatype"],
            )
            for given in shown["inputs"]
        ]
        wanted = [{"name": output["name"]} for output in shown["outputs"]]
        answer = outputs(ask(kennel, *inputs, model=name, outputs=wanted))
        for output in shown["outputs"]:
            found = answer[output["name"]]
            assert found["datatype"] == output["datatype"]
            assert found["shape"] == [1, *output["shape"][1:]]


def test_a_model_that_answers_is_ready(shared_house: House) -> None:
    assert told(shared_house, "/v2/models/linear/ready") == {"name": "linear", "ready": True}
    assert told(shared_house, "/v2/models/linear/versions/1/ready")["ready"] is True
    assert refused(shared_house.rob.get("/v2/models/none/ready"), 404)
    assert refused(shared_house.rob.get("/v2/models/linear/versions/9/ready"), 404)


def test_a_retired_version_is_neither_ready_nor_listed_as_such(house: House) -> None:
    house.add_version()
    house.ada.call("PATCH", "/models/linear/versions/2", json={"state": "retired"})
    assert "retired" in refused(house.rob.get("/v2/models/linear/versions/2/ready"), 410)
    assert told(house, "/v2/models/linear")["versions"] == ["1"]
    assert house.rob.post("/v2/repository/index").get_json() == [
        {"name": "linear", "version": "1", "state": "READY"},
        {"name": "linear", "version": "2", "state": "UNAVAILABLE", "reason": "retired"},
    ]


def test_statistics_count_every_call(house: House) -> None:
    def counted(path: str) -> Any:
        [found] = told(house, path)["model_stats"]
        return found

    before = counted("/v2/models/linear/stats")
    assert (before["inference_count"], before["last_inference"]) == (0, 0)
    ask(house, tensor(ROWS.tolist()))
    ask(house, tensor(ROWS.tolist()))
    ask(house, tensor([[1, 2, 3]]))

    after = counted("/v2/models/linear/versions/1/stats")
    assert counted("/v2/models/stats") == counted("/v2/models/linear/stats") == after
    assert (after["name"], after["version"]) == ("linear", "1")
    assert (after["inference_count"], after["execution_count"]) == (4, 2)
    assert after["last_inference"] > 0
    stats = after["inference_stats"]
    assert stats["success"]["count"] == 2
    assert stats["fail"]["count"] == 1
    assert 0 < stats["compute_infer"]["ns"] < stats["success"]["ns"]


def test_who_may_ask_one_model_is_told_of_one(house: House) -> None:
    house.add_version("other")
    identifier, secret = house.robot("predict:linear")
    body = {"grant_type": "client_credentials"}
    token = house.client.post("/auth/token", data=body, auth=(identifier, secret)).get_json()
    bearer = {"Authorization": f"Bearer {token['access_token']}"}

    def get(path: str) -> Any:
        return house.client.get(path, headers=bearer)

    assert get("/v2/models").get_json() == {"models": ["linear"]}
    [counted] = get("/v2/models/stats").get_json()["model_stats"]
    assert counted["name"] == "linear"
    for part in ("", "/ready", "/config", "/stats"):
        assert get(f"/v2/models/linear{part}").status_code == 200
        assert refused(get(f"/v2/models/other{part}"), 403)
    assert refused(house.client.post("/v2/repository/index", headers=bearer), 403)


def test_an_unloaded_model_answers_in_no_dialect_until_it_is_loaded(house: House) -> None:
    assert house.ben.post(UNLOAD).get_json() == {"name": "linear", "unload": True}

    for answer in (ask(house, tensor([[5, 10]])), house.rob.get("/v2/models/linear/ready")):
        assert "not ready: unloaded" in refused(answer, 503)
    for members in ({}, {"model": "linear"}, {"version": 1}, {"version": "champion"}):
        answer = house.rob.predict([5, 10], **members)
        assert answer.get_json()["type"] == "urn:sallyport:problem:model-unloaded"
    assert house.rob.post("/v2/repository/index").get_json() == [
        {"name": "linear", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded"}
    ]
    only_ready = house.rob.post("/v2/repository/index", data=json.dumps({"ready": True}))
    assert only_ready.get_json() == []
    assert house.gail.predict([5, 10]).status_code == 200, "another tenant's of the same name"

    assert house.ben.post(LOAD, data="{}").get_json() == {"name": "linear", "load": True}
    assert outputs(ask(house, tensor([[5, 10]])))["predict"]["data"] == [15.0]
    assert house.rob.predict([5, 10]).status_code == 200


def test_every_worker_follows_at_once(house: House, neighbour: Neighbour) -> None:
    here, there = house.rob, house.rob.through(neighbour.client)
    for actor in (here, there):  # remembered by both
        assert actor.predict([5, 10]).status_code == 200

    house.ben.post(UNLOAD)
    assert here.predict([5, 10]).status_code == there.predict([5, 10]).status_code == 503

    house.ben.through(neighbour.client).post(LOAD)
    assert here.predict([5, 10]).status_code == there.predict([5, 10]).status_code == 200


def test_a_new_model_of_a_deleted_ones_name_is_loaded(house: House) -> None:
    house.add_version("other")
    assert house.ben.post("/v2/repository/models/other/unload").status_code == 200
    assert house.ada.call("DELETE", "/models/other?confirm=other").status_code == 204

    house.add_version("other")

    assert house.rob.predict([5, 10], model="other").status_code == 200


def test_loading_and_unloading_are_on_record(house: House) -> None:
    house.ben.post(UNLOAD, data=json.dumps({"parameters": {"unload_dependents": True}}))
    house.ben.post(LOAD)
    records = house.ada.get("/admin/audit").get_json()
    found = [(r["action"], r["subject"]) for r in records if r["action"].startswith("models.")]
    assert found[:2] == [("models.load", "linear"), ("models.unload", "linear")]


@pytest.mark.parametrize("path", [LOAD, UNLOAD])
def test_callers_neither_load_nor_unload(shared_house: House, path: str) -> None:
    assert refused(shared_house.rob.post(path), 403)


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        (LOAD, {"parameters": {"config": "{}"}}, "upload another with POST /models/linear/version"),
        (LOAD, {"parameters": {"file:1/model.onnx": "eA=="}}, "a version never changes"),
        (LOAD, {"parameters": {"other": 1}}, "takes no parameters"),
        (LOAD, {"parameters": []}, "/parameters: not an object"),
        (LOAD, {"other": {}}, "/other: unknown"),
        (UNLOAD, {"parameters": {"unload_dependents": "yes"}}, "known is unload_dependents"),
        (UNLOAD, {"parameters": {"other": True}}, "known is unload_dependents"),
        ("/v2/repository/index", {"ready": 1}, "/ready: neither true nor false"),
        ("/v2/repository/index", [], "not an object"),
    ],
)
def test_a_wrong_order_to_the_repository_is_refused(
    shared_house: House, path: str, body: Any, said: str
) -> None:
    assert said in refused(shared_house.ben.post(path, data=json.dumps(body)))
    assert shared_house.rob.predict([5, 10]).status_code == 200
