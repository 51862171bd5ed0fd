"""GET /openapi.json: the document describes the API that is there."""

from __future__ import annotations

import re
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from auth.permissions import Permission
from service.security import access_of
from tests.attacks.test_tenancy import routes
from tests.house import House

Document = dict[str, Any]
ENDING = ("/auth/logout", "/auth/password", "/auth/otp")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
PLAY = settings(
    max_examples=10,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
WITHOUT_BODY = {"auth-revoke"}  # RFC 7009: whatever it says, it is the status that counts


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
            assert "security" not in operation, "the document's own: a bearer token"
            assert Permission(operation["x-permission"]) is access.permission
            assert {"401", "403"} <= set(operation["responses"])
    assert document["security"] == [{"bearer": []}]


def test_every_operation_describes_its_success_and_its_refusals(document: Document) -> None:
    for path, method, operation in operations(document):
        responses = operation["responses"]
        assert {"429", "default"} <= set(responses), path
        if "requestBody" in operation:
            assert {"400", "413", "415"} <= set(responses), path
        if "{" in path:
            assert "404" in responses
        for status, reference in responses.items():
            response = resolved(document, reference)
            if status.startswith("2"):
                described = all("schema" in media for media in response.get("content", {}).values())
                empty = status == "204" or operation["operationId"] in WITHOUT_BODY
                assert empty or (described and response["content"]), (method, path)
            else:
                assert list(response["content"]) == ["application/problem+json"], (path, status)
                schema = response["content"]["application/problem+json"]["schema"]
                assert schema["$ref"].endswith("/Problem")


def test_every_operation_has_a_sentence_and_a_name_of_its_own(document: Document) -> None:
    found = operations(document)
    assert all(operation["summary"].endswith(".") for _, _, operation in found)
    assert len({operation["operationId"] for _, _, operation in found}) == len(found)


def play(operation: Any, mode: GenerationMode, headers: dict[str, str]) -> int:
    """Send examples of one operation; returns how many."""
    played: list[str] = []

    @settings(PLAY)
    @given(case=operation.as_strategy(mode))
    def example(case: Any) -> None:
        played.append(case.path)
        case.validate_response(case.call(headers=headers), checks=CHECKS)

    example()
    return len(played)


@pytest.mark.drill
def test_nothing_that_the_document_allows_or_forbids_breaks_the_api(shared_house: House) -> None:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", shared_house.app)
    bearer = {"Authorization": f"Bearer {shared_house.ada.token}"}
    played = 0
    for found in schema.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]
        # Played as nobody, lest they end the session that the rest is played with.
        headers = {} if operation.path in ENDING else bearer
        modes = GenerationMode if can_be_wrong(operation) else [GenerationMode.POSITIVE]
        played += sum(play(operation, mode, headers) for mode in modes)
    assert played > 200


def can_be_wrong(operation: Any) -> bool:
    return bool(operation.body or operation.query)
