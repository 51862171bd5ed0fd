"""TF Serving's REST API: predictions, as its clients ask for them."""

from __future__ import annotations

import base64
import gzip
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from werkzeug.test import TestResponse

from tests.house import House
from tests.service.scored_models import ROWS, add_models, native

OSLO = {"city": "Oslo", "age": 41}


@pytest.fixture(scope="module")
def place(shared_house: House) -> House:
    add_models(shared_house)
    return shared_house


def ask(house: House, body: Any, model: str = "linear", call: str = ":predict") -> TestResponse:
    """Ask as curl does that says nothing of the body but what it is."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    return house.rob.post(f"/v1/models/{model}{call}", data=data, headers=form)


def answered(response: TestResponse) -> Any:
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/json"
    return json.loads(response.data)


def refused(response: TestResponse, status: int = 400) -> str:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"
    body = response.get_json()
    assert body.keys() == {"error"}
    return str(body["error"])


@given(ROWS)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_form_of_the_same_rows_is_answered_like_the_native_dialect(
    place: House, rows: list[list[float]]
) -> None:
    expected = native(place, rows)
    columns = [list(column) for column in zip(*rows, strict=True)]
    named = dict(zip(("x0", "x1"), columns, strict=True))
    by_row = (
        rows,
        [{"x0": first, "x1": second} for first, second in rows],
        [{"x0": [first], "x1": [second]} for first, second in rows],
        [{"input": row} for row in rows],
        [{"dense_input": row} for row in rows],
    )
    by_column = (
        rows,
        named,
        {name: [[value] for value in column] for name, column in named.items()},
        {"input": rows},
        {"dense_input": rows},
    )
    for instances in by_row:
        assert answered(ask(place, {"instances": instances})) == {"predictions": expected}
    for inputs in by_column:
        assert answered(ask(place, {"inputs": inputs})) == {"outputs": expected}


def test_texts_come_by_name_by_position_and_as_base64(place: House) -> None:
    expected = {"predictions": native(place, [["Oslo", 41]], model="people")}
    encoded = {"b64": base64.b64encode(b"Oslo").decode().rstrip("=")}
    for instance in (OSLO, ["Oslo", 41], OSLO | {"city": encoded}, [encoded, 41]):
        assert answered(ask(place, {"instances": [instance]}, "people")) == expected
    columns = {"inputs": {"city": [[encoded]], "age": [[41]]}}
    assert answered(ask(place, columns, "people"))["outputs"] == expected["predictions"]


@pytest.mark.parametrize(
    "encoded", ["not base64!", base64.b64encode(b"\xff\xfe").decode()], ids=["malformed", "no text"]
)
def test_base64_that_is_no_text_is_refused(place: House, encoded: str) -> None:
    error = refused(ask(place, {"instances": [OSLO | {"city": {"b64": encoded}}]}, "people"))
    assert "base64" in error
    assert encoded not in error


def test_signature_names_a_method_or_several_of_them(place: House) -> None:
    rows = [[0.0, 0.5], [3.0, 3.5]]
    labels = native(place, rows, model="kinds")
    shares = native(place, rows, model="kinds", method="predict_proba")

    def predict(name: str, form: str = "instances") -> Any:
        return answered(ask(place, {"signature_name": name, form: rows}, "kinds"))

    assert predict("")["predictions"] == predict("serving_default")["predictions"] == labels
    assert predict("predict_proba")["predictions"] == shares
    assert predict("predict,predict_proba", "inputs")["outputs"] == {
        "predict": labels,
        "predict_proba": shares,
    }
    assert predict("predict,predict_proba")["predictions"] == [
        {"predict": label, "predict_proba": share}
        for label, share in zip(labels, shares, strict=True)
    ]


def test_an_output_called_bytes_is_base64(place: House) -> None:
    body = {"signature_name": "predict_bytes", "instances": [OSLO]}
    [label] = native(place, [["Oslo", 41]], model="people")
    encoded = base64.b64encode(label.encode()).decode()
    assert answered(ask(place, body, "people")) == {"predictions": [{"b64": encoded}]}


@pytest.mark.parametrize("name", ["nope", "predict,", "predict,nope", "predict_bytes", "x" * 9000])
def test_a_signature_that_is_not_there_is_refused(place: House, name: str) -> None:
    error = refused(ask(place, {"signature_name": name, "instances": [[1, 2]]}, "kinds"))
    assert error.startswith('Serving signature name: "')
    assert len(error) < 300


def test_nan_is_a_missing_value_where_the_model_takes_one(place: House) -> None:
    missing = native(place, [[None, 1.5], [2.0, None]], model="gaps")
    body = b'{"instances": [[NaN, 1.5], [2.0, NaN]]}'
    assert answered(ask(place, body, "gaps")) == {"predictions": missing}
    assert "not a finite number" in refused(ask(place, body))
    for word in (b"Infinity", b"-Infinity", b"1e999"):
        infinite = b'{"inputs": {"sepal": [%b], "petal": [NaN]}}' % word
        assert "not a finite number" in refused(ask(place, infinite, "gaps"))


def test_what_is_not_finite_goes_out_as_a_word(place: House) -> None:
    body = {"signature_name": "predict_log_proba", "instances": [[1e6, 1e6]]}
    response = ask(place, body, "kinds")
    assert b'{"predictions":[[-Infinity,' in response.data
    assert answered(response)["predictions"][0][0] == float("-inf")


def test_the_address_names_a_version_or_a_label(place: House) -> None:
    body, expected = {"instances": [[5, 10]]}, {"predictions": [15.0]}
    for call in ("/versions/1:predict", "/versions/001:predict", "/labels/champion:predict"):
        assert answered(ask(place, body, call=call)) == expected


def test_body_may_be_compressed(place: House) -> None:
    packed = gzip.compress(b'{"instances": [[5, 10]]}')
    headers = {"Content-Encoding": "gzip"}
    response = place.rob.post("/v1/models/linear:predict", data=packed, headers=headers)
    assert answered(response) == {"predictions": [15.0]}


def test_members_that_nobody_knows_are_left_alone(place: House) -> None:
    body = {"instances": [[5, 10]], "parameters": {"any": [{"thing": 1}]}, "id": "7"}
    assert answered(ask(place, body)) == {"predictions": [15.0]}


# Classify and regress.


def test_classes_come_with_their_scores_and_as_texts(place: House) -> None:
    rows = [[0.0, 0.5], [3.0, 3.5]]
    shares = native(place, rows, model="kinds", method="predict_proba")
    expected = [[["3", low], ["7", high]] for low, high in shares]
    examples = [{"sepal": sepal, "petal": [petal]} for sepal, petal in rows]
    for body in (
        {"examples": examples},
        {"examples": examples, "signature_name": "classification"},
        {"examples": [{"input": row} for row in rows]},
    ):
        assert answered(ask(place, body, "kinds", ":classify")) == {"results": expected}


def test_features_of_the_context_are_those_of_every_example(place: House) -> None:
    body = {"context": {"x1": [10]}, "examples": [{"x0": 5}, {"x0": 1}]}
    expected = native(place, [[5, 10], [1, 10]])
    assert answered(ask(place, body, call=":regress")) == {"results": expected}
    twice = {"context": {"x1": 10}, "examples": [{"x0": 5, "x1": 1}]}
    assert "/examples/0: a feature of the context" in refused(ask(place, twice, call=":regress"))
    assert "/context" in refused(ask(place, twice | {"context": []}, call=":regress"))


@pytest.mark.parametrize("call", [":regress", ":classify"])
@pytest.mark.parametrize(
    "context",
    [{f"c{at}": 1 for at in range(3_000)}, {"x0": "a" * 5_000}],
    ids=["features", "text"],
)
def test_a_context_in_all_examples_is_no_larger_than_a_body(
    place: House, context: dict[str, Any], call: str
) -> None:
    body = json.dumps({"context": context, "examples": [{"x1": 1}] * 3_000}).encode()
    tracemalloc.start()
    try:
        error = refused(ask(place, body, call=call))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert error.startswith("/context: in each example")
    assert most < 100 * len(body)


def test_a_context_of_other_features_is_refused_by_name(place: House) -> None:
    few = {"context": {"c0": 1}, "examples": [{"x0": 1}]}
    assert "/context/c0: no column" in refused(ask(place, few, call=":regress"))
    text = {"context": {"x1": "ten"}, "examples": [{"x0": 1}]}
    assert "/context/x1: not a number" in refused(ask(place, text, call=":regress"))


def test_a_model_classifies_or_regresses_what_it_was_made_for(place: House) -> None:
    line = refused(ask(place, {"examples": [{"x0": 5, "x1": 1}]}, call=":classify"))
    assert line.endswith("tensorflow/serving/classify. Was: tensorflow/serving/predict")
    kinds = refused(ask(place, {"examples": [{"sepal": 5, "petal": 1}]}, "kinds", ":regress"))
    assert kinds.endswith("tensorflow/serving/regress. Was: tensorflow/serving/predict")
    body = {"examples": [{"sepal": 5, "petal": 1}], "signature_name": "decision_function"}
    assert len(answered(ask(place, body, "kinds", ":regress"))["results"]) == 1


# What is refused, in TF Serving's words where it has some.


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "the body is empty"),
        (b"[1]", "not a JSON object"),
        (b'{"instances": [[1, 2]]} x', "not JSON"),
        (b"{}", "Missing 'inputs' or 'instances' key"),
        (b'{"instances": [[1, 2]], "inputs": [[1, 2]]}', "only one of 'inputs' or 'instances'"),
        (b'{"instances": 1}', "Expecting 'instances' value to be an list/array"),
        (b'{"instances": []}', "No values in 'instances' array"),
        (b'{"instances": [[1, 2]], "signature_name": 1}', "'signature_name' key must be a string"),
        (b'{"instances": [[1, 2], {"x0": 1}]}', "/instances/1: not a list, as the first"),
        (b'{"instances": [{"x0": 1, "x1": 2}, [1, 2]]}', "/instances/1: not an object"),
        (b'{"instances": [1, [1]]}', "/instances/1: not a number, as the first, but a list"),
        (b'{"instances": [1, 2]}', "/instances: 1 columns, where the model takes 2"),
        (b'{"instances": [[1, 2], [1]]}', "/instances/1: 1 columns"),
        (b'{"instances": [[1, true]]}', "/instances/0/1: not a number but true or false"),
        (b'{"instances": [{"x0": 1, "x1": [2, 3]}]}', "/instances/0/x1: not a number but a list"),
        (b'{"instances": [{"input": [1, "2"]}]}', "/instances/0/input/1: not a number"),
        (b'{"instances": [{"x0": 1}]}', "/instances/0/x1: missing"),
        (b'{"instances": [{"x0": 1, "x1": 2, "x2": 3}]}', "/instances/0/x2: no column"),
        (b'{"instances": [[1, 12345678901234567890]]}', "beyond 2^53"),
        (b'{"inputs": {"x0": [12345678901234567890], "x1": [1]}}', "beyond 2^53"),
        (b'{"inputs": 1}', "/inputs: not a list but a number"),
        (b'{"inputs": {"x0": [1], "x1": [1, 2]}}', "/inputs/x1: longer or shorter"),
        (b'{"inputs": {"x0": 1, "x1": 2}}', "/inputs/x0: not a list of values"),
        (b'{"instances": [[1, 2]], "instances": [[1, 2]]}', "/instances: given more than once"),
        (b'{"instances": [{"x0": 1, "x0": 1, "x1": 2}]}', "/x0: given more than once"),
        (b'{"instances": [{"x0": NaN, "x0": 1, "x1": 2}]}', "/x0: given more than once"),
        (b'{"instances": [[NaN, 1]], "a": "\\ud800"}', "half of a surrogate pair"),
        (b'{"instances": [[NaN, "\xff"]]}', "not UTF-8"),
        (b'{"instances": [[NaN, %b]]}' % (b"1" * 5000), "too many digits"),
        (b'{"instances": [[[[[[[[[1]]]]]]]]]}', "nested deeper than 8"),
        (b'{"instances": [%b[1, 2]]}' % (b"[]," * 100_100), "more than 100000"),
    ],
)
def test_malformed_requests_are_refused_with_their_place(
    place: House, body: bytes, error: str
) -> None:
    assert error in refused(ask(place, body))


def test_models_and_versions_that_are_not_there_are_named_as_tf_serving_does(place: House) -> None:
    body = {"instances": [[5, 10]]}
    latest = "Servable not found for request: Latest(nope)"
    assert refused(ask(place, body, "nope"), 404) == latest
    for number in ("0", "3", "9" * 30):
        error = refused(ask(place, body, call=f"/versions/{number}:predict"), 404)
        assert error == f"Servable not found for request: Specific(linear, {number})"
    label = refused(ask(place, body, call="/labels/next:predict"))
    assert label == "Unrecognized servable version label: next"
    assert refused(place.rob.get("/v1/models/nope"), 404).endswith("versions of model nope")
    assert refused(place.rob.get("/v1/models/linear/versions/9"), 404).startswith("Could not find")


@pytest.mark.parametrize(
    "path",
    ["/versions/1/labels/champion:predict", "/versions/x:predict", ":explain", "/versions/1:", "/"],
)
def test_other_addresses_are_malformed_requests(place: House, path: str) -> None:
    error = refused(ask(place, {"instances": [[5, 10]]}, call=path))
    assert error == f"Malformed request: POST /v1/models/linear{path}"


def test_wrong_verb_is_refused_and_the_right_one_named(place: House) -> None:
    response = place.rob.get("/v1/models/linear:predict")
    assert refused(response, 405) == "Malformed request: GET /v1/models/linear:predict"
    assert response.headers["Allow"] == "POST"


def test_strangers_are_refused_in_the_same_form(place: House) -> None:
    response = place.client.post("/v1/models/linear:predict", json={"instances": [[5, 10]]})
    assert refused(response, 401)
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


# What models say of themselves.


def test_status_has_what_tf_serving_and_kserve_look_for(place: House) -> None:
    place.add_version("staged")
    place.add_version("staged")
    retired = place.ben.call("PATCH", "/models/staged/versions/2", json={"state": "retired"})
    assert retired.status_code == 200, retired.text
    body = answered(place.rob.get("/v1/models/staged"))

    assert (body["name"], body["ready"]) == ("staged", True)
    states = [(each["version"], each["state"]) for each in body["model_version_status"]]
    assert states == [("1", "AVAILABLE"), ("2", "END")]
    assert body["model_version_status"][0]["status"] == {"error_code": "OK", "error_message": ""}
    assert answered(place.rob.get("/v1/models/staged/versions/2"))["ready"] is False
    assert answered(place.rob.get("/v1/models/staged/labels/champion"))["ready"] is True
    gone = ask(place, {"instances": [[1, 2]]}, "staged", "/versions/2:predict")
    assert refused(gone, 404) == "Servable not found for request: Specific(staged, 2)"
    missing = "Missing model name in request."
    assert refused(place.rob.get("/v1/models")) == missing


def test_metadata_has_the_signature_of_every_method(place: House) -> None:
    body = answered(place.rob.get("/v1/models/people/versions/1/metadata"))
    assert body["model_spec"] == {"name": "people", "signature_name": "", "version": "1"}
    found = body["metadata"]["signature_def"]["signature_def"]
    assert found.keys() >= {"serving_default", "predict", "predict_proba", "classification"}
    default = found["serving_default"]
    kinds = {name: tensor["dtype"] for name, tensor in default["inputs"].items()}
    assert kinds == {"city": "DT_STRING", "age": "DT_DOUBLE"}
    assert default["outputs"].keys() == {"predict"}
    shape = found["predict_proba"]["outputs"]["predict_proba"]["tensor_shape"]
    assert [dim["size"] for dim in shape["dim"]] == ["-1", "2"]
    line = answered(place.rob.get("/v1/models/linear/metadata"))["metadata"]["signature_def"]
    [(name, tensor)] = line["signature_def"]["serving_default"]["inputs"].items()
    assert (name, tensor["dtype"]) == ("input", "DT_DOUBLE")
    assert "regression" in line["signature_def"]


def test_the_root_says_that_the_server_is_alive(place: House) -> None:
    assert answered(place.client.get("/")) == {"status": "alive"}


def test_an_empty_path_leads_nobody_to_another_host(place: House) -> None:
    headers, nothing = {"Host": "evil.example"}, {"PATH_INFO": ""}
    response = place.client.get(headers=headers, environ_overrides=nothing)
    assert answered(response) == {"status": "alive"}
    assert "Location" not in response.headers
