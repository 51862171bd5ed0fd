from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import jwt
import pytest

from auth import base64url
from auth.errors import KeyNotActive, ScopeTooLong, TokenRefused
from auth.keys import KeyRing
from auth.permissions import Grant, Permission, parse_scope
from auth.revocations import RevokedTokens
from auth.scope import Principal
from auth.tokens import AccessTokens, Claims
from config.database import Database
from config.sealing import Sealer
from config.settings import Settings
from tests.auth.clock import Clock

ROB = Principal(
    kind="user",
    id="usr_0123456789abcdef01234567",
    name="rob",
    tenant_id="ten_0123456789abcdef01234567",
    tenant="acme",
    grants=parse_scope("account predict:linear"),
    session_id="ses_0123456789abcdef01234567",
)


@pytest.fixture
def ring(database: Database, sealer: Sealer, settings: Settings, clock: Clock) -> KeyRing:
    ring = KeyRing(sealer, settings, clock)
    with database.write() as session:
        ring.ensure(session)
    return ring


@pytest.fixture
def tokens(settings: Settings) -> AccessTokens:
    return AccessTokens(settings)


@pytest.fixture
def revoked(settings: Settings, clock: Clock) -> RevokedTokens:
    return RevokedTokens(settings, clock)


def mint(
    database: Database, ring: KeyRing, tokens: AccessTokens, clock: Clock, who: Principal = ROB
) -> tuple[str, Claims]:
    with database.read() as session:
        return tokens.mint(ring.signer(session), who, clock())


def read(
    database: Database, ring: KeyRing, tokens: AccessTokens, clock: Clock, token: str
) -> Claims:
    with database.read() as session:
        return tokens.read(token, ring.verifiers(session), clock())


def members(token: str, part: int) -> dict[str, object]:
    found: dict[str, object] = json.loads(base64url.decode(token.split(".")[part]))
    return found


def test_minted_token_reads_as_what_was_minted(
    database: Database, ring: KeyRing, tokens: AccessTokens, clock: Clock
) -> None:
    token, claims = mint(database, ring, tokens, clock)
    assert read(database, ring, tokens, clock, token) == claims
    assert (claims.subject, claims.tenant_id) == (ROB.id, ROB.tenant_id)
    assert (claims.grants, claims.session_id) == (ROB.grants, ROB.session_id)
    assert claims.expires_at - claims.issued_at == 900


def test_token_has_the_profile_of_rfc_9068(
    database: Database, ring: KeyRing, tokens: AccessTokens, clock: Clock
) -> None:
    token, claims = mint(database, ring, tokens, clock)
    assert members(token, 0) == {"alg": "ES256", "kid": claims.kid, "typ": "at+jwt"}
    assert members(token, 1) == {
        "iss": "https://localhost:8443",
        "aud": "sallyport",
        "sub": ROB.id,
        "exp": 1_800_000_900,
        "iat": 1_800_000_000,
        "nbf": 1_800_000_000,
        "jti": claims.token_id,
        "client_id": "first-party",
        "tenant": ROB.tenant_id,
        "scope": "account predict:linear",
        "sid": ROB.session_id,
    }


def test_service_account_is_its_own_client_and_has_no_session(
    database: Database, ring: KeyRing, tokens: AccessTokens, clock: Clock
) -> None:
    batch = replace(ROB, kind="client", id="cli_0123456789abcdef01234567", session_id=None)
    token, claims = mint(database, ring, tokens, clock, batch)
    assert claims.client_id == claims.subject == batch.id
    assert "sid" not in members(token, 1)
    assert read(database, ring, tokens, clock, token) == claims


def test_token_is_read_by_another_library_with_the_published_keys(
    database: Database, ring: KeyRing, tokens: AccessTokens, clock: Clock
) -> None:
    clock.now = time.time()
    token, claims = mint(database, ring, tokens, clock)
    with database.read() as session:
        key = jwt.PyJWKSet.from_dict(dict(ring.jwks(session)))[claims.kid]
    read = jwt.decode(token, key, audience="sallyport", algorithms=["ES256"])
    assert read["jti"] == claims.token_id


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_both_algorithms_sign_and_verify(
    database: Database, sealer: Sealer, settings: Settings, clock: Clock, algorithm: str
) -> None:
    chosen = replace(settings, signing_algorithm=algorithm)  # type: ignore[arg-type]
    ring, tokens = KeyRing(sealer, chosen, clock), AccessTokens(chosen)
    with database.write() as session:
        ring.ensure(session)
    token, claims = mint(database, ring, tokens, clock)
    assert members(token, 0)["alg"] == algorithm
    assert read(database, ring, tokens, clock, token) == claims


def test_token_is_good_until_it_expires_and_for_the_leeway(
    database: Database, ring: KeyRing, tokens: AccessTokens, clock: Clock
) -> None:
    token, _ = mint(database, ring, tokens, clock)
    clock.advance(929.5)
    read(database, ring, tokens, clock, token)
    clock.advance(0.5)
    with pytest.raises(TokenRefused, match="expired"):
        read(database, ring, tokens, clock, token)


