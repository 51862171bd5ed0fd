"""Sessions: refresh tokens rotate, and a token used twice ends its family."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import func, select

from auth.errors import RefreshRefused
from auth.permissions import parse_scope
from auth.records import RefreshTokenRow, SessionRow, TenantRow
from auth.scope import Principal
from auth.sessions import Issued, Reused, Sessions
from config.database import Base, Database
from config.settings import Settings
from tests.auth.cast import Cast
from tests.auth.clock import Clock

GRANTS = parse_scope("predict:linear account")


def start(cast: Cast, username: str = "ada") -> Issued:
    with cast.database.write() as session:
        return cast.sessions.start(session, cast[username].principal, GRANTS)


def refresh(cast: Cast, token: str) -> Issued | Reused:
    with cast.database.write() as session:
        return cast.sessions.refresh(session, token)


def is_active(cast: Cast, session_id: str) -> bool:
    with cast.database.read() as session:
        return cast.sessions.is_active(session, session_id)


def test_refresh_gives_a_successor_and_remembers_the_login(cast: Cast) -> None:
    first = start(cast)
    cast.clock.advance(600)
    second = refresh(cast, first.refresh_token)
    assert isinstance(second, Issued)
    assert second.session == first.session
    assert second.session.grants == GRANTS
    assert second.session.subject_id == cast["ada"].principal.id
    assert second.refresh_token != first.refresh_token
    assert first.refresh_token not in repr(first)


def test_tokens_are_stored_only_as_hashes(cast: Cast) -> None:
    token = start(cast).refresh_token
    with cast.database.read() as session:
        assert token not in session.scalars(select(RefreshTokenRow.digest)).one()


def test_lost_answer_is_given_again_within_the_grace_period(cast: Cast) -> None:
    first = start(cast).refresh_token
    lost = refresh(cast, first)
    cast.clock.advance(cast.settings.refresh_grace_seconds - 1)
    again = refresh(cast, first)
    assert isinstance(lost, Issued)
    assert isinstance(again, Issued)
    cast.clock.advance(600)
    assert isinstance(refresh(cast, again.refresh_token), Issued)


def test_grace_period_does_not_grow_by_use(cast: Cast) -> None:
    first = start(cast).refresh_token
    refresh(cast, first)
    for _ in range(3):
        cast.clock.advance(3)
        assert isinstance(refresh(cast, first), Issued)
    cast.clock.advance(1)
    assert isinstance(refresh(cast, first), Reused)


def test_clock_set_back_does_not_stretch_the_grace_period(cast: Cast) -> None:
    first = start(cast).refresh_token
    refresh(cast, first)
    cast.clock.advance(-3600)
    assert isinstance(refresh(cast, first), Reused)


def test_reuse_ends_the_whole_family_for_good(cast: Cast) -> None:
    stolen = start(cast)
    successor = refresh(cast, stolen.refresh_token)
    assert isinstance(successor, Issued)
    cast.clock.advance(60)
    reused = refresh(cast, stolen.refresh_token)
    assert isinstance(reused, Reused)
    assert reused.session.subject_id == cast["ada"].principal.id
    assert "used before" in str(reused.refusal)
    assert not is_active(cast, stolen.session.id)
    for token in (stolen.refresh_token, successor.refresh_token):
        with pytest.raises(RefreshRefused, match="ended"):
            refresh(cast, token)


def test_thief_within_the_grace_period_is_found_out(cast: Cast) -> None:
    """Both hold a successor of one token; only the newest is unused."""
    first = start(cast).refresh_token
    owners, thiefs = refresh(cast, first), refresh(cast, first)
    assert isinstance(owners, Issued)
    assert isinstance(thiefs, Issued)
    cast.clock.advance(600)
    assert isinstance(refresh(cast, thiefs.refresh_token), Issued)
    assert isinstance(refresh(cast, owners.refresh_token), Reused)
    assert not is_active(cast, thiefs.session.id)


def test_session_expires_however_often_it_is_refreshed(cast: Cast) -> None:
    issued = start(cast)
    step = cast.settings.refresh_seconds / 4
    token = issued.refresh_token
    for _ in range(3):
        cast.clock.advance(step)
        successor = refresh(cast, token)
        assert isinstance(successor, Issued)
        token = successor.refresh_token
    cast.clock.advance(step)
    with pytest.raises(RefreshRefused, match="expired"):
        refresh(cast, token)
    assert not is_active(cast, issued.session.id)


@pytest.mark.parametrize(
    "token", ["", "spr_", "spr_" + "a" * 43, "a" * 47, "\x00", "spr_" + "\ud800" * 43, "x" * 10**6]
)
def test_unknown_tokens_are_refused(cast: Cast, token: str) -> None:
    start(cast)
    with pytest.raises(RefreshRefused):
        refresh(cast, token)


def test_ended_session_refreshes_no_more(cast: Cast) -> None:
    issued, other = start(cast), start(cast)
    with cast.database.write() as session:
        assert cast.sessions.end(session, issued.session.id)
        assert not cast.sessions.end(session, issued.session.id)
        assert not cast.sessions.end(session, "ses_0")
    with pytest.raises(RefreshRefused):
        refresh(cast, issued.refresh_token)
    assert not is_active(cast, issued.session.id)
    assert is_active(cast, other.session.id)


def test_all_sessions_of_one_subject_end_but_the_one_to_keep(cast: Cast) -> None:
    first, kept, robs = start(cast), start(cast), start(cast, "rob")
    ada = cast["ada"].principal.id
    with cast.database.write() as session:
        assert cast.sessions.end_all(session, ada, keep=kept.session.id) == 1
    assert not is_active(cast, first.session.id)
    assert is_active(cast, kept.session.id)
    with cast.database.write() as session:
        assert cast.sessions.end_all(session, ada) == 1
    assert not is_active(cast, kept.session.id)
    assert is_active(cast, robs.session.id)


def test_looking_at_a_token_does_not_use_it(cast: Cast) -> None:
    issued = start(cast)
    with cast.database.read() as session:
        assert cast.sessions.owner_of(session, issued.refresh_token) == issued.session
        assert cast.sessions.is_live(session, issued.refresh_token)
        assert not cast.sessions.is_live(session, "spr_" + "a" * 43)
    refresh(cast, issued.refresh_token)
    cast.clock.advance(60)
    with cast.database.read() as session:
        assert not cast.sessions.is_live(session, issued.refresh_token)
    assert is_active(cast, issued.session.id)


def test_purge_deletes_what_is_over_and_keeps_what_shows_reuse(cast: Cast) -> None:
    ended, live = start(cast), start(cast)
    refresh(cast, live.refresh_token)
    with cast.database.write() as session:
        cast.sessions.end(session, ended.session.id)
        assert cast.sessions.purge(session) == 0
    cast.clock.advance(cast.settings.access_seconds + cast.settings.leeway_seconds)
    with cast.database.write() as session:
        assert cast.sessions.purge(session) == 1
    with pytest.raises(RefreshRefused):
        refresh(cast, ended.refresh_token)
    assert isinstance(refresh(cast, live.refresh_token), Reused)
    cast.clock.advance(cast.settings.refresh_seconds)
    with cast.database.write() as session:
        assert cast.sessions.purge(session) == 1
        for table in (SessionRow, RefreshTokenRow):
            assert not session.scalar(select(func.count()).select_from(table))


def test_deleted_tenant_takes_its_sessions_along(cast: Cast) -> None:
    issued = start(cast)
    with cast.database.write() as session:
        cast.tenants.delete(session, "acme")
    assert not is_active(cast, issued.session.id)
    with pytest.raises(RefreshRefused):
        refresh(cast, issued.refresh_token)


def test_refreshes_at_once_follow_one_another(cast: Cast) -> None:
    """Without a grace period one of them wins, and the next one ends the family."""
    settings = replace(cast.settings, refresh_grace_seconds=0)
    sessions = Sessions(settings, cast.clock)
    token = start(cast).refresh_token
    together = threading.Barrier(4)
    outcomes: list[str] = []

    def run() -> None:
        together.wait(30)
        try:
            with cast.database.write() as session:
                outcomes.append(type(sessions.refresh(session, token)).__name__)
        except RefreshRefused:
            outcomes.append("refused")

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["Issued", "Reused", "refused", "refused"]


class Rotation(RuleBasedStateMachine):
    """Any order of refreshes, pauses and ends, against a model of what must answer."""

    def __init__(self) -> None:
        super().__init__()
        settings = Settings(instance=Path("instance"), master_keys=(bytes(32),))
        settings = replace(settings, refresh_seconds=300)
        self.clock = Clock()
        self.grace = settings.refresh_grace_seconds
        self.sessions = Sessions(settings, self.clock)
        self.database = Database("sqlite://")
        names = ("tenants", "sessions", "refresh_tokens")
        Base.metadata.create_all(self.database.engine, [Base.metadata.tables[n] for n in names])
        self.tokens: list[str] = []
        self.used: dict[str, float] = {}
        self.over = False

    @initialize()
    def log_in(self) -> None:
        with self.database.write() as session:
            session.add(
                TenantRow(
                    id="ten", name="t", state="active", plan="free", data_key=b"", created_at=0.0
                )
            )
            session.flush()
            principal = Principal("user", "usr", "ada", "ten", "t", GRANTS)
            issued = self.sessions.start(session, principal, GRANTS)
        self.session = issued.session
        self.tokens.append(issued.refresh_token)

    @rule(seconds=st.sampled_from([0.0, 1.0, 4.0, 9.0, 10.0, 11.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(back=st.integers(0, 3))
    def refresh(self, back: int) -> None:
        token = self.tokens[max(0, len(self.tokens) - 1 - back)]
        expected = self.expected(token)
        with self.database.write() as session:
            if expected == "refused":
                with pytest.raises(RefreshRefused):
                    self.sessions.refresh(session, token)
                return
            outcome = self.sessions.refresh(session, token)
        if expected == "reused":
            assert isinstance(outcome, Reused)
            self.over = True
            return
        assert isinstance(outcome, Issued)
        for other in self.tokens:
            self.used.setdefault(other, self.clock())
        self.tokens.append(outcome.refresh_token)

    @precondition(lambda self: len(self.tokens) > 3)
    @rule()
    def log_out(self) -> None:
        with self.database.write() as session:
            self.sessions.end(session, self.session.id)
        self.over = True

    @rule()
    def purge(self) -> None:
        with self.database.write() as session:
            self.sessions.purge(session)

    @invariant()
    def session_is_active_unless_over(self) -> None:
        if self.tokens:
            with self.database.read() as session:
                live = self.sessions.is_active(session, self.session.id)
            assert live == (not self.over and self.clock() < self.session.expires_at)

    def expected(self, token: str) -> str:
        if self.over or self.clock() >= self.session.expires_at:
            return "refused"
        newest = token == self.tokens[-1]
        in_grace = token in self.used and self.clock() - self.used[token] < self.grace
        return "issued" if newest or in_grace else "reused"

    def teardown(self) -> None:
        self.database.close()


Rotation.TestCase.settings = hypothesis_settings(
    max_examples=60, stateful_step_count=25, deadline=None
)
TestRotation = Rotation.TestCase
