"""GET /.well-known/jwks.json (RFC 7517) and /.well-known/oauth-authorization-server (RFC 8414)."""

from __future__ import annotations

import jwt
import pytest

from service.operations import keys
from tests.house import House

PUBLIC_MEMBERS = {
    "EC": {"kty", "use", "alg", "kid", "crv", "x", "y"},
    "RSA": {"kty", "use", "alg", "kid", "n", "e"},
}


def test_key_set_shows_public_members_alone(shared_house: House) -> None:
    response = shared_house.client.get("/.well-known/jwks.json")

    body = response.get_json()
    assert set(body) == {"keys"}
    assert len(body["keys"]) >= 2, "the next key is published before it signs"
    for key in body["keys"]:
        assert set(key) <= PUBLIC_MEMBERS[key["kty"]]
        assert key["use"] == "sig"
        assert key["alg"] == "ES256"


def test_key_set_may_be_kept_for_the_time_that_rotation_waits(house: House) -> None:
    ages = set()
    for _ in range(2):
        response = house.client.get("/.well-known/jwks.json")
        ages.add(response.headers["Cache-Control"])
        keys.rotate(house.platform, house.operator(), emergency=True)

    assert ages == {f"public, max-age={house.platform.settings.jwks_max_age}"}


def test_published_keys_verify_tokens_in_any_jwt_library(shared_house: House) -> None:
    token = shared_house.rob.token
    published = shared_house.client.get("/.well-known/jwks.json").get_json()
    key = jwt.PyJWKSet.from_dict(published)[jwt.get_unverified_header(token)["kid"]]

    claims = jwt.decode(
        token,
        key,
        algorithms=["ES256"],
        audience=shared_house.platform.settings.audience,
        issuer=shared_house.platform.settings.issuer,
    )

    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    assert claims["client_id"] == "first-party"


def test_rotated_key_set_is_published_by_the_next_request(house: House) -> None:
    before = house.client.get("/.well-known/jwks.json").get_json()["keys"]
    keys.rotate(house.platform, house.operator(), emergency=True)
    after = house.client.get("/.well-known/jwks.json").get_json()["keys"]

    assert {key["kid"] for key in before} < {key["kid"] for key in after}


@pytest.mark.parametrize("name", ["token", "revocation", "introspection"])
def test_metadata_names_endpoints_that_are_there(shared_house: House, name: str) -> None:
    body = shared_house.client.get("/.well-known/oauth-authorization-server").get_json()
    settings = shared_house.platform.settings
    path = body[f"{name}_endpoint"].removeprefix(settings.url)
    adapter = shared_house.app.url_map.bind("localhost")

    assert adapter.test(path, "POST")
    assert body["issuer"] == settings.issuer
    assert adapter.test(body["jwks_uri"].removeprefix(settings.url), "GET")
    assert adapter.test(body["service_documentation"].removeprefix(settings.url), "GET")
    methods = body[f"{name}_endpoint_auth_methods_supported"]
    assert set(methods) == {"client_secret_basic", "client_secret_post"}


def test_every_grant_of_the_metadata_is_offered(shared_house: House) -> None:
    body = shared_house.client.get("/.well-known/oauth-authorization-server").get_json()
    for grant in body["grant_types_supported"]:
        answer = shared_house.client.post("/auth/token", data={"grant_type": grant}).get_json()
        assert answer["error"] != "unsupported_grant_type"
