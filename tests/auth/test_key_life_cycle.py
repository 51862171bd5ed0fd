"""Every interleaving of rotations, revocations and time, against what must always hold."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select

from auth.errors import KeyNotReady, TokenRefused
from auth.keys import KeyRing
from auth.permissions import Role, grants_of_role
from auth.records import SigningKeyRow
from auth.scope import Principal
from auth.tokens import AccessTokens
from config.database import Database
from config.sealing import Sealer
from config.settings import Settings
from tests.auth.clock import Clock

ROB = Principal("user", "usr_rob", "rob", "ten_acme", "acme", grants_of_role(Role.CALLER))
SHORT = Settings(instance=Path("instance"), master_keys=(bytes(32),), access_seconds=60)


class KeyLifeCycle(RuleBasedStateMachine):
    """A key ring, an operator who does anything at any time, and callers with tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.database = Database(f"sqlite:///{self.folder / 'sallyport.db'}")
        SigningKeyRow.metadata.create_all(
            self.database.engine, tables=[SigningKeyRow.metadata.tables["signing_keys"]]
        )
        self.clock = Clock()
        self.ring = KeyRing(Sealer(SHORT.master_keys), SHORT, self.clock)
        self.tokens = AccessTokens(SHORT)
        self.minted: list[tuple[str, str, float]] = []  # kid, token, expiry
        self.revoked: set[str] = set()
        self.kids: list[str] = []  # as they appeared: names are random, their order is not

    def teardown(self) -> None:
        self.database.close()
        shutil.rmtree(self.folder)

    @initialize()
    def begin(self) -> None:
        with self.database.write() as session:
            self.ring.ensure(session)

    @rule(emergency=st.booleans())
    def rotate(self, emergency: bool) -> None:
        try:
            with self.database.write() as session:
                self.ring.rotate(session, emergency=emergency)
        except KeyNotReady:
            assert not emergency

    @rule(age=st.integers(0, 5))
    def revoke(self, age: int) -> None:
        kid = self.kids[-1 - age % len(self.kids)]
        with self.database.write() as session:
            self.ring.revoke(session, kid)
        self.revoked.add(kid)

    @rule()
    def expire(self) -> None:
        with self.database.write() as session:
            self.ring.expire(session)

    @rule()
    def ensure(self) -> None:
        with self.database.write() as session:
            self.ring.ensure(session)

    @rule(seconds=st.sampled_from([0.25, 1, 11, 12, 13, 59, 60, 61, 89, 90, 91]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def mint(self) -> None:
        with self.database.read() as session:
            token, claims = self.tokens.mint(self.ring.signer(session), ROB, self.clock())
        self.minted.append((claims.kid, token, claims.expires_at))

    @invariant()
    def keys_are_remembered_for_ever(self) -> None:
        with self.database.read() as session:
            states = {key.kid: key.state for key in self.ring.list(session)}
        assert set(self.kids) <= set(states)
        self.kids += sorted(set(states) - set(self.kids), key=lambda kid: states[kid])

    @invariant()
    def tokens_of_keys_not_revoked_verify_until_they_expire(self) -> None:
        with self.database.read() as session:
            verifiers = self.ring.verifiers(session)
        for kid, token, expiry in self.minted:
            if kid in self.revoked or self.clock() >= expiry + SHORT.leeway_seconds:
                with pytest.raises(TokenRefused):
                    self.tokens.read(token, verifiers, self.clock())
            else:
                assert self.tokens.read(token, verifiers, self.clock()).kid == kid

    @invariant()
    def exactly_one_key_signs_and_one_is_next(self) -> None:
        with self.database.read() as session:
            states = [key.state for key in self.ring.list(session)]
        if states:
            assert (states.count("active"), states.count("next")) == (1, 1)

    @invariant()
    def only_keys_that_sign_or_will_have_a_private_half(self) -> None:
        with self.database.read() as session:
            for row in session.scalars(select(SigningKeyRow)):
                assert (row.private_sealed is not None) == (row.state in ("active", "next"))

    @invariant()
    def nothing_revoked_is_published(self) -> None:
        with self.database.read() as session:
            published: list[Any] = list(self.ring.jwks(session)["keys"])
        assert not self.revoked & {key["kid"] for key in published}


TestKeyLifeCycle = KeyLifeCycle.TestCase
TestKeyLifeCycle.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
