"""Access tokens: JWTs in the profile of RFC 9068, minted here and accepted only as minted here.

The reader takes nothing from the token on trust. What a token says of itself (kid, alg, typ)
only selects a key record and must then equal what the record says; every other spelling of a
good token is refused, so that a token has one form. RFC 8725 lists the attacks that this answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from auth import base64url
from auth.errors import KeyNotActive, ScopeMalformed, ScopeTooLong, TokenRefused
from auth.keys import ACCESS, SigningKey, VerifyingKey
from auth.permissions import Grants, format_scope, parse_scope
from auth.records import new_id
from auth.scope import Principal
from config.settings import Settings

TYPE: Final = "at+jwt"
MOST_BYTES: Final = 4096
MOST_NESTING: Final = 16
MOST_SECONDS: Final = 2**53  # what a double still holds exactly
FIRST_PARTY: Final = "first-party"  # the client_id of a login with a password

HEADER: Final = frozenset({"alg", "kid", "typ"})
REQUIRED: Final = frozenset(
    {"iss", "aud", "sub", "exp", "iat", "nbf", "jti", "client_id", "tenant", "scope"}
)
OPTIONAL: Final = frozenset({"sid"})
PARTS: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
IDENTIFIER: Final = re.compile(r"[a-z][a-z0-9_-]{1,39}")


@dataclass(frozen=True, slots=True)
class Claims:
    """What an accepted token says."""

    kid: str
    token_id: str
    subject: str
    client_id: str
    tenant_id: str
    grants: Grants
    issued_at: float
    not_before: float
    expires_at: float
    session_id: str | None = None


class AccessTokens:
    """Mints and reads the access tokens of one issuer for one audience."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def mint(self, signer: SigningKey, principal: Principal, now: float) -> tuple[str, Claims]:
        """Return a signed token that grants what the principal holds, and its claims.

        Raises ScopeTooLong if no reader would take the token.
        """
        issued_at = int(now)
        claims = Claims(
            kid=signer.kid,
            token_id=new_id("tok"),
            subject=principal.id,
            client_id=principal.id if principal.kind == "client" else FIRST_PARTY,
            tenant_id=principal.tenant_id,
            grants=principal.grants,
            issued_at=issued_at,
            not_before=issued_at,
            expires_at=issued_at + self._settings.access_seconds,
            session_id=principal.session_id,
        )
        header = {"alg": signer.algorithm, "kid": signer.kid, "typ": TYPE}
        message = f"{_part(header)}.{_part(self._members(claims))}"
        token = f"{message}.{base64url.encode(signer.sign(message.encode()))}"
        if len(token) > MOST_BYTES:
            raise ScopeTooLong(len(principal.grants), MOST_BYTES)
        return token, claims

    def read(self, token: str | bytes, verifiers: Mapping[str, VerifyingKey], now: float) -> Claims:
        """Return the claims of a token that is good now; raises TokenRefused for any other input.

        Raises its subclass KeyNotActive if only the verifiers may be out of date.
        """
        header, payload, signature, message = _split(_text(token))
        key = _key(_object(header, "header"), verifiers, now)
        if not key.verify(_bytes(signature, "signature"), message):
            raise TokenRefused("the signature does not verify")
        claims = self._claims(_object(payload, "payload"), key.kid, now)
        if key.state == "next":
            # Nothing signs with it yet: either it leaked, or it was activated a moment ago.
            raise KeyNotActive(key.kid)
        return claims

    def _members(self, claims: Claims) -> dict[str, str | float]:
        members: dict[str, str | float] = {
            "iss": self._settings.issuer,
            "aud": self._settings.audience,
            "sub": claims.subject,
            "exp": claims.expires_at,
            "iat": claims.issued_at,
            "nbf": claims.not_before,
            "jti": claims.token_id,
            "client_id": claims.client_id,
            "tenant": claims.tenant_id,
            "scope": format_scope(claims.grants),
        }
        return members if claims.session_id is None else {**members, "sid": claims.session_id}

    def _claims(self, members: Mapping[str, Any], kid: str, now: float) -> Claims:
        _require_names(members)
        # The same key may one day sign for another audience or issuer (RFC 8725, 3.8 and 3.9).
        # A list of audiences is refused: a token for several is good at any of them.
        _require_equal(members, "iss", self._settings.issuer)
        _require_equal(members, "aud", self._settings.audience)
        issued_at, not_before, expires_at = self._times(members, now)
        return Claims(
            kid=kid,
            token_id=_identifier(members, "jti"),
            subject=_identifier(members, "sub"),
            client_id=_identifier(members, "client_id"),
            tenant_id=_identifier(members, "tenant"),
            grants=_grants(members["scope"]),
            issued_at=issued_at,
            not_before=not_before,
            expires_at=expires_at,
            session_id=_identifier(members, "sid") if "sid" in members else None,
        )

    def _times(self, members: Mapping[str, Any], now: float) -> tuple[float, float, float]:
        issued_at, not_before, expires_at = (_time(members, n) for n in ("iat", "nbf", "exp"))
        leeway = self._settings.leeway_seconds
        if now >= expires_at + leeway:
            raise TokenRefused("it has expired")
        if now + leeway < not_before:
            raise TokenRefused("it is not valid yet")
        if now + leeway < issued_at:
            raise TokenRefused("it was issued in the future")
        # A retired key is dropped after the longest lifetime; no token may outlive its key.
        if not 0 < expires_at - issued_at <= self._settings.access_seconds:
            raise TokenRefused("its lifetime is longer than any that is issued, or none")
        return issued_at, not_before, expires_at


