"""GET /models/{model}/openapi.json: the document of one model says what it takes and gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from models.handlers.skops_file import write_skops
from service.operations.registration import register
from tests.house import House
from tests.service.problems import refused
from tests.service.scored_models import PEOPLE, POINTS, add_models
from tests.service.test_open_inference_graphs import simple

Document = dict[str, Any]
# Of numbers alone, of labels that are numbers, of named texts and numbers, with missing values, of
# several outputs, of categories that no example happens to meet, of many columns, and of a graph
# that names its inputs and outputs.
MODELS = ("linear", "kinds", "people", "gaps", "several", "strict", "wide", "simple")


@pytest.fixture(scope="module")
def populated(shared_house: House) -> House:
    add_models(shared_house)
    encoder = OneHotEncoder(handle_unknown="error")
    strict = make_pipeline(make_column_transformer((encoder, [0])), LinearRegression())
    wide = np.random.default_rng(0).normal(size=(40, 60))
    made = {
        "several": LinearRegression().fit(POINTS, np.array(POINTS)[:, ::-1]),
        "strict": strict.fit(np.array([[5.0], [7.0]]), [1.0, 2.0]),
        "wide": RandomForestClassifier(5, random_state=0).fit(wide, np.arange(40) % 3),
    }
    platform, scope = shared_house.platform, shared_house.operator("acme")
    files = {name: write_skops(model) for name, model in made.items()} | {"simple": simple()}
    for name, file in files.items():
        prepared = platform.hosting.intake.run(file, formats={"skops", "onnx"})
        register(platform, scope, name, prepared, promote=True)
    return shared_house


@pytest.fixture(scope="module")
def documents(populated: House) -> dict[str, Document]:
    return {model: fetch(populated, model) for model in MODELS}


def fetch(house: House, model: str, version: str = "") -> Document:
    query = f"?version={version}" if version else ""
    response = house.ada.get(f"/models/{model}/openapi.json{query}")
    assert response.status_code == 200, response.text
    document: Document = response.get_json()
    return document


def body_of(document: Document, path: str, media_type: str = "application/json") -> Document:
    body: Document = document["paths"][path]["post"]["requestBody"]["content"][media_type]
    return body


def answer_of(document: Document, path: str) -> Document:
    success = document["paths"][path]["post"]["responses"]["200"]
    answer: Document = success["content"]["application/json"]
    return answer


def fits(document: Document, schema: Document, value: Any) -> bool:
    whole = schema | {"components": document["components"]}
    return bool(OAS31Validator(whole).is_valid(value))


@pytest.mark.parametrize("model", MODELS)
def test_document_is_valid_openapi_3_1(documents: dict[str, Document], model: str) -> None:
    assert documents[model]["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(documents[model]).validate()


@pytest.mark.parametrize("model", MODELS)
def test_examples_are_valid_and_answered_as_they_say(
    populated: House, documents: dict[str, Document], model: str
) -> None:
    document = documents[model]
    for path in document["paths"]:
        example = body_of(document, path).get("example")
        if model == "strict":
            assert example is None
            continue
        assert fits(document, body_of(document, path)["schema"], example), path
        response = populated.ada.post(path, json=example)
        assert response.status_code == 200, response.text
        answer = answer_of(document, path)
        assert fits(document, answer["schema"], response.get_json()), response.text
        assert answer.get("example", response.get_json()) == response.get_json()


def test_tensors_are_those_that_the_graph_names(documents: dict[str, Document]) -> None:
    path = "/v2/models/simple/infer"
    given = body_of(documents["simple"], path)["example"]["inputs"]
    assert [(each["name"], each["shape"]) for each in given] == [
        ("INPUT0", [1, 16]),
        ("INPUT1", [1, 16]),
    ]
    answered = answer_of(documents["simple"], path)["example"]["outputs"]
    assert [each["name"] for each in answered] == ["OUTPUT0", "OUTPUT1"]


def test_rows_in_csv_are_an_example_too(populated: House, documents: dict[str, Document]) -> None:
    for model in ("linear", "people", "wide"):
        path = f"/models/{model}/invocations"
        rows = body_of(documents[model], path, "text/csv")["example"]
        response = populated.ada.post(path, data=rows, content_type="text/csv")
        assert response.get_json() == answer_of(documents[model], path)["example"]


def test_model_may_go_unnamed_where_it_is_the_tenant_s_default(
    documents: dict[str, Document],
) -> None:
    required = {m: body_of(documents[m], "/predict")["schema"]["required"] for m in MODELS}
    assert required["linear"] == []
    assert all(required[model] == ["model"] for model in MODELS[1:])


def test_every_dialect_is_there_in_which_a_model_can_be_asked(
    documents: dict[str, Document],
) -> None:
    common = {
        "/predict",
        "/v2/models/{}/infer",
        "/v1/models/{}:predict",
        "/models/{}/invocations",
    }
    verbs = {"linear": {":regress"}, "people": {":classify"}, "several": set()}
    for model, more in verbs.items():
        expected = {path.format(model) for path in common} | {
            f"/v1/models/{model}{v}" for v in more
        }
        assert documents[model]["paths"].keys() == expected


def test_columns_are_named_with_their_kinds_and_known_values(
    documents: dict[str, Document],
) -> None:
    people = documents["people"]["components"]["schemas"]["Record"]["properties"]
    kinds = {name: cell["type"] for name, cell in people.items()}
    assert set(kinds.values()) == {"number", "string"}
    known = [cell["examples"] for cell in people.values() if "examples" in cell]
    assert known
    assert all(set(values) == set(PEOPLE["city"]) for values in known)
    gaps = documents["gaps"]["components"]["schemas"]
    assert gaps["Row"]["items"]["type"] == ["number", "null"]
    assert gaps["Record"]["required"] == []


def test_answers_are_of_the_model_s_own_methods_and_classes(
    documents: dict[str, Document],
) -> None:
    people = documents["people"]["components"]["schemas"]
    assert sorted(people["predict"]["enum"]) == ["goes", "stays"]
    assert people["predict_proba"]["maxItems"] == people["predict_proba"]["minItems"] == 2
    several = documents["several"]["components"]["schemas"]
    assert several["predict"]["items"] == {"type": "number"}
    assert several["predict"]["minItems"] == len(POINTS.columns)
    methods = body_of(documents["people"], "/predict")["schema"]["properties"]["method"]["enum"]
    assert set(methods) <= people.keys()


@pytest.mark.parametrize(
    "rows",
    [
        {"features": [[1.0, 2.0, 3.0]]},
        {"features": [["a", 2.0]]},
        {"features": [[1.0, None]]},
        {"records": [{"x0": 1.0}]},
        {"records": [{"x0": 1.0, "x1": 2.0, "x2": 3.0}]},
        {"columns": {"x0": [1.0]}},
        {"features": [[1.0, 2.0]], "records": [{"x0": 1.0, "x1": 2.0}]},
        {"features": [[1.0, 2.0]], "method": "predict_proba"},
        {},
    ],
)
def test_what_the_schema_forbids_the_model_refuses(
    populated: House, documents: dict[str, Document], rows: Document
) -> None:
    document, body = documents["linear"], rows | {"model": "linear"}
    assert not fits(document, body_of(document, "/predict")["schema"], body)
    assert populated.ada.post("/predict", json=body).status_code == 400


def test_version_is_that_which_answers_or_the_one_named(populated: House) -> None:
    populated.add_version("linear")
    assert fetch(populated, "linear")["info"]["version"] == "1"
    second = fetch(populated, "linear", "2")
    assert second["info"]["version"] == "2"
    assert set(second["paths"]) >= {
        "/v1/models/linear/versions/2:predict",
        "/v2/models/linear/versions/2/infer",
    }
    body = body_of(second, "/predict")
    assert body["example"]["version"] == 2
    champion = fetch(populated, "linear", "champion")
    assert "/v1/models/linear/labels/champion:predict" in champion["paths"]
    for document in (second, champion):
        OpenAPIV31SpecValidator(document).validate()
        for path in document["paths"]:
            query = "?version=2" if path.endswith("/invocations") else ""
            example = body_of(document, path)["example"]
            assert populated.ada.post(f"{path}{query}", json=example).status_code == 200


def test_example_costs_its_caller_one_prediction_and_is_kept(populated: House) -> None:
    number = populated.add_version("linear").number
    path = f"/models/linear/openapi.json?version={number}"
    first, second = (populated.ada.get(path) for _ in range(2))
    assert first.get_json() == second.get_json()
    assert "rows" in first.headers["RateLimit"]
    assert "rows" not in second.headers["RateLimit"]


def test_absent_and_foreign_models_have_the_same_answer(populated: House) -> None:
    path = "/models/{}/openapi.json"
    absent = refused(populated.ada.get(path.format("absent")), 404, "not-found")
    populated.add_version("globe", "globex")
    foreign = refused(populated.ada.get(path.format("globe")), 404, "not-found")
    assert foreign["detail"].replace("globe", "absent") == absent["detail"]
    refused(populated.ada.get(path.format("linear") + "?version=99"), 404, "not-found")
    refused(populated.ada.get(path.format("linear") + "?version=%20"), 400, "invalid-input")


def test_who_may_not_ask_the_model_is_not_told_about_it(populated: House) -> None:
    identifier, word = populated.robot("predict:people")
    form = {"grant_type": "client_credentials", "client_id": identifier, "client_secret": word}
    token = populated.client.post("/auth/token", data=form).get_json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    client = populated.client
    assert client.get("/models/people/openapi.json", headers=headers).status_code == 200
    response = client.get("/models/linear/openapi.json", headers=headers)
    refused(response, 403, "insufficient-scope")
