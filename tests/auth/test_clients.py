"""Service accounts: what they may be given, and how they prove who they are."""

from __future__ import annotations

import hashlib
import math

import pytest
from sqlalchemy import select

from auth.clients import NewClient
from auth.errors import (
    CredentialsWrong,
    ExpiryRefused,
    GrantsExceeded,
    NameMalformed,
    NameTaken,
    NotFound,
)
from auth.permissions import Grants, parse_scope
from auth.records import ClientRow
from tests.auth.cast import Cast

PREDICT = parse_scope("predict:linear")
FINGERPRINT = hashlib.sha256(b"a public key").hexdigest()


@pytest.fixture
def robot(cast: Cast) -> NewClient:
    with cast.database.write() as session:
        return cast.clients.create(
            session,
            cast["ada"],
            "Robot",
            PREDICT,
            expires_at=cast.clock() + 60,
            certificate_digest=FINGERPRINT,
        )


def test_secret_and_certificate_both_prove_the_client(cast: Cast, robot: NewClient) -> None:
    with cast.database.read() as session:
        by_secret = cast.clients.authenticate(session, robot.client.id, robot.secret)
        by_certificate = cast.clients.authenticate_certificate(session, FINGERPRINT)
        assert by_secret == by_certificate == cast.principals.of(session, robot.client.id)
    assert str(by_secret) == "client:robot@acme"
    assert by_secret.grants == PREDICT


def test_secret_is_shown_once_and_stored_as_a_hash(cast: Cast, robot: NewClient) -> None:
    assert robot.secret not in repr(robot)
    assert len(robot.secret) == len("sps_") + 43
    with cast.database.read() as session:
        row = session.scalars(select(ClientRow)).one()
        assert robot.secret not in str(vars(row))


@pytest.mark.parametrize(
    ("client_id", "secret"),
    [
        ("mine", "wrong"),
        ("mine", ""),
        ("mine", "\ud800\x00"),
        ("cli_" + "0" * 24, "mine"),
        ("robot", "mine"),
        ("", ""),
        ("\x00", "mine"),
        ("usr_" + "0" * 24, "mine"),
    ],
)
def test_wrong_credentials_are_refused_alike(
    cast: Cast, robot: NewClient, client_id: str, secret: str
) -> None:
    client_id = robot.client.id if client_id == "mine" else client_id
    secret = robot.secret if secret == "mine" else secret
    with cast.database.read() as session, pytest.raises(CredentialsWrong):
        cast.clients.authenticate(session, client_id, secret)


def test_unknown_certificate_is_refused(cast: Cast, robot: NewClient) -> None:
    with cast.database.read() as session:
        for digest in ("", "0" * 64, FINGERPRINT.upper(), FINGERPRINT[:-1], "\x00"):
            with pytest.raises(CredentialsWrong):
                cast.clients.authenticate_certificate(session, digest)


def refused(cast: Cast, robot: NewClient) -> None:
    with cast.database.read() as session:
        assert cast.principals.of(session, robot.client.id) is None
        with pytest.raises(CredentialsWrong):
            cast.clients.authenticate(session, robot.client.id, robot.secret)
        with pytest.raises(CredentialsWrong):
            cast.clients.authenticate_certificate(session, FINGERPRINT)


def test_expired_client_is_refused(cast: Cast, robot: NewClient) -> None:
    cast.clock.advance(60)
    refused(cast, robot)


def test_client_of_a_suspended_tenant_is_refused(cast: Cast, robot: NewClient) -> None:
    with cast.database.write() as session:
        cast.tenants.suspend(session, "acme")
    refused(cast, robot)


def test_revoked_client_is_refused_and_frees_its_certificate(cast: Cast, robot: NewClient) -> None:
    with cast.database.write() as session:
        assert cast.clients.revoke(session, cast["ada"], "ROBOT").state == "revoked"
    refused(cast, robot)
    with cast.database.write() as session:
        cast.clients.create(session, cast["ada"], "second", PREDICT, certificate_digest=FINGERPRINT)
        assert cast.clients.authenticate_certificate(session, FINGERPRINT).name == "second"


@pytest.mark.parametrize(
    ("giver", "scope", "allowed"),
    [
        ("ada", "predict users clients audit", True),
        ("ada", "limits.write", False),
        ("ada", "metrics", False),
        ("ada", "tenants", False),
        ("ada", "keys", False),
        ("rob", "predict:linear", True),
        ("rob", "models.write", False),
        ("rob", "predict users", False),
        ("olga", "metrics", True),
        ("olga", "metrics keys tenants", True),
        ("olga", "predict", False),
        ("olga in acme", "predict users", True),
        ("olga in acme", "metrics", False),
        ("olga in acme", "tenants", False),
    ],
)
def test_nobody_hands_on_more_than_it_has(
    cast: Cast, giver: str, scope: str, allowed: bool
) -> None:
    acting = cast.operator_in("acme") if giver == "olga in acme" else cast[giver]
    with cast.database.write() as session:
        if allowed:
            created = cast.clients.create(session, acting, "robot", parse_scope(scope))
            assert created.client.grants == parse_scope(scope)
        else:
            with pytest.raises(GrantsExceeded):
                cast.clients.create(session, acting, "robot", parse_scope(scope))


@pytest.mark.parametrize(
    ("name", "grants", "expires_in", "digest", "error"),
    [
        ("", PREDICT, None, None, NameMalformed),
        ("a b", PREDICT, None, None, NameMalformed),
        ("robot", frozenset(), None, None, GrantsExceeded),
        ("robot", PREDICT, 0, None, ExpiryRefused),
        ("robot", PREDICT, math.inf, None, ExpiryRefused),
        ("robot", PREDICT, math.nan, None, ExpiryRefused),
        ("robot", PREDICT, None, "AB", NameMalformed),
    ],
)
def test_malformed_clients_are_refused(
    cast: Cast,
    name: str,
    grants: Grants,
    expires_in: float | None,
    digest: str | None,
    error: type[Exception],
) -> None:
    expires_at = None if expires_in is None else cast.clock() + expires_in
    with cast.database.write() as session, pytest.raises(error):
        cast.clients.create(
            session, cast["ada"], name, grants, expires_at=expires_at, certificate_digest=digest
        )


def test_other_tenants_clients_are_absent(cast: Cast, robot: NewClient) -> None:
    with cast.database.write() as session:
        assert cast.clients.list(session, cast["gail"]).items == ()
        for name in ("robot", robot.client.id, "nothing"):
            with pytest.raises(NotFound) as absent:
                cast.clients.find(session, cast["gail"], name)
            assert str(absent.value) == f"there is no service account {name!r}"
            with pytest.raises(NotFound):
                cast.clients.revoke(session, cast["gail"], name)
        cast.clients.create(session, cast["gail"], "robot", PREDICT)
        with pytest.raises(NameTaken):
            cast.clients.create(session, cast["ada"], "robot", PREDICT)
        assert cast.clients.list(session, cast["ada"]).items == (robot.client,)
        assert cast.clients.find(session, cast["ada"], robot.client.id) == robot.client
