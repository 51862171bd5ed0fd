"""What every refusal and fault looks like, whatever refused."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import OperationalError

import auth.errors
import certs.errors
import models.errors
from service.problems import BY_STATUS, INTERNAL, TABLE, problem_of
from tests.house import House
from tests.service.problems import refused

NOT_OVER_HTTP = {
    # Of the command line, and of what is checked before anything serves.
    "AuditBroken",
    "AuditHeadMalformed",
    "AuditDetailRefused",
    "SecretMissing",
    "ArraysMalformed",
    "SandboxTooWeak",
    "StoreExtraMissing",
    "ExportRefused",
    "TrainingRefused",
    # Between processes and within engines: other errors are made of them.
    "EstimatorNotHeld",
    "FrameMalformed",
    # Told as a limit that is reached.
    "KeysExhausted",
    # Of intake jobs, which tell them in their logs.
    "IntakeRefused",
    "IntakeFailed",
    "FormatRefused",
    "LibraryVersionRefused",
    "EstimatorRefused",
    "GivenRowsRefused",
    "SignatureRefused",
    "ExtraMissing",
    "LeaseLost",
    "UploadLost",
    # Of trainings, which tell them in their logs, or of a command.
    "DataRefused",
    "JobHeld",
    "SpecRefused",
    "TrainerEnded",
    "TrainingFailed",
    # Faults of ours: a 500 that tells nothing is what they are.
    "AuthError",
    "ModelsError",
}


def test_unknown_path_and_method_are_problems(shared_house: House) -> None:
    refused(shared_house.client.get("/nowhere"), 404, "not-found")
    refused(shared_house.ada.get("/nowhere"), 404, "not-found")
    slashes = shared_house.client.get(environ_overrides={"PATH_INFO": "//nowhere"})
    refused(slashes, 404, "not-found")
    refused(shared_house.client.get("/models/"), 404, "not-found")
    for method in ("GET", "PUT", "DELETE", "TRACE", "CONNECT", "BREW", "OPTIONS"):
        response = shared_house.client.open("/predict", method=method)
        refused(response, 405, "method-not-allowed")
        assert response.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    ("count", "last"), [(20, "unknown"), (21, "2 more problems"), (1_000, "981 more problems")]
)
def test_refusal_is_no_longer_than_twenty_problems(
    shared_house: House, count: int, last: str
) -> None:
    fields = {f"surplus-{number}": "x" for number in range(count)}
    token = {"token": "spr_0"}

    for response in (
        shared_house.client.post("/auth/revoke", data=token | fields),
        shared_house.client.post("/auth/refresh", json={"refresh_token": "x"} | fields),
    ):
        errors = refused(response, 400, "invalid-input")["errors"]
        assert len(errors) == min(count, 20)
        assert last in errors[-1]["detail"]


@pytest.mark.parametrize("path", ["/models", "/docs", "/openapi.json", "/.well-known/jwks.json"])
def test_head_is_a_get_without_a_body(shared_house: House, path: str) -> None:
    head = shared_house.ada.call("HEAD", path)
    get = shared_house.ada.get(path)

    assert head.status_code == get.status_code == 200
    assert head.data == b""
    assert head.headers["Content-Type"] == get.headers["Content-Type"]


def test_head_needs_the_permission_of_a_get(shared_house: House) -> None:
    assert shared_house.client.head("/models").status_code == 401
    assert shared_house.ada.call("HEAD", "/metrics").status_code == 403


def test_no_request_identifier_is_given_twice_or_taken_from_the_caller(
    shared_house: House,
) -> None:
    mine = {"X-Request-Id": "mine"}
    seen = {shared_house.client.get("/x", headers=mine).headers["X-Request-Id"] for _ in range(50)}
    assert len(seen) == 50
    assert "mine" not in seen


def test_unforeseen_error_says_nothing_of_the_inside(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("the secret at /etc/shadow of class Vault")

    monkeypatch.setattr(house.platform.registry, "models", explode)

    response = house.rob.get("/models")

    body = refused(response, 500, "internal")
    assert set(body) == {"type", "title", "status", "request_id"}
    for word in ("RuntimeError", "shadow", "Vault", "Traceback", "service", ".py"):
        assert word not in response.text
        assert word not in str(response.headers)


def test_database_that_does_not_answer_is_unavailable(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object, **__: object) -> None:
        raise OperationalError("SELECT secret FROM users", {}, Exception("database is locked"))

    monkeypatch.setattr(house.platform.registry, "models", locked)

    response = house.rob.get("/models")

    assert set(refused(response, 503, "unavailable")) == {"type", "title", "status", "request_id"}


def test_every_error_of_the_domain_is_foreseen() -> None:
    kinds = [
        kind
        for module in (auth.errors, models.errors, certs.errors)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ]
    unforeseen = {
        kind.__name__ for kind in kinds if not set(kind.__mro__) & set(TABLE)
    } - NOT_OVER_HTTP
    assert not unforeseen


def test_no_two_kinds_share_a_name() -> None:
    problems = [*TABLE.values(), *BY_STATUS.values()]
    for name in {problem.name for problem in problems}:
        mine = {(p.status, p.title) for p in problems if p.name == name}
        assert len(mine) == 1 or name == "invalid-scope", mine


def test_unknown_error_is_internal() -> None:
    assert problem_of(ZeroDivisionError()) is INTERNAL


HEADERS = {
    "Strict-Transport-Security": "max-age=63072000",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@pytest.mark.parametrize("path", ["/docs", "/nowhere", "/models", "/health/live", "/openapi.json"])
def test_every_answer_has_the_secure_headers(shared_house: House, path: str) -> None:
    headers = shared_house.client.get(path).headers
    for name, value in HEADERS.items():
        assert headers[name] == value
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in headers
