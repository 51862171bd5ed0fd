"""MLflow's scoring protocol: predictions, as its clients ask for them."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from mlflow.utils.proto_json_utils import dump_input_data
from werkzeug.test import TestResponse

from models.stages import Prepared
from service.operations.registration import register
from tests.house import House
from tests.service.scored_models import ROWS, add_models, files, native

SCHEMA = "Failed to enforce schema of data: "


@pytest.fixture(scope="module")
def place(shared_house: House) -> House:
    add_models(shared_house)
    return shared_house


def ask(house: House, body: Any, model: str = "linear", **options: Any) -> TestResponse:
    data = body if isinstance(body, bytes | str) else json.dumps(body)
    options = {"content_type": "application/json"} | options
    return house.rob.post(f"/models/{model}/invocations", data=data, **options)


def ask_csv(house: House, text: str | bytes, model: str = "linear") -> TestResponse:
    return ask(house, text, model, content_type="text/csv; charset=UTF-8")


def answered(response: TestResponse) -> list[Any]:
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/json"
    body = json.loads(response.data)
    assert body.keys() == {"predictions"}
    return list(body["predictions"])


def refused(response: TestResponse, status: int = 400, code: str = "BAD_REQUEST") -> str:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"
    body = response.get_json()
    assert body.keys() == {"error_code", "message"}, "no trace, and none of the data"
    assert body["error_code"] == code
    return str(body["message"])


@given(ROWS)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_form_of_the_same_rows_is_answered_like_the_native_dialect(
    place: House, rows: list[list[float]]
) -> None:
    expected = native(place, rows)
    frame = pd.DataFrame(rows, columns=["x0", "x1"], dtype=object)
    turned = frame[["x1", "x0"]]
    for body in (
        {"instances": rows},
        {"inputs": rows},
        {"inputs": {"x0": list(frame["x0"]), "x1": list(frame["x1"])}},
        {"instances": frame.to_dict(orient="records")},
        {"dataframe_records": turned.to_dict(orient="records")},
        {"dataframe_split": frame.to_dict(orient="split")},
        {"dataframe_split": turned.assign(x9=0).to_dict(orient="split")},
        {"dataframe_split": {"data": rows}},
    ):
        assert answered(ask(place, body)) == expected
    for text in (turned.to_csv(index=False), frame.to_csv()):
        assert answered(ask_csv(place, text)) == expected


def test_what_mlflows_client_makes_of_its_data_is_read(place: House) -> None:
    people = pd.DataFrame({"age": [41, 25], "extra": [1, 2], "city": ["Oslo", "Rome"]})
    expected = native(place, [["Oslo", 41], ["Rome", 25]], model="people")
    assert answered(ask(place, dump_input_data(people), "people")) == expected

    gaps = pd.DataFrame({"petal": [np.nan, 2.5], "sepal": [1.5, np.nan]})
    sent = dump_input_data(gaps)
    assert "NaN" in sent
    assert answered(ask(place, sent, "gaps")) == native(
        place, [[1.5, None], [None, 2.5]], model="gaps"
    )
    matrix = dump_input_data(np.array([[5.0, 10.0]]), params={"method": "predict"})
    assert answered(ask(place, matrix)) == [15.0]


def test_data_frame_without_names_goes_by_position_to_a_model_without(place: House) -> None:
    frame = pd.DataFrame(np.array([[5.0, 10.0]]))  # its columns are called 0 and 1
    assert answered(ask(place, {"dataframe_split": frame.to_dict(orient="split")})) == [15.0]
    error = refused(ask(place, {"dataframe_split": frame.to_dict(orient="split")}, "kinds"))
    assert error == SCHEMA + (
        "Model is missing inputs: sepal, petal. Note that there were 2 extra inputs."
    )


@pytest.mark.parametrize("name", ["method", "predict_method"])
def test_method_is_a_parameter(place: House, name: str) -> None:
    rows = [[0.0, 0.5], [3.0, 3.5]]
    body = {"inputs": rows, "params": {name: "predict_proba"}}
    assert answered(ask(place, body, "kinds")) == native(
        place, rows, model="kinds", method="predict_proba"
    )
    assert answered(ask(place, {"inputs": rows, "params": None}, "kinds")) == [3, 7]


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"temperature": 1}, "/params: unknown parameter"),
        ({"method": "nope"}, "the model has no method 'nope'"),
        ({"method": 1}, "/params: not the name of one method"),
        ({"method": "predict", "predict_method": "transform"}, "not the name of one method"),
        ([], "/params: not a dictionary"),
    ],
)
def test_parameters_that_are_none_are_refused(place: House, params: Any, error: str) -> None:
    body = {"inputs": [[1, 2]], "params": params}
    assert error in refused(ask(place, body), 400, "INVALID_PARAMETER_VALUE")


def test_what_is_not_finite_goes_out_as_a_word(place: House) -> None:
    body = {"inputs": [[1e6, 1e6]], "params": {"method": "predict_log_proba"}}
    assert answered(ask(place, body, "kinds"))[0][0] == float("-inf")


@pytest.mark.parametrize(
    "path",
    [
        "/invocations",
        "/models/linear/invocations?version=1",
        "/models/linear/invocations?version=champion",
        "/endpoints/linear/invocations",
        "/serving-endpoints/linear/invocations",
    ],
)
def test_a_model_is_asked_at_every_address_of_it(place: House, path: str) -> None:
    response = place.rob.post(path, json={"inputs": [[5, 10]]})
    assert answered(response) == [15.0]


# CSV.


def test_csv_is_read_by_what_the_model_takes(place: House) -> None:
    text = 'city,age\r\n"Oslo",41\r\n\r\nRome,2.5e1\r\n'
    expected = native(place, [["Oslo", 41], ["Rome", 25]], model="people")
    assert answered(ask_csv(place, text, "people")) == expected
    assert answered(ask_csv(place, b"\xef\xbb\xbf" + text.encode(), "people")) == expected

    missing = native(place, [[None, 1.5], [2.0, None]], model="gaps")
    assert answered(ask_csv(place, "sepal,petal\n,1.5\n2.0, NaN\n", "gaps")) == missing
    assert answered(ask_csv(place, "petal\n1.5\n", "gaps")) == missing[:1]


def test_quoted_lines_are_part_of_a_text(place: House) -> None:
    error = refused(ask_csv(place, 'city,age\n"Os\nlo",41\nRome,x\n', "people"))
    assert error == f"{SCHEMA}/1/age: not a number but a string"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("5,10\n5,10\n", SCHEMA + "Model is missing inputs: x0, x1."),
        ("x0,x1\n", "no rows"),
        ("", "no rows"),
        ("x0,x1,x0\n1,2,3\n", "a column's name is given more than once"),
        ("x0,x1\n1\n", "/0: 1 columns, where the line of names has 2"),
        ('x0,x1\n1,"2\n', "not CSV at line"),
        (b"x0,x1\n1,\xff\n", "valid UTF-8"),
        ("x0,x1\n1,\n", SCHEMA + "/0/x1: missing"),
        *(
            (f"x0,x1\n1,{cell}\n", SCHEMA + "/0/x1: ")
            for cell in ("1_0", "nan", "inf", "0x1", "1e999", "true", "9007199254740993", "--1")
        ),
        ("x0,x1\n" + "1,2\n" * 100_001, "more than 100000 rows"),
        (",".join(map(str, range(10_001))) + "\n", "more than 10000 columns"),
        ("x0,x1\n1," + "2" * 200_000, "not CSV at line 2"),
    ],
)
def test_csv_that_does_not_fit_is_refused(place: House, text: str | bytes, error: str) -> None:
    assert error in refused(ask_csv(place, text))


# What is refused.


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/vnd.apache.parquet",
        "application/json; charset=latin-1",
        "text/csv; header=present",
        "application/x-www-form-urlencoded",
    ],
)
def test_other_content_types_are_refused_as_plain_text(place: House, content_type: str) -> None:
    response = ask(place, {"inputs": [[5, 10]]}, content_type=content_type)
    assert response.status_code == 415
    assert response.mimetype == "text/plain"
    assert response.headers["RateLimit"], "it was counted"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "the body is empty"),
        (b"{", "not JSON"),
        (b"[[1, 2]]", "The input must be a JSON dictionary with exactly one of the input fields"),
        (b"{}", "Received 0 of them"),
        (b'{"inputs": [[1, 2]], "instances": [[1, 2]]}', "Received 2 of them"),
        (b'{"inputs": [[1, 2]], "signature_name": "x"}', '"signature_name" parameter'),
        (b'{"inputs": [[1, 2]], "inputs": [[1, 2]]}', "/inputs: given more than once"),
        (b'{"dataframe_split": [{"x0": 1}]}', "Dataframe split format must be a dictionary"),
        (b'{"dataframe_split": {"x0": [1]}}', "must have 'data' field"),
        (b'{"dataframe_split": {"data": []}}', "/dataframe_split/data: not a list"),
        (b'{"dataframe_split": {"data": [{"x0": 1}]}}', "/dataframe_split/data/0: not a row"),
        (b'{"dataframe_split": {"data": [[1, 2]], "columns": ["a"]}}', "1 names, where the rows"),
        (b'{"dataframe_split": {"data": [[1, 2]], "columns": ["a", "a"]}}', "more than once"),
        (b'{"dataframe_split": {"data": [[1, 2]], "columns": [["a"], "b"]}}', "a list of names"),
        (b'{"dataframe_split": {"data": [[1, 2]], "index": [1, 2]}}', "/dataframe_split/index"),
        (b'{"dataframe_records": {"x0": 1}}', "Dataframe records format must be a list"),
        (b'{"dataframe_records": [[1, 2]]}', "Dataframe records format must be a list"),
        (b'{"dataframe_records": [{"x0": 1, "y": 2}]}', SCHEMA + "/dataframe_records/0/y: no"),
        (b'{"dataframe_records": [{"x0": 1}]}', SCHEMA + "/dataframe_records/0/x1: missing"),
        (b'{"inputs": {"x0": [1], "x1": ["2"]}}', SCHEMA + "/inputs/x1/0: not a number"),
        (b'{"inputs": [[1, 2, 3]]}', SCHEMA + "/inputs: 3 columns"),
        (b'{"inputs": [[1, NaN]]}', SCHEMA + "/inputs/0/1: not a finite number"),
        (b'{"dataframe_split": {"data": [[1, true]]}}', "/dataframe_split/data/0/1: not a number"),
    ],
)
def test_malformed_requests_are_refused_with_their_place(
    place: House, body: bytes, error: str
) -> None:
    assert error in refused(ask(place, body))


def test_a_column_that_is_required_may_not_be_left_out_in_any_dialect(place: House) -> None:
    prepared = place.platform.hosting.intake.run(files()["gaps"], formats={"skops"})
    signature = replace(prepared.contents.signature, required=frozenset({1}))
    contents = replace(prepared.contents, signature=signature)
    scope = place.operator("acme")
    register(place.platform, scope, "strict", Prepared(contents, prepared.blobs))

    def asked(name: str) -> list[TestResponse]:
        tensor = {"name": name, "shape": [1], "datatype": "FP64", "data": [1]}
        rows = [{name: 1}]
        split = {"columns": [name], "data": [[1]]}
        return [
            ask(place, {"dataframe_records": rows}, "strict"),
            ask(place, {"dataframe_split": split}, "strict"),
            ask_csv(place, f"{name}\n1\n", "strict"),
            place.rob.post("/predict", json={"records": rows, "model": "strict"}),
            place.rob.post("/v1/models/strict:predict", json={"instances": rows}),
            place.rob.post("/v2/models/strict/infer", json={"inputs": [tensor]}),
        ]

    assert [answer.status_code for answer in asked("petal")] == [200] * 6
    refusals = asked("sepal")
    assert [answer.status_code for answer in refusals] == [400] * 6
    assert "missing; the model takes a number here" in refused(refusals[0])
    null = place.rob.post(
        "/predict", json={"records": [{"petal": None, "sepal": 1}], "model": "strict"}
    )
    assert null.status_code == 200, "it is there, and its value is missing"


def test_misspelt_name_is_no_missing_value(place: House) -> None:
    for body in (
        {"dataframe_split": {"columns": ["sepal", "pedal"], "data": [[1.0, 2.0]]}},
        {"dataframe_records": [{"sepal": 1.0, "pedal": 2.0}]},
        {"inputs": {"sepal": [1.0], "pedal": [2.0]}},
    ):
        assert refused(ask(place, body, "gaps")).startswith(SCHEMA)


def test_what_is_not_there_has_mlflows_names(place: House) -> None:
    rows = {"inputs": [[1, 2]]}
    refused(ask(place, rows, "nope"), 404, "RESOURCE_DOES_NOT_EXIST")
    refused(place.rob.post("/models/a/b/invocations"), 404, "ENDPOINT_NOT_FOUND")
    refused(place.client.post("/invocations", json=rows), 401, "UNAUTHENTICATED")
    refused(place.olga.post("/invocations", json=rows), 403, "PERMISSION_DENIED")
    version = place.rob.post("/models/linear/invocations?version=No", json=rows)
    assert refused(version).startswith("/version: neither a version's number")


def test_limit_that_is_reached_says_when_to_come_back(place: House) -> None:
    place.add_version("narrow")
    limits = {"model": "narrow", "limits": {"model_requests_per_minute": 1}}
    patched = place.olga.call("PATCH", "/admin/limits?tenant=acme", json=limits)
    assert patched.status_code == 200, patched.text
    answered(ask(place, {"inputs": [[5, 10]]}, "narrow"))
    response = ask(place, {"inputs": [[5, 10]]}, "narrow")
    assert "model_requests_per_minute" in refused(response, 429, "REQUEST_LIMIT_EXCEEDED")
    assert int(response.headers["Retry-After"]) >= 1


def test_health_and_version_are_as_a_scoring_server_says_them(place: House) -> None:
    for path in ("/ping", "/health"):
        response = place.client.get(path)
        assert (response.status_code, response.data) == (200, b"\n")
    version = place.client.get("/version")
    assert version.text.split(".")[0].isdigit()
    assert version.mimetype == "text/plain"


def test_frames_of_many_rows_are_read_as_one_matrix(place: House) -> None:
    rows = np.arange(4000.0).reshape(-1, 2)
    text = io.StringIO()
    pd.DataFrame(rows, columns=["x0", "x1"]).to_csv(text, index=False)
    assert answered(ask_csv(place, text.getvalue())) == native(place, rows.tolist())
