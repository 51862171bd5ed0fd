"""Mallory's tokens against the running application (security.md, section 1; RFC 8725)."""

from __future__ import annotations

import hmac
import json
import random
import string
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives import serialization
from werkzeug.test import TestResponse

from auth import base64url
from auth.algorithms import ALGORITHMS, thumbprint
from auth.keys import SigningKey
from auth.tokens import OPTIONAL, REQUIRED
from tests.house import House
from tests.service.problems import refused

MUTATIONS: Final = 10_000
LETTERS: Final = string.ascii_letters + string.digits + "-_.=+/~"
Members = dict[str, Any]


@pytest.fixture(scope="module")
def header(shared_house: House) -> Members:
    return part(shared_house.rob.token, 0)


@pytest.fixture(scope="module")
def payload(shared_house: House) -> Members:
    return part(shared_house.rob.token, 1)


def part(token: str, number: int) -> Members:
    members: Members = json.loads(base64url.decode(token.split(".")[number]))
    return members


def written(value: object) -> str:
    return base64url.encode(value if isinstance(value, bytes) else json.dumps(value).encode())


def signed(house: House, header: object, payload: object, signer: SigningKey | None = None) -> str:
    """A token with a genuine signature of the platform's own key over whatever it says."""
    message = f"{written(header)}.{written(payload)}"
    signature = (signer or house.platform.signer()).sign(message.encode())
    return f"{message}.{base64url.encode(signature)}"


def send(house: House, token: str) -> TestResponse:
    return house.client.get("/models", headers={"Authorization": f"Bearer {token}"})


def test_token_that_is_put_together_here_is_good(
    shared_house: House, header: Members, payload: Members
) -> None:
    """What the other tests alter is accepted unaltered, so that they show what they say."""
    assert send(shared_house, signed(shared_house, header, payload)).status_code == 200


@pytest.mark.parametrize("claim", sorted(REQUIRED))
def test_token_without_a_claim_is_refused(
    shared_house: House, header: Members, payload: Members, claim: str
) -> None:
    rest = {name: value for name, value in payload.items() if name != claim}
    refused(send(shared_house, signed(shared_house, header, rest)), 401, "invalid-token")


WRONG: Final[list[object]] = [
    None, True, 0, -1, 2**63, 1e308, "", " ", "\x00", "x" * 200, [], {}, ["sallyport"],
    "usr_000000000000000000000000", "ten_000000000000000000000000", "' OR 1=1 --", "../x",
]  # fmt: skip

# Well-formed and true, or names that nothing is looked up by: only our own key can say them.
HARMLESS: Final = {
    "scope": ("",),
    "nbf": (0,),
    "jti": WRONG[-4:-2],
    "client_id": WRONG[-4:-2],
}


@pytest.mark.parametrize("claim", sorted(REQUIRED | OPTIONAL))
def test_token_with_a_claim_altered_is_refused_though_its_signature_is_good(
    shared_house: House, header: Members, payload: Members, claim: str
) -> None:
    for value in WRONG:
        if value in HARMLESS.get(claim, ()):
            continue
        response = send(shared_house, signed(shared_house, header, {**payload, claim: value}))
        refused(response, 401, "invalid-token")


def test_token_cannot_say_more_than_its_account_may(
    shared_house: House, header: Members, payload: Members
) -> None:
    """Were a key ever misused, the table would still hold."""
    scope = "account audit clients models.read predict tenants users"
    token = signed(shared_house, header, {**payload, "scope": scope})
    headers = {"Authorization": f"Bearer {token}"}

    assert shared_house.client.get("/models", headers=headers).status_code == 200
    response = shared_house.client.get("/admin/users", headers=headers)
    refused(response, 403, "insufficient-scope")


def test_token_of_one_tenant_with_the_name_of_another_is_refused(
    shared_house: House, header: Members, payload: Members
) -> None:
    globex = part(shared_house.gail.token, 1)["tenant"]
    token = signed(shared_house, header, {**payload, "tenant": globex})
    refused(send(shared_house, token), 401, "invalid-token")


@pytest.mark.parametrize(
    "change",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "HS256"},
        {"alg": "RS256"},
        {"alg": "ES384"},
        {"typ": "JWT"},
        {"typ": "rt+jwt"},
        {"typ": "at+JWT"},
        {"kid": "../../dev/null"},
        {"kid": "' UNION SELECT 1 --"},
        {"kid": ""},
        {"kid": None},
        {"kid": 7},
        {"jku": "https://mallory.example/jwks.json"},
        {"x5u": "https://mallory.example/cert.pem"},
        {"x5c": ["MIIB"]},
        {"jwk": {"kty": "oct", "k": "AA"}},
        {"crit": ["exp"]},
        {"b64": False},
        {"zip": "DEF"},
        {"cty": "JWT"},
    ],
    ids=str,
)
def test_header_is_the_platforms_own_or_none(
    shared_house: House, header: Members, payload: Members, change: Members
) -> None:
    token = signed(shared_house, {**header, **change}, payload)
    refused(send(shared_house, token), 401, "invalid-token")
    unsigned = token[: token.rindex(".") + 1]
    refused(send(shared_house, unsigned), 401, "invalid-token")