def test_token_from_a_clock_ahead_is_good_within_the_leeway(
    database: Database, ring: KeyRing, tokens: AccessTokens, clock: Clock
) -> None:
    token, _ = mint(database, ring, tokens, clock)
    clock.advance(-30)
    read(database, ring, tokens, clock, token)
    clock.advance(-1)
    with pytest.raises(TokenRefused, match="not valid yet"):
        read(database, ring, tokens, clock, token)


def test_token_of_a_retired_key_is_good(
    database: Database, ring: KeyRing, tokens: AccessTokens, clock: Clock
) -> None:
    token, claims = mint(database, ring, tokens, clock)
    with database.write() as session:
        ring.rotate(session)
    assert read(database, ring, tokens, clock, token) == claims


def test_token_of_a_revoked_key_is_refused(
    database: Database, ring: KeyRing, tokens: AccessTokens, clock: Clock
) -> None:
    token, claims = mint(database, ring, tokens, clock)
    with database.write() as session:
        ring.revoke(session, claims.kid)
    with pytest.raises(TokenRefused, match="revoked"):
        read(database, ring, tokens, clock, token)


def test_retired_key_is_refused_by_verifiers_read_before_its_time_passed(
    database: Database, ring: KeyRing, settings: Settings, clock: Clock
) -> None:
    # Minted with a longer lifetime than the settings now allow retired keys to live.
    tokens = AccessTokens(replace(settings, access_seconds=3600, retired_seconds=3600 + 30))
    token, _ = mint(database, ring, tokens, clock)
    with database.write() as session:
        ring.rotate(session)
        cached = ring.verifiers(session)
    tokens.read(token, cached, clock())
    clock.advance(settings.retired_span)
    with pytest.raises(TokenRefused, match="gone"):
        tokens.read(token, cached, clock())


def test_token_of_the_next_key_is_refused_until_the_key_is_active(
    database: Database, ring: KeyRing, tokens: AccessTokens, clock: Clock
) -> None:
    with database.read() as session:
        cached = ring.verifiers(session)
    with database.write() as session:
        ring.rotate(session)
    token, claims = mint(database, ring, tokens, clock)
    with pytest.raises(KeyNotActive) as refusal:
        tokens.read(token, cached, clock())
    assert refusal.value.kid == claims.kid
    assert read(database, ring, tokens, clock, token) == claims


def test_forged_token_of_the_next_key_does_not_ask_for_fresh_verifiers(
    database: Database, ring: KeyRing, tokens: AccessTokens, clock: Clock
) -> None:
    token, _ = mint(database, ring, tokens, clock)
    with database.read() as session:
        verifiers = ring.verifiers(session)
    upcoming = next(key for key in verifiers.values() if key.state == "next")
    header = {"alg": "ES256", "kid": upcoming.kid, "typ": "at+jwt"}
    forged = base64url.encode(json.dumps(header).encode()) + token[token.index(".") :]
    with pytest.raises(TokenRefused, match="signature") as refusal:
        tokens.read(forged, verifiers, clock())
    assert not isinstance(refusal.value, KeyNotActive)


def test_token_that_no_reader_would_take_is_not_minted(
    database: Database, ring: KeyRing, tokens: AccessTokens, clock: Clock
) -> None:
    grants = frozenset(Grant(Permission.PREDICT, f"model-{n:050}") for n in range(60))
    with pytest.raises(ScopeTooLong, match="60 grants"):
        mint(database, ring, tokens, clock, replace(ROB, grants=grants))


def test_revoked_token_is_remembered_until_it_would_have_expired(
    database: Database, revoked: RevokedTokens, clock: Clock
) -> None:
    with database.write() as session:
        revoked.revoke_token(session, "tok_1", clock() + 100)
        revoked.revoke_token(session, "tok_1", clock() + 100)
        revoked.revoke_token(session, "tok_2", clock() + 1000)
    clock.advance(129)
    with database.write() as session:
        assert revoked.purge_revoked(session) == 0
        assert revoked.is_revoked(session, "tok_1")
        assert not revoked.is_revoked(session, "tok_3")
    clock.advance(1)  # the leeway has passed as well
    with database.write() as session:
        assert revoked.purge_revoked(session) == 1
        assert not revoked.is_revoked(session, "tok_1")
        assert revoked.is_revoked(session, "tok_2")


def test_token_may_be_revoked_by_eight_at_once(
    database: Database, revoked: RevokedTokens, clock: Clock
) -> None:
    def revoke(_: int) -> None:
        with database.write() as session:
            revoked.revoke_token(session, "tok_1", clock())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(revoke, range(8)))
    with database.read() as session:
        assert revoked.is_revoked(session, "tok_1")
