"""Mallory's tokens against the reader alone: RFC 8725's list and every mutation of a good one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import random
import string
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auth import base64url
from auth.algorithms import ALGORITHMS, P256_ORDER, thumbprint
from auth.errors import TokenRefused
from auth.keys import SigningKey, VerifyingKey
from auth.permissions import parse_scope
from auth.scope import Principal
from auth.tokens import OPTIONAL, REQUIRED, AccessTokens, Claims
from config.settings import Settings

NOW: Final = 1_800_000_000.0
ALPHABET: Final = string.ascii_letters + string.digits + "-_"
SETTINGS: Final = Settings(instance=Path("instance"), master_keys=(bytes(32),))
TOKENS: Final = AccessTokens(SETTINGS)
ROB: Final = Principal(
    kind="user",
    id="usr_0123456789abcdef01234567",
    name="rob",
    tenant_id="ten_0123456789abcdef01234567",
    tenant="acme",
    grants=parse_scope("account predict:linear"),
    session_id="ses_0123456789abcdef01234567",
)
Header = dict[str, Any]


def key_pair(algorithm: str, purpose: str = "access") -> tuple[SigningKey, VerifyingKey]:
    private = ALGORITHMS[algorithm].generate()
    kid = thumbprint(ALGORITHMS[algorithm].to_jwk(private.public_key()))
    return (
        SigningKey(kid, algorithm, purpose, private),
        VerifyingKey(kid, algorithm, purpose, "active", private.public_key(), None),
    )


ES256, ES256_PUBLIC = key_pair("ES256")
OTHER, OTHER_PUBLIC = key_pair("ES256")
RS256, RS256_PUBLIC = key_pair("RS256")
MANIFESTS, MANIFESTS_PUBLIC = key_pair("ES256", "manifest")
STRANGER, STRANGER_PUBLIC = key_pair("ES256")  # Mallory's own
VERIFIERS: Final[Mapping[str, VerifyingKey]] = MappingProxyType(
    {key.kid: key for key in (ES256_PUBLIC, OTHER_PUBLIC, RS256_PUBLIC, MANIFESTS_PUBLIC)}
)
TOKEN, CLAIMS = TOKENS.mint(ES256, ROB, NOW)
RSA_TOKEN, RSA_CLAIMS = TOKENS.mint(RS256, ROB, NOW)
HEADER, PAYLOAD = (json.loads(base64url.decode(part)) for part in TOKEN.split(".")[:2])


def read(token: str | bytes, verifiers: Mapping[str, VerifyingKey] = VERIFIERS) -> Claims:
    return TOKENS.read(token, verifiers, NOW)


def refuse(token: str | bytes, reason: str = "token refused") -> None:
    with pytest.raises(TokenRefused, match=reason):
        read(token)


def written(value: object) -> str:
    """A part of a token: bytes as they are, text as UTF-8, anything else as JSON."""
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
    return base64url.encode(value if isinstance(value, bytes) else json.dumps(value).encode())


def signed(header: object, payload: object, signer: SigningKey = ES256) -> str:
    """A token with a genuine signature over whatever it says."""
    message = f"{written(header)}.{written(payload)}"
    return f"{message}.{base64url.encode(signer.sign(message.encode()))}"


def test_good_tokens_are_read() -> None:
    assert read(TOKEN) == read(TOKEN.encode()) == read(signed(HEADER, PAYLOAD)) == CLAIMS
    assert read(RSA_TOKEN) == RSA_CLAIMS


# RFC 8725, 3.1 and 3.2: the algorithm is the key's, never the token's.


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", "ES384", "es256", "RS256"])
@pytest.mark.parametrize("signature", ["genuine", "none"])
def test_algorithm_that_is_not_the_keys_is_refused(name: str, signature: str) -> None:
    token = signed({**HEADER, "alg": name}, PAYLOAD)
    refuse(token if signature == "genuine" else token[: token.rindex(".") + 1])


@pytest.mark.parametrize("public", [ES256_PUBLIC, RS256_PUBLIC])
@pytest.mark.parametrize("hashing", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("claimed", ["HS", "own"])
def test_public_key_is_not_taken_for_a_shared_secret(
    public: VerifyingKey, hashing: str, claimed: str
) -> None:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    encodings = (serialization.Encoding.PEM, serialization.Encoding.DER)
    forms = [public.public.public_bytes(encoding, spki) for encoding in encodings]
    forms += [forms[0].strip(), public.kid.encode(), b""]
    name = public.algorithm if claimed == "own" else f"HS{hashing[3:]}"
    for secret in forms:
        header = {"alg": name, "kid": public.kid, "typ": "at+jwt"}
        message = f"{written(header)}.{written(PAYLOAD)}"
        digest = hmac.new(secret, message.encode(), hashing).digest()
        refuse(f"{message}.{base64url.encode(digest)}")


@pytest.mark.parametrize("signer", [OTHER, RS256, STRANGER], ids=["other", "rs256", "stranger"])
def test_signature_of_another_key_under_this_ones_name_is_refused(signer: SigningKey) -> None:
    refuse(signed(HEADER, PAYLOAD, signer), "signature")


@pytest.mark.parametrize("named", [OTHER, RS256], ids=["other", "rs256"])
def test_name_of_another_key_over_this_ones_signature_is_refused(named: SigningKey) -> None:
    refuse(signed({**HEADER, "kid": named.kid}, PAYLOAD))
    refuse(signed({**HEADER, "kid": named.kid, "alg": named.algorithm}, PAYLOAD), "signature")


def test_key_of_mallory_is_unknown() -> None:
    refuse(signed({**HEADER, "kid": STRANGER.kid}, PAYLOAD, STRANGER), "unknown")


STRANGERS_JWK: Final = dict(ALGORITHMS["ES256"].to_jwk(STRANGER_PUBLIC.public))


@pytest.mark.parametrize(
    "members",
    [
        {"jwk": STRANGERS_JWK},
        {"jku": "https://mallory.example/jwks.json"},
        {"x5u": "https://mallory.example/cert.pem"},
        {"x5c": ["MIIB"]},
        {"x5t": "x"},
        {"x5t#S256": "x"},
        {"crit": ["exp"]},
        {"crit": []},
        {"b64": False, "crit": ["b64"]},
        {"zip": "DEF"},
        {"enc": "A128GCM"},
        {"cty": "JWT"},
        {"": ""},
    ],
    ids=lambda members: "+".join(members) or "empty",
)
@pytest.mark.parametrize("signer", [ES256, STRANGER], ids=["genuine", "strangers"])
def test_header_brings_no_key_and_no_rules_of_its_own(members: Header, signer: SigningKey) -> None:
    refuse(signed({**HEADER, **members}, PAYLOAD, signer), "other members")


@pytest.mark.parametrize("member", ["alg", "kid", "typ"])
@pytest.mark.parametrize("value", [None, 0, True, [], {}, "", ["ES256"], "x" * 1000, "\ud800"])
def test_header_with_a_member_altered_is_refused(member: str, value: object) -> None:
    refuse(signed({**HEADER, member: value}, PAYLOAD))


@pytest.mark.parametrize("member", ["alg", "kid", "typ"])
def test_header_with_a_member_removed_is_refused(member: str) -> None:
    rest = {name: value for name, value in HEADER.items() if name != member}
    refuse(signed(rest, PAYLOAD), "other members")


@pytest.mark.parametrize("kid", ["../../dev/null", "' OR 1=1 --", "http://x/", "\0", "%00"])
def test_key_name_is_only_looked_up(kid: str) -> None:
    refuse(signed({**HEADER, "kid": kid}, PAYLOAD), "unknown")


# RFC 8725, 3.11 and 3.12: a token of another kind is no access token.


@pytest.mark.parametrize("kind", ["JWT", "jwt", "AT+JWT", "application/at+jwt", "rt+jwt", ""])
def test_token_of_another_type_is_refused(kind: str) -> None:
    refuse(signed({**HEADER, "typ": kind}, PAYLOAD), "not an access token")


def test_signature_of_a_key_for_another_purpose_is_refused() -> None:
    refuse(signed({**HEADER, "kid": MANIFESTS.kid}, PAYLOAD, MANIFESTS), "not an access token")


# RFC 8725, 3.8 to 3.10: every claim is required and of its form.

WRONG: Final[list[object]] = [
    None,
    True,
    False,
    [],
    {},
    "",
    " ",
    "\x00",
    "x" * 200,
    -1,
    2**63,
    10**400,
    1e308,
]


@pytest.mark.parametrize("claim", sorted(REQUIRED))
def test_claim_removed_is_refused(claim: str) -> None:
    rest = {name: value for name, value in PAYLOAD.items() if name != claim}
    refuse(signed(HEADER, rest), f"lacks {claim}")


@pytest.mark.parametrize("claim", sorted(REQUIRED | OPTIONAL))
@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:12])
def test_claim_of_another_form_is_refused(claim: str, value: object) -> None:
    if (claim, value) == ("scope", ""):
        assert not read(signed(HEADER, {**PAYLOAD, "scope": ""})).grants  # good for nothing
        return
    refuse(signed(HEADER, {**PAYLOAD, claim: value}))


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("iss", "https://localhost:8443/"),
        ("iss", "https://LOCALHOST:8443"),
        ("iss", ["https://localhost:8443"]),
        ("aud", ["sallyport"]),
        ("aud", ["sallyport", "other"]),
        ("aud", "other"),
        ("aud", "sallyport "),
        ("sub", "../usr"),
        ("sub", "USR_0123456789abcdef01234567"),
        ("sub", "usr_0123\n"),
        ("tenant", "ten_\u0131"),
        ("tenant", "t" * 41),
        ("jti", "tok_\ud800"),
        ("jti", "' OR 1=1"),
        ("client_id", "client id"),
        ("sid", None),
        ("scope", "everything"),
        ("scope", "predict:linear account"),
        ("scope", "account  predict:linear"),
        ("scope", " account"),
        ("scope", "account account"),
        ("scope", "predict:../linear"),
        ("scope", ["account"]),
        ("exp", "1800000900"),
        ("exp", 1_800_000_901),
        ("exp", NOW),
        ("exp", NOW - 30),
        ("exp", NOW - 31),
        ("iat", NOW + 31),
        ("iat", NOW - 1),
        ("nbf", NOW + 31),
        ("nbf", str(NOW)),
    ],
)
def test_claim_of_another_value_is_refused(claim: str, value: object) -> None:
    refuse(signed(HEADER, {**PAYLOAD, claim: value}))


@pytest.mark.parametrize("claim", ["admin", "role", "tenant_id", "EXP", "", "act", "cnf"])
def test_unknown_claim_is_refused(claim: str) -> None:
    refuse(signed(HEADER, {**PAYLOAD, claim: "x"}), "not known")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_constant_that_json_does_not_have_is_refused(number: str) -> None:
    refuse(signed(HEADER, json.dumps({**PAYLOAD, "exp": "@"}).replace('"@"', number)), "not JSON")


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-0.5", "1" * 3000])
def test_number_that_is_no_time_is_refused(claim: str, number: str) -> None:
    text = json.dumps({**PAYLOAD, claim: "@"}).replace('"@"', number)
    refuse(signed(HEADER, text))


def test_times_may_have_fractions() -> None:
    fractions = {**PAYLOAD, "iat": NOW + 0.25, "nbf": NOW - 0.5, "exp": NOW + 900.25}
    assert read(signed(HEADER, fractions)).expires_at == NOW + 900.25


# RFC 8725, 2.4, 3.3, 3.7: one form of token, of JSON, of text and of signature.


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize(
    "twist",
    [
        lambda text: text[:-1] + ',"kid":"x","sub":"x"}',
        lambda text: '{"\\u0061lg":"x","\\u0069ss":"x",' + text[1:],
        lambda text: f"[{text}]",
        lambda text: text + text,
        lambda text: text + "x",
        lambda text: "\ufeff" + text,
        lambda text: text.replace('"', "'"),
        lambda text: text[:-1] + ",}",
        lambda text: text[:-1],
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-32-le"),
        lambda text: text.encode()[:-1] + b',"\xff":1}',
        lambda text: text.encode()[:-1] + b',"x":"\xc0\xaf"}',
        lambda _: "[" * 2900,
        lambda _: '{"a":' * 500,
        lambda _: "null",
        lambda _: '"alg"',
        lambda _: "1" * 2900,
        lambda _: " ",
        lambda _: b"\0",
    ],
)
def test_part_that_is_not_one_plain_object_is_refused(
    part: int, twist: Callable[[str], object]
) -> None:
    parts: list[object] = [HEADER, PAYLOAD]
    parts[part] = twist(json.dumps(parts[part]))
    refuse(signed(parts[0], parts[1]))


def test_part_that_is_nested_deeply_is_refused_before_it_is_parsed() -> None:
    refuse(signed(HEADER, "[" * 17), "nested")
    refuse(signed('{"a":' * 500, PAYLOAD), "nested")


def test_genuine_token_of_more_than_4_kib_is_refused() -> None:
    text = json.dumps(PAYLOAD)
    longest = signed(HEADER, text + " " * ((4096 - len(signed(HEADER, text))) * 3 // 4 - 3))
    assert 4080 < len(longest) <= 4096
    assert read(longest) == CLAIMS
    refuse(signed(HEADER, text + " " * 2800), "4 KiB")


@pytest.mark.parametrize("text", ['{"x":{"y":1,"y":2}}', '{"x":[{"y":1,"y":1}]}'])
def test_duplicate_member_is_refused_at_any_depth(text: str) -> None:
    refuse(signed(HEADER, text), "duplicate")
    refuse(signed(text, PAYLOAD), "duplicate")


@pytest.mark.parametrize(
    "twist",
    [
        lambda t: t + "=",
        lambda t: t + "==",
        lambda t: t.replace(".", "=.", 1),
        lambda t: t + "\n",
        lambda t: " " + t,
        lambda t: t + " ",
        lambda t: t.replace(".", ". "),
        lambda t: t + ".",
        lambda t: "." + t,
        lambda t: t + ".x.y",
        lambda t: t.replace(".", "..", 1),
        lambda t: t[: t.rindex(".") + 1],
        lambda t: t[: t.rindex(".")],
        lambda t: t.split(".")[0],
        lambda t: t[:-1],
        lambda t: t + "A",
        lambda t: t + "AA",
        lambda t: t + "\0",
        lambda t: t + "é",
        lambda t: t.replace(".", "\uff0e"),
        lambda t: "\ufeff" + t,
        lambda t: t.replace("e", "\u0435", 1),
        lambda t: "Bearer " + t,
        lambda t: t + "," + t,
        lambda t: t.swapcase(),
        lambda t: t.encode("utf-16"),
        lambda t: t.encode() + b"\xff",
        lambda t: t + "A" * 5000,
        lambda _: "A" * 1_000_000,
        lambda _: "." * 4000,
        lambda _: "",
        lambda _: b"",
        lambda _: "..",
        lambda _: "\ud800.\ud800.\ud800",
    ],
)
def test_other_spelling_of_a_token_is_refused(twist: Callable[[str], str | bytes]) -> None:
    refuse(twist(TOKEN))


def test_unused_bits_of_the_last_character_are_refused() -> None:
    # 64 bytes leave 4 bits of the last character unused: 15 other spellings of one signature.
    position = ALPHABET_ORDER.index(TOKEN[-1])
    assert position % 16 == 0
    for bits in range(1, 16):
        refuse(TOKEN[:-1] + ALPHABET_ORDER[position + bits], "canonical")


ALPHABET_ORDER: Final = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


@pytest.mark.parametrize("value", [None, 1, 1.5, [], {}, (), object(), bytearray(b"a.b.c")])
def test_what_is_no_text_is_refused(value: Any) -> None:
    refuse(value)


def test_encrypted_and_json_serialisations_are_refused() -> None:
    refuse(f"{TOKEN}.{TOKEN}")
    first, second, third = TOKEN.split(".")
    refuse(json.dumps({"protected": first, "payload": second, "signature": third}))


def es256_signatures() -> dict[str, bytes]:
    raw = base64url.decode(TOKEN.split(".")[2])
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    assert s <= P256_ORDER // 2
    zero, order = bytes(32), P256_ORDER.to_bytes(32)
    return {
        "high s": raw[:32] + (P256_ORDER - s).to_bytes(32),
        "r plus order": ((r + P256_ORDER) % 2**256).to_bytes(32) + raw[32:],
        "s negated": raw[:32] + ((-s) % 2**256).to_bytes(32),
        "DER": encode_dss_signature(r, s),
        "leading zeros": zero[:1] + raw[:32] + zero[:1] + raw[32:],
        "longer": raw + b"\0",
        "zero before s": raw[:32] + zero[:1] + raw[32:],
        "shorter": raw[:63],
        "empty halves": zero + zero,
        "zero r": zero + raw[32:],
        "zero s": raw[:32] + zero,
        "order": order + order,
        "all ones": b"\xff" * 64,
        "swapped": raw[32:] + raw[:32],
        "one": b"\0",
    }


@pytest.mark.parametrize("form", sorted(es256_signatures()))
def test_other_form_of_an_es256_signature_is_refused(form: str) -> None:
    message = TOKEN[: TOKEN.rindex(".")]
    refuse(f"{message}.{base64url.encode(es256_signatures()[form])}", "signature")


def test_other_form_of_an_rs256_signature_is_refused() -> None:
    message, raw = RSA_TOKEN[: RSA_TOKEN.rindex(".")], base64url.decode(RSA_TOKEN.split(".")[2])
    numbers = RS256.private.public_key().public_numbers()
    n = getattr(numbers, "n", 0)
    plus_modulus = (int.from_bytes(raw) + n).to_bytes(385)
    for other in (b"\0" + raw, raw[1:], raw + b"\0", plus_modulus, bytes(384), b"\1" * 384):
        refuse(f"{message}.{base64url.encode(other)}", "signature")


@pytest.mark.parametrize("state", ["retired", "active"])
def test_key_past_its_time_is_refused(state: Any) -> None:
    past = {ES256.kid: replace(ES256_PUBLIC, state=state, valid_until=NOW)}
    with pytest.raises(TokenRefused, match="gone"):
        read(TOKEN, past)
    assert read(TOKEN, {ES256.kid: replace(ES256_PUBLIC, valid_until=NOW + 1)}) == CLAIMS


def test_genuine_signature_of_the_next_key_is_refused() -> None:
    with pytest.raises(TokenRefused, match="does not sign yet"):
        read(TOKEN, {ES256.kid: replace(ES256_PUBLIC, state="next")})


def test_token_of_another_platform_is_refused() -> None:
    elsewhere = AccessTokens(replace(SETTINGS, url="https://elsewhere.example"))
    other_audience = AccessTokens(replace(SETTINGS, audience="other"))
    refuse(elsewhere.mint(ES256, ROB, NOW)[0], "iss")
    refuse(other_audience.mint(ES256, ROB, NOW)[0], "aud")


def test_token_that_lives_longer_than_any_issued_is_refused() -> None:
    generous = AccessTokens(replace(SETTINGS, access_seconds=901))
    refuse(generous.mint(ES256, ROB, NOW)[0], "lifetime")


def test_reason_repeats_nothing_of_the_token() -> None:
    for token in (
        signed({**HEADER, "kid": "MARK"}, PAYLOAD),
        signed({**HEADER, "MARK": 1}, PAYLOAD),
        signed(HEADER, {**PAYLOAD, "MARK": 1}),
        signed(HEADER, {**PAYLOAD, "scope": "MARK"}),
        signed(HEADER, {**PAYLOAD, "iss": "MARK"}),
        "MARK",
    ):
        with pytest.raises(TokenRefused) as refusal:
            read(token)
        assert "MARK" not in str(refusal.value)


def test_ten_thousand_mutated_tokens_are_refused() -> None:
    chance = random.Random(8725)
    for number in range(10_000):
        original = TOKEN if number % 10 else RSA_TOKEN
        token = mutated(original, chance)
        if token != original:
            refuse(token)


def mutated(token: str, chance: random.Random) -> str:
    """The token with a character changed, dropped, doubled or swapped, or two tokens crossed."""
    at = chance.randrange(len(token))
    other = chance.randrange(len(token))
    low, high = min(at, other), max(at, other)
    match chance.randrange(6):
        case 0:
            return token[:at] + chance.choice(ALPHABET) + token[at + 1 :]
        case 1:
            return token[:at] + token[at + 1 :]
        case 2:
            return token[:at] + token[at] + token[at:]
        case 3:
            return token[:low] + token[high:]
        case 4:
            return token[:low] + token[low:high][::-1] + token[high:]
    return crossed(chance)


def crossed(chance: random.Random) -> str:
    """Parts of different good tokens, which never fit together."""
    tokens = (TOKEN, RSA_TOKEN, TOKENS.mint(OTHER, ROB, NOW)[0])
    first, second, third = chance.sample(tokens, 3)
    return ".".join((first.split(".")[0], second.split(".")[1], third.split(".")[2]))


def test_every_single_bit_of_a_token_matters() -> None:
    data = TOKEN.encode()
    for position in range(len(data)):
        for bit in range(8):
            flipped = data[position] ^ (1 << bit)
            refuse(data[:position] + bytes([flipped]) + data[position + 1 :])


ANYTHING: Final = st.text(max_size=200) | st.binary(max_size=200)
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@given(ANYTHING)
@example("")
@example("\ud800")
@settings(max_examples=300, deadline=None)
def test_no_text_is_anything_but_refused(token: str | bytes) -> None:
    refuse(token)


@given(ANYTHING | JSON, ANYTHING | JSON, st.binary(max_size=80))
@settings(max_examples=300, deadline=None)
def test_no_three_parts_are_anything_but_refused(
    header: object, payload: object, signature: bytes
) -> None:
    refuse(f"{written(header)}.{written(payload)}.{base64url.encode(signature)}")


@given(st.dictionaries(st.sampled_from(sorted(REQUIRED | OPTIONAL)), JSON, min_size=1))
@settings(max_examples=300, deadline=None)
def test_signed_claims_of_any_form_are_refused_or_in_form(altered: dict[str, Any]) -> None:
    try:
        claims = read(signed(HEADER, {**PAYLOAD, **altered}))
    except TokenRefused:
        return
    assert claims.tenant_id == PAYLOAD["tenant"] or claims.tenant_id == altered["tenant"]
    assert all(math.isfinite(time) for time in (claims.issued_at, claims.expires_at))
    assert 0 < claims.expires_at - claims.issued_at <= 900


@given(st.binary(max_size=100))
@settings(max_examples=200, deadline=None)
def test_base64url_has_one_spelling(data: bytes) -> None:
    text = base64url.encode(data)
    assert base64url.decode(text) == data
    assert text == base64.urlsafe_b64encode(data).decode().rstrip("=")
    for other in (text + "=", text + "\n", " " + text, text + "*", text[:-1] + "+/"):
        with pytest.raises(ValueError, match="base64url"):
            base64url.decode(other)


def test_names_of_keys_differ_by_their_content() -> None:
    names = {key.kid for key in VERIFIERS.values()} | {STRANGER.kid}
    assert len(names) == 5
    assert all(len(name) == len(base64url.encode(hashlib.sha256().digest())) for name in names)