def _part(members: Mapping[str, str | float]) -> str:
    return base64url.encode(json.dumps(members, separators=(",", ":")).encode())


def _text(token: str | bytes) -> str:
    # Measured before anything reads it: no length of input costs more than this one.
    if not isinstance(token, str | bytes) or len(token) > MOST_BYTES:
        raise TokenRefused("it is not a text of at most 4 KiB")
    try:
        return token.decode("ascii") if isinstance(token, bytes) else token
    except UnicodeDecodeError:
        raise TokenRefused("it is not ASCII") from None


def _split(token: str) -> tuple[str, str, str, bytes]:
    # Two parts are `none`, five are an encrypted token; neither exists here (RFC 8725, 3.2).
    match = PARTS.fullmatch(token)
    if match is None:
        raise TokenRefused("it is not three parts of base64url")
    header, payload, signature = match.groups()
    return header, payload, signature, f"{header}.{payload}".encode("ascii")


def _bytes(part: str, name: str) -> bytes:
    try:
        return base64url.decode(part)
    except ValueError:
        raise TokenRefused(f"its {name} is not canonical base64url") from None


def _object(part: str, name: str) -> dict[str, Any]:
    try:
        # Decoded first: json.loads would take UTF-16 and UTF-32 bytes as well.
        text = _bytes(part, name).decode("utf-8")
        if text.count("{") + text.count("[") > MOST_NESTING:
            raise TokenRefused(f"its {name} is nested")
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise TokenRefused(f"its {name} is not JSON without duplicate members") from None
    if not isinstance(value, dict):
        raise TokenRefused(f"its {name} is not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of two equal members parsers take the first or the last: two readers see two tokens.
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _no_constant(name: str) -> None:
    # NaN is neither before nor after any time, so it would pass an expiry check.
    raise ValueError(name)


def _key(
    header: Mapping[str, Any], verifiers: Mapping[str, VerifyingKey], now: float
) -> VerifyingKey:
    # No jwk, jku, x5u, x5c (a key of the sender's choice) and no crit (rules of the sender's).
    if header.keys() != HEADER:
        raise TokenRefused("its header has other members than alg, kid and typ")
    kid = header["kid"]
    key = verifiers.get(kid) if isinstance(kid, str) else None
    if key is None:
        raise TokenRefused("its key is unknown, gone or revoked")
    # The record decides the algorithm, never the token: a public key is no HMAC secret.
    if header["alg"] != key.algorithm:
        raise TokenRefused("its algorithm is not its key's")
    # A token of another kind (an ID token, a signed manifest) is no access token (RFC 8725, 3.11).
    if header["typ"] != TYPE or key.purpose != ACCESS:
        raise TokenRefused("it is not an access token")
    # The verifiers may have been read before the retired key's time passed.
    if key.valid_until is not None and now >= key.valid_until:
        raise TokenRefused("its key is unknown, gone or revoked")
    return key


def _require_names(members: Mapping[str, Any]) -> None:
    # An unknown claim is refused although RFC 7519 would ignore it: whatever we do not
    # understand may be a restriction. A release that adds a claim reads it before it mints it.
    if missing := REQUIRED - members.keys():
        raise TokenRefused(f"it lacks {', '.join(sorted(missing))}")
    if members.keys() - REQUIRED - OPTIONAL:
        raise TokenRefused("it has claims that are not known")


def _require_equal(members: Mapping[str, Any], name: str, value: str) -> None:
    if members[name] != value:
        raise TokenRefused(f"its {name} is another")


def _identifier(members: Mapping[str, Any], name: str) -> str:
    value = members[name]
    if not isinstance(value, str) or not IDENTIFIER.fullmatch(value):
        raise TokenRefused(f"its {name} is no identifier")
    return value


def _time(members: Mapping[str, Any], name: str) -> float:
    value = members[name]
    # bool is a kind of int in Python. 1e400 is a float, infinity, which the bound refuses.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenRefused(f"its {name} is not a number")
    if not 0 <= value <= MOST_SECONDS:
        raise TokenRefused(f"its {name} is no time")
    return value


def _grants(scope: Any) -> Grants:
    if not isinstance(scope, str):
        raise TokenRefused("its scope is not a string")
    try:
        grants = parse_scope(scope)
    except ScopeMalformed:
        raise TokenRefused("its scope has words that are no grants") from None
    if format_scope(grants) != scope:
        raise TokenRefused("its scope is not in canonical form")
    return grants
