"""GET /openapi.json: the document describes the API that is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from service.description.examples import ANSWERS, REQUESTS
from service.security import access_of
from tests.attacks.test_tenancy import routes
from tests.house import House

Document = dict[str, Any]
WITHOUT_BODY = {"auth-revoke"}  # RFC 7009: whatever it says, it is the status that counts
LIMITS = {"X-Request-Id", "RateLimit", "RateLimit-Policy"}
OF_STATUSES = {"401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After"}


@pytest.fixture(scope="module")
def document(shared_house: House) -> Document:
    body: Document = shared_house.client.get("/openapi.json").get_json()
    return body


def operations(document: Document) -> list[tuple[str, str, Document]]:
    return [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    ]


def resolved(document: Document, response: Document) -> Document:
    while "$ref" in response:
        name = response["$ref"].rpartition("/")[2]
        response = document["components"]["responses"][name]
    return response


def answers(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Every response of every operation: the operation's name, the status and what it has."""
    for _, _, operation in operations(document):
        for status, response in operation["responses"].items():
            yield operation["operationId"], status, resolved(document, response)


def validator(document: Document, schema: Document) -> OAS31Validator:
    return OAS31Validator(schema | {"components": document["components"]})


def test_document_is_valid_openapi_3_1(document: Document) -> None:
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_is_described_and_nothing_else(shared_house: House, document: Document) -> None:
    there = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule, method in routes(shared_house.app)
    }
    assert {(path, method) for path, method, _ in operations(document)} == there


def test_every_operation_says_who_may_call_it(shared_house: House, document: Document) -> None:
    app = shared_house.app
    endpoints = {rule.endpoint.replace(".", "-"): rule.endpoint for rule, _ in routes(app)}
    for _, _, operation in operations(document):
        access = access_of(app, endpoints[operation["operationId"]])
        assert access is not None
        if access.permission is None:
            assert operation["security"] == [] or {} in operation["security"]
        else:
            assert {"bearer": [str(access.permission)]} in operation["security"]
            assert operation["x-permission"] == str(access.permission)
            assert {"401", "403"} <= set(operation["responses"])
    assert document["security"] == [{"bearer": []}]


def test_every_operation_describes_each_refusal_that_its_rules_lead_to(document: Document) -> None:
    for path, _, operation in operations(document):
        statuses = set(operation["responses"])
        assert {"400", "429", "500", "503"} <= statuses, path
        assert "default" not in statuses, "it would describe whatever is forgotten"
        if "requestBody" in operation and document_words_problems(operation):
            assert {"400", "408", "413", "415"} <= statuses, path
        if "{" in path:
            assert statuses & {"404", "400"}, path


def document_words_problems(operation: Document) -> bool:
    name: str = operation["responses"]["429"]["$ref"]
    return "/Problem" in name


def test_every_answer_has_a_form_and_the_headers_that_all_have(document: Document) -> None:
    for name, status, response in answers(document):
        assert set(response["headers"]) >= LIMITS, (name, status)
        assert OF_STATUSES.get(status, "RateLimit") in response["headers"]
        content = response.get("content", {})
        assert all("schema" in media for media in content.values())
        assert content or status in ("204", "304") or name in WITHOUT_BODY, (name, status)
        for header in response["headers"].values():
            assert header["$ref"].rpartition("/")[2] in document["components"]["headers"]


def test_refusal_is_described_in_the_words_that_its_path_uses(document: Document) -> None:
    for name, status, response in answers(document):
        if int(status) >= HTTPStatus.BAD_REQUEST:
            [(media_type, media)] = response["content"].items()
            if "$ref" not in media["schema"]:
                assert media_type == "text/plain", "as MLflow's server refuses a content type"
                continue
            schema = media["schema"]["$ref"].rpartition("/")[2]
            expected = "application/problem+json" if schema == "Problem" else "application/json"
            assert media_type == expected, name


def test_every_operation_has_a_sentence_and_a_name_of_its_own(document: Document) -> None:
    found = operations(document)
    assert all(operation["summary"].endswith(".") for _, _, operation in found)
    assert all(operation["tags"] for _, _, operation in found)
    assert len({operation["operationId"] for _, _, operation in found}) == len(found)


def test_every_example_is_of_the_form_that_it_is_an_example_of(document: Document) -> None:
    seen = set()
    for _, _, operation in operations(document):
        success = resolved(document, operation["responses"][min(operation["responses"])])
        for message in (operation.get("requestBody", {}), success):
            for media in message.get("content", {}).values():
                if "example" in media:
                    seen.add(operation["operationId"])
                    validator(document, media["schema"]).validate(media["example"])
    assert seen == REQUESTS.keys() | ANSWERS.keys()


def test_object_says_that_it_has_no_further_members(document: Document) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert schema["additionalProperties"] is False, name
