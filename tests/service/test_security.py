"""Who is calling: the Authorization header, client certificates, and flask-jwt-extended's seam."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from flask_jwt_extended import JWTManager
from flask_jwt_extended.config import config as jwt_config

from service.security import CERTIFICATE, StrictJWTManager
from tests.house import House
from tests.service.problems import refused


def test_library_still_asks_where_our_reader_stands() -> None:
    theirs = inspect.signature(JWTManager._decode_jwt_from_config)
    ours = inspect.signature(StrictJWTManager._decode_jwt_from_config)

    assert list(theirs.parameters) == list(ours.parameters)
    given = [p for p in theirs.parameters.values() if p.default is p.empty]
    assert [p.name for p in given] == ["self", "encoded_token"]


def test_every_token_passes_our_reader(
    shared_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    decode = StrictJWTManager._decode_jwt_from_config

    def watching(self: Any, encoded_token: str, *rest: Any, **options: Any) -> Any:
        read.append(encoded_token)
        return decode(self, encoded_token, *rest, **options)

    monkeypatch.setattr(StrictJWTManager, "_decode_jwt_from_config", watching)
    headers = {"Authorization": "Bearer not.a.token"}

    refused(shared_house.client.get("/models", headers=headers), 401, "invalid-token")

    assert read == ["not.a.token"]


def test_library_has_no_other_way_in(shared_house: House) -> None:
    with shared_house.app.app_context():
        assert jwt_config.jwt_in_headers
        assert not jwt_config.jwt_in_cookies
        assert not jwt_config.jwt_in_query_string
        assert not jwt_config.jwt_in_json


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_scheme_is_written_in_any_case(shared_house: House, scheme: str) -> None:
    robot = shared_house.rob
    for _ in range(2):  # read anew and remembered
        headers = {"Authorization": f"{scheme}  {robot.token}"}
        assert shared_house.client.get("/models", headers=headers).status_code == 200


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Bearer a b", "Token abc", "Digest x"])
def test_what_is_no_bearer_token_is_no_credential(shared_house: House, value: str) -> None:
    response = shared_house.client.get("/models", headers={"Authorization": value})

    assert "error" not in refused(response, 401, "unauthenticated")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="sallyport"'


def test_bad_token_is_challenged_with_its_error(shared_house: House) -> None:
    response = shared_house.client.get("/models", headers={"Authorization": "Bearer x.y.z"})

    body = refused(response, 401, "invalid-token")
    assert body["error"] == "invalid_token"
    assert "detail" not in body, "why it was refused is not the bearer's to know"
    challenge = response.headers["WWW-Authenticate"]
    assert challenge == 'Bearer realm="sallyport", error="invalid_token"'


def test_missing_permission_is_challenged_with_its_error(shared_house: House) -> None:
    response = shared_house.rob.get("/admin/users")

    assert refused(response, 403, "insufficient-scope")["error"] == "insufficient_scope"
    challenge = response.headers["WWW-Authenticate"]
    assert challenge == 'Bearer realm="sallyport", error="insufficient_scope"'


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("second", ["Bearer x.y.z", "bearer {0}", "Basic eDp5"])
def test_two_credentials_are_refused_whichever_is_good(
    shared_house: House, second: str, known: bool
) -> None:
    token = shared_house.rob.token if known else "x.y.z"
    value = f"Bearer {token}, {second.format(shared_house.rob.token)}"
    response = shared_house.client.get("/models", headers={"Authorization": value})
    assert refused(response, 400, "ambiguous-credentials")["error"] == "invalid_request"


def test_token_in_the_address_is_refused(shared_house: House) -> None:
    token = shared_house.rob.token
    query = {"access_token": token}

    alone = shared_house.client.get("/models", query_string=query)
    beside = shared_house.rob.get("/models", query_string=query)
    public = shared_house.client.get("/health/live", query_string=query)

    for response in (alone, beside, public):
        refused(response, 400, "ambiguous-credentials")
        assert token not in response.text


@pytest.mark.parametrize("where", ["cookie", "form", "header"])
def test_token_anywhere_else_is_none(shared_house: House, where: str) -> None:
    token = shared_house.rob.token
    client = shared_house.app.test_client()
    options: dict[str, Any] = {}
    if where == "cookie":
        client.set_cookie("access_token_cookie", token)
    elif where == "form":
        options = {"data": {"access_token": token}}
    else:
        options = {"headers": {"X-Access-Token": token}}
    refused(client.post("/predict", **options), 401, "unauthenticated")


def test_options_opens_nothing(shared_house: House) -> None:
    for headers in ({}, {"Authorization": f"Bearer {shared_house.ada.token}"}):
        response = shared_house.client.options("/admin/users", headers=headers)
        refused(response, 405, "method-not-allowed")
        assert response.data.count(b"ada") == 0


def test_certificate_and_token_together_are_refused_also_when_the_token_is_known(
    shared_house: House,
) -> None:
    assert shared_house.rob.get("/models").status_code == 200
    environ = {CERTIFICATE: b"whatever TLS verified"}

    response = shared_house.rob.get("/models", environ_overrides=environ)

    refused(response, 400, "ambiguous-credentials")


def test_header_of_a_client_is_no_certificate(shared_house: House) -> None:
    for name in (CERTIFICATE, f"X-{CERTIFICATE}", "X-SSL-Client-Cert", "X-Forwarded-Client-Cert"):
        response = shared_house.client.get("/models", headers={name: "x"})
        refused(response, 401, "unauthenticated")