def test_key_of_mallory_signs_nothing(
    shared_house: House, header: Members, payload: Members
) -> None:
    private = ALGORITHMS["ES256"].generate()
    jwk = dict(ALGORITHMS["ES256"].to_jwk(private.public_key()))
    own = SigningKey(thumbprint(jwk), "ES256", "access", private)
    for claimed in ({}, {"kid": own.kid}, {"kid": own.kid, "jwk": jwk}):
        token = signed(shared_house, {**header, **claimed}, payload, own)
        refused(send(shared_house, token), 401, "invalid-token")


def test_published_key_is_no_shared_secret(
    shared_house: House, header: Members, payload: Members
) -> None:
    verifier = shared_house.platform.verifiers()[header["kid"]]
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER):
        secret = verifier.public.public_bytes(encoding, spki)
        message = f"{written({**header, 'alg': 'HS256'})}.{written(payload)}"
        mac = hmac.new(secret, message.encode(), "sha256").digest()
        token = f"{message}.{base64url.encode(mac)}"
        refused(send(shared_house, token), 401, "invalid-token")


def test_other_forms_of_a_good_token_are_refused(
    shared_house: House, header: Members, payload: Members
) -> None:
    token = shared_house.rob.token
    twice = json.dumps(payload)[:-1] + f', "sub": "{payload["sub"]}"}}'
    others = [
        f"{token}=",
        f"{token}.",
        f".{token}",
        f"{token}.e30.AA",
        token.replace(".", ".."),
        token.swapcase(),
        token[: token.rindex(".")],
        "a" * 5000,
        "",
        "..",
        signed(shared_house, header, twice.encode()),
        signed(shared_house, header, json.dumps(payload).encode("utf-16")),
        signed(shared_house, json.dumps(header).encode() + b" ", payload) + "AA",
        signed(shared_house, header, [payload]),
        signed(shared_house, [header], payload),
    ]
    for other in others:
        response = send(shared_house, other)
        assert response.status_code == 401, other


def test_refresh_token_and_client_secret_are_no_access_tokens(shared_house: House) -> None:
    shared_house.rob.login()
    _, secret = shared_house.robot()
    for word in (shared_house.rob.tokens["refresh_token"], secret):
        refused(send(shared_house, word), 401, "invalid-token")


@pytest.mark.drill
def test_none_of_ten_thousand_mutated_tokens_is_accepted(shared_house: House) -> None:
    token = shared_house.rob.token
    assert send(shared_house, token).status_code == 200  # remembered from here on
    seen, statuses = {token}, set[int]()
    client = shared_house.client
    for mutated in mutations(token, random.Random(8725)):
        if mutated in seen:
            continue
        seen.add(mutated)
        headers = {"Authorization": f"Bearer {mutated}"}
        response = client.get("/models", headers=headers)
        statuses.add(response.status_code)
        assert response.status_code == 401, mutated
        if len(seen) > MUTATIONS:
            break
    assert len(seen) > MUTATIONS
    assert statuses == {401}
    assert send(shared_house, token).status_code == 200


def mutations(token: str, chance: random.Random) -> Iterator[str]:
    """Endless variants of a token: letters, lengths, parts and members."""
    ways: list[Callable[[str, random.Random], str]] = [
        _replace, _replace, _delete, _insert, _flip, _cut, _shuffle, _alter,
    ]  # fmt: skip
    while True:
        mutated = token
        for _ in range(chance.choice((1, 1, 1, 2, 5))):
            mutated = chance.choice(ways)(mutated, chance)
        yield mutated


def _replace(token: str, chance: random.Random) -> str:
    at = chance.randrange(len(token) or 1)
    return token[:at] + chance.choice(LETTERS) + token[at + 1 :]


def _delete(token: str, chance: random.Random) -> str:
    at = chance.randrange(len(token) or 1)
    return token[:at] + token[at + chance.choice((1, 1, 7)) :]


def _insert(token: str, chance: random.Random) -> str:
    at = chance.randrange(len(token) + 1)
    return token[:at] + chance.choice(LETTERS) * chance.choice((1, 1, 4)) + token[at:]


def _flip(token: str, chance: random.Random) -> str:
    at = chance.randrange(len(token) or 1)
    return token[:at] + token[at : at + 1].swapcase() + token[at + 1 :]


def _cut(token: str, chance: random.Random) -> str:
    return token[: chance.randrange(len(token) + 1)] or "."


def _shuffle(token: str, chance: random.Random) -> str:
    parts = token.split(".")
    chance.shuffle(parts)
    return ".".join(parts)


def _alter(token: str, chance: random.Random) -> str:
    """Another member's value, under the old signature."""
    parts = token.split(".")
    number = chance.randrange(2)
    try:
        members = json.loads(base64url.decode(parts[number]))
        name = chance.choice(sorted(members))
        members[name] = chance.choice(["none", "", 2**40, None, "acme", f"{members[name]}0"])
    except (ValueError, IndexError, TypeError, AttributeError):
        return _replace(token, chance)
    parts[number] = written(members)
    return ".".join(parts)
