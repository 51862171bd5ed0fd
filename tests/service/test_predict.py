"""POST /predict."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from werkzeug.test import TestResponse

from config.settings import load_settings
from models.stages import Prepared
from service.operations.models import set_default
from service.operations.registration import register
from service.operations.repository import load, unload
from tests.house import UNHURRIED, House, opened
from tests.models.files import skops_bytes
from tests.service.problems import pointers, refused
from tests.service.test_revoke import token_of

ROWS = [[1.0, 2.0], [2.0, 4.0], [3.0, 6.0], [4.0, 8.0]]
LABELS = ["caf\u00e9", "no", "no", "caf\u00e9"]
LINEAR = LinearRegression().fit(ROWS, [3, 6, 9, 12])
STEEP = LinearRegression().fit(ROWS, [0.1, 0.7, -3.3, 1e9])
LOGISTIC = LogisticRegression().fit(ROWS, LABELS)
FOREST = RandomForestClassifier(n_estimators=3, random_state=0).fit(ROWS, LABELS)
PAIRS = LinearRegression().fit(ROWS, [[1, 2], [3, 4], [5, 7], [9, 9]])


PREPARED: dict[bytes, Prepared] = {}  # by file: a sandbox takes longer than most of these tests


def install(house: House, name: str, estimator: object, *, promote: bool) -> None:
    file = skops_bytes(estimator)
    if file not in PREPARED:
        PREPARED[file] = house.platform.hosting.intake.run(file, formats={"skops"})
    register(house.platform, house.operator("acme"), name, PREPARED[file], promote=promote)


@pytest.fixture(scope="module")
def kennel(shared_house: House) -> House:
    """Acme with more models: two versions of `steep`, a classifier of each engine, and pairs."""
    install(shared_house, "steep", STEEP, promote=False)
    install(shared_house, "steep", LINEAR, promote=False)
    for name, estimator in (("logistic", LOGISTIC), ("forest", FOREST), ("pairs", PAIRS)):
        install(shared_house, name, estimator, promote=False)
    return shared_house


def raw(house: House, body: bytes, content_type: str | None = "application/json") -> TestResponse:
    return house.rob.post("/predict", data=body, content_type=content_type)


def test_one_flat_row_is_one_row(shared_house: House) -> None:
    answer = shared_house.rob.predict([5, 10])
    assert answer.get_json() == {"prediction": [15.0], "model": "linear", "version": 1}
    assert answer.content_type == "application/json"


def test_each_row_has_one_answer_in_order(shared_house: House) -> None:
    answer = shared_house.rob.predict([[5, 10], [1, 2], [0, 0]]).get_json()
    assert np.allclose(answer["prediction"], [15.0, 3.0, 0.0])


def test_model_and_version_are_the_callers_choice(kennel: House) -> None:
    first = kennel.rob.predict([1, 2], model="steep").get_json()
    second = kennel.rob.predict([1, 2], model="steep", version=2).get_json()

    assert first["version"] == 1
    assert second["version"] == 2
    assert first["prediction"] == STEEP.predict([[1, 2]]).tolist()
    assert second["prediction"] == LINEAR.predict([[1, 2]]).tolist()
    for version in ("champion", "1", 1):
        chosen = kennel.rob.predict([1, 2], model="steep", version=version).get_json()
        assert chosen == first


def test_moved_champion_answers_the_next_request(house: House) -> None:
    install(house, "linear", STEEP, promote=False)
    assert house.rob.predict([5, 10]).get_json()["version"] == 1

    set_default(house.platform, house.operator("acme"), "linear", 2)

    answer = house.rob.predict([5, 10]).get_json()
    assert answer["version"] == 2
    assert answer["prediction"] == STEEP.predict([[5, 10]]).tolist()


def test_default_model_is_the_one_that_was_set(house: House) -> None:
    install(house, "other", STEEP, promote=False)
    assert house.rob.predict([5, 10]).get_json()["model"] == "linear"

    set_default(house.platform, house.operator("acme"), "other")

    assert house.rob.predict([5, 10]).get_json()["model"] == "other"


@pytest.mark.parametrize(
    ("members", "status", "name"),
    [
        ({"model": "missing"}, 404, "not-found"),
        ({"version": 99}, 404, "not-found"),
        ({"version": "canary"}, 404, "not-found"),
        ({"model": "../linear"}, 400, "invalid-input"),
        ({"model": "lin\u0000ear"}, 400, "invalid-input"),
        ({"model": ["linear"]}, 400, "invalid-input"),
        ({"model": None}, 400, "invalid-input"),
        ({"version": 0}, 400, "invalid-input"),
        ({"version": True}, 400, "invalid-input"),
        ({"version": 1.5}, 400, "invalid-input"),
        ({"version": 10**30}, 400, "invalid-input"),
        ({"version": "a/b"}, 400, "invalid-input"),
    ],
)
def test_other_models_and_versions_are_not_there(
    shared_house: House, members: dict[str, Any], status: int, name: str
) -> None:
    refused(shared_house.rob.predict([5, 10], **members), status, name)


@pytest.mark.parametrize(
    ("body", "where", "what"),
    [
        (b'{"features":[[1,NaN]]}', "/features/0/1", "not a finite number"),
        (b'{"features":[[1,Infinity]]}', "/features/0/1", "not a finite number"),
        (b'{"features":[[1,-Infinity]]}', "/features/0/1", "not a finite number"),
        (b'{"features":[[1,1e999]]}', "/features/0/1", "64-bit float"),
        (b'{"features":[[1,2],[3]]}', "/features/1", "1 columns"),
        (b'{"features":[[1,2,3]]}', "/features", "3 columns"),
        (b'{"features":[1]}', "/features", "1 columns"),
        (b'{"features":[[1,"2"]]}', "/features/0/1", "not a number but a string"),
        (b'{"features":[[1,null]]}', "/features/0/1", "not a number but null"),
        (b'{"features":[[1,true]]}', "/features/0/1", "not a number but true or false"),
        (b'{"features":[[1,[2]]]}', "/features/0/1", "not a number but a list"),
        (b'{"features":[1,[2]]}', "/features/1", "not a number but a list"),
        (b'{"features":[[1,2],3]}', "/features/1", "not a row"),
        (b'{"features":[[1,{}]]}', "/features/0/1", "not a number but an object"),
        (b'{"features":[[1,12345678901234567890]]}', "/features/0/1", "an integer beyond 2^53"),
        (b'{"features":[]}', "/features", "empty"),
        (b'{"features":[[]]}', "/features/0", "empty"),
        (b'{"features":[[],[]]}', "/features/0", "empty"),
        (b'{"features":{}}', "/features", "neither"),
        (b'{"features":5}', "/features", "neither"),
        (b'{"features":"[1,2]"}', "/features", "neither"),
        (b'{"features":null}', "/features", "neither"),
        (b"{}", "/features", "missing"),
        (b'{"features":[5,10],"rows":1}', "/rows", "unknown field"),
        (b'{"features":[5,10],"features":[1,2]}', "/features", "more than once"),
        (b'{"features":[5,10],"model":"linear","model":"x"}', "/model", "more than once"),
        (b"[5,10]", "", "not an object"),
        (b"5", "", "not an object"),
        (b"", "", "empty"),
        (b'{"features":[5,10]', "", "not JSON"),
        (b'{"features":[5,10]} {}', "", "not JSON"),
        (b'\xff\xfe{"features":[5,10]}', "", "not JSON"),
        (b'{"features":[[[[[[[[[[1]]]]]]]]]]}', "", "nested deeper"),
        (b'{"a":' * 50_000, "", "nested deeper"),
        (b"[" * 200_000, "/features", "more than 100000 rows"),
        (b'{"features":[%s]}' % b",".join([b"1"] * 10_001), "/features", "more than 10000 columns"),
        (b'{"features":[%s]}' % b",".join([b"[1]"] * 100_001), "/features", "more than 100000 row"),
    ],
    ids=lambda value: value[:24].decode(errors="replace") if isinstance(value, bytes) else None,
)
def test_bad_input_is_refused_with_what_and_where(
    shared_house: House, body: bytes, where: str, what: str
) -> None:
    problem = refused(raw(shared_house, body), 400, "invalid-input")

    assert pointers(problem) == {where}
    assert what in problem["errors"][0]["detail"]


def test_body_is_bounded_before_it_is_read(shared_house: House) -> None:
    most = shared_house.platform.settings.max_body_bytes
    filled = b'{"features":[5,10]}'.ljust(most)

    assert raw(shared_house, filled).status_code == 200
    refused(raw(shared_house, filled + b" "), 413, "too-large")


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "application/json; charset=utf-8",
        "application/vnd.api+json",
        "application/x-www-form-urlencoded",  # curl -d
        "text/plain;charset=UTF-8",  # fetch
    ],
)
def test_content_type_that_a_tool_sends_unasked_is_no_obstacle(
    shared_house: House, content_type: str | None
) -> None:
    assert raw(shared_house, b'{"features":[5,10]}', content_type).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data; boundary=x", "application/octet-stream", "application/x-pickle", "x/y"],
)
def test_content_type_that_says_something_else_is_refused(
    shared_house: House, content_type: str
) -> None:
    response = raw(shared_house, b'{"features":[5,10]}', content_type)
    refused(response, 415, "unsupported-media-type")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_coded_body_is_refused_unread(shared_house: House, coding: str) -> None:
    body, headers = b'{"features":[5,10]}', {"Content-Encoding": coding}
    response = shared_house.rob.post("/predict", data=body, headers=headers)
    refused(response, 415, "unsupported-media-type")


@pytest.mark.parametrize("name", ["logistic", "forest"])
def test_classifier_answers_with_its_labels(kennel: House, name: str) -> None:
    estimator = {"logistic": LOGISTIC, "forest": FOREST}[name]
    answer = kennel.rob.predict(ROWS, model=name).get_json()

    assert answer["prediction"] == estimator.predict(ROWS).tolist()
    assert kennel.rob.get(f"/models/{name}").get_json()["classes"] == ["caf\u00e9", "no"]


def test_model_of_several_outputs_answers_a_row_each(kennel: House) -> None:
    answer = kennel.rob.predict(ROWS, model="pairs").get_json()["prediction"]
    assert answer == PAIRS.predict(ROWS).tolist()


def test_answer_that_is_no_number_is_refused_and_not_null(kennel: House) -> None:
    response = kennel.rob.predict([[1, 2], [1.7e308, -1.7e308]], model="steep")
    assert pointers(refused(response, 400, "invalid-input")) == {"/features/1"}


def test_caller_of_one_model_reaches_that_one_alone(kennel: House) -> None:
    token = token_of(kennel, kennel.robot("predict:linear"))
    headers = {"Authorization": f"Bearer {token}"}

    def predict(**members: Any) -> TestResponse:
        body = {"features": [5, 10], **members}
        return kennel.client.post("/predict", json=body, headers=headers)

    assert predict().status_code == predict(model="linear").status_code == 200
    there, absent = predict(model="steep"), predict(model="missing")
    refused(there, 403, "insufficient-scope")
    refused(absent, 403, "insufficient-scope")


def test_caller_of_another_model_does_not_reach_the_default_one(kennel: House) -> None:
    token = token_of(kennel, kennel.robot("predict:steep"))
    headers = {"Authorization": f"Bearer {token}"}

    def predict(**members: Any) -> str:
        body = {"features": [5, 10], **members}
        response = kennel.client.post("/predict", json=body, headers=headers)
        refused(response, 403, "insufficient-scope")
        document = response.get_json()
        return str(document["title"] + document["detail"])

    unnamed = predict()
    assert "linear" not in unnamed
    assert predict(version=9) == unnamed
    operator = kennel.operator("acme")
    unload(kennel.platform, operator, "linear")
    try:
        assert predict() == unnamed
    finally:
        load(kennel.platform, operator, "linear")


def test_answer_says_how_much_is_left(shared_house: House) -> None:
    headers = shared_house.rob.predict([[5, 10], [1, 2]]).headers
    assert "requests" in headers["RateLimit-Policy"]
    assert "rows" in headers["RateLimit-Policy"]


FLOATS = st.floats(-1e150, 1e150)
TABLES = st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=20)


@settings(max_examples=150, deadline=None)
@given(rows=TABLES)
def test_answer_is_bit_for_bit_what_scikit_learn_says(kennel: House, rows: Any) -> None:
    response = kennel.rob.post(
        "/predict", data=json.dumps({"features": rows, "model": "steep"}).encode()
    )
    assert response.get_json()["prediction"] == STEEP.predict(np.array(rows)).tolist()


@pytest.fixture(scope="module")
def small_house(demo_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house that takes small bodies only."""
    folder = tmp_path_factory.mktemp("small") / "instance"
    shutil.copytree(demo_template, folder, symlinks=True)
    bounds = {"max_body_bytes": 1024, "max_rows": 3, "max_columns": 4, "max_depth": 3}
    with opened(load_settings(folder, **UNHURRIED, **bounds)) as house:
        yield house


def test_bounds_are_the_settings(small_house: House) -> None:
    rob = small_house.rob
    assert rob.predict([[1, 2]] * 3).status_code == 200
    refused(rob.predict([[1, 2]] * 4), 400, "invalid-input")
    refused(rob.predict([[1, 2, 3, 4, 5]]), 400, "invalid-input")
    refused(rob.predict([[[1]]]), 400, "invalid-input")
    refused(raw(small_house, b" " * 1025), 413, "too-large")


def test_the_answer_says_how_long_the_model_took_and_a_refusal_does_not(
    shared_house: House,
) -> None:
    answer = shared_house.ada.predict([5, 10])
    refused_one = shared_house.ada.predict(["five"])

    stages = ("authenticate", "decode", "admit", "bind", "compute", "encode", "total")
    form = ", ".join(rf"{stage};dur=[0-9]+\.[0-9]{{3}}" for stage in stages)
    assert re.fullmatch(form, answer.headers["Server-Timing"])
    assert "Server-Timing" not in refused_one.headers
