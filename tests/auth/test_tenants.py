"""Tenants: their names, their keys, and the operators' own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import func, select, update

from auth.errors import NameMalformed, NameTaken, NotFound, PlanUnknown, PlatformTenantFixed
from auth.records import ClientRow, LimitRow, RecoveryCodeRow, SessionRow, TenantRow, UserRow
from auth.tenants import Tenants
from config.database import Database
from config.errors import SealBroken
from config.sealing import Sealer
from tests.auth.cast import Cast


def test_each_tenant_has_a_data_key_of_its_own(cast: Cast) -> None:
    with cast.database.read() as session:
        keys = {cast.tenants.data_key(session, cast[name]) for name in ("ada", "gail", "olga")}
        assert cast.tenants.data_key(session, cast["ben"]) in keys
    assert {len(key) for key in keys} == {32}
    assert len(keys) == 3


def test_data_key_moved_to_another_tenant_does_not_open(cast: Cast) -> None:
    with cast.database.write() as session:
        stolen = session.scalar(select(TenantRow.data_key).where(TenantRow.name == "globex"))
        session.execute(update(TenantRow).where(TenantRow.name == "acme").values(data_key=stolen))
    with cast.database.read() as session, pytest.raises(SealBroken):
        cast.tenants.data_key(session, cast["ada"])


def test_resealed_keys_open_under_the_new_master_key_alone(cast: Cast) -> None:
    old, new = cast.settings.master_keys[0], bytes(reversed(range(32)))
    with cast.database.read() as session:
        before = cast.tenants.data_key(session, cast["ada"])
    with cast.database.write() as session:
        assert Tenants(Sealer((new, old))).reseal(session) == 3
    with cast.database.read() as session:
        assert Tenants(Sealer((new,))).data_key(session, cast["ada"]) == before


@pytest.mark.parametrize(
    "name",
    ["", "A", "Acme", "-a", "a-", "a.b", "a_b", "a b", "ä", "a" * 64, "a\n", "platform", "a/../b"],
)
def test_malformed_and_reserved_names_are_refused(cast: Cast, name: str) -> None:
    with cast.database.write() as session, pytest.raises(NameMalformed):
        cast.tenants.create(session, name)


def test_taken_name_is_refused_and_the_transaction_lives_on(cast: Cast) -> None:
    with cast.database.write() as session:
        with pytest.raises(NameTaken):
            cast.tenants.create(session, "acme")
        cast.tenants.create(session, "a" * 63)
    with cast.database.read() as session:
        assert cast.tenants.find(session, "a" * 63).state == "active"


def test_tenants_are_listed_in_pages(cast: Cast) -> None:
    seen: list[str] = []
    after: str | None = None
    with cast.database.read() as session:
        while True:
            page = cast.tenants.list(session, after=after, limit=2)
            seen += [tenant.name for tenant in page.items]
            after = page.next
            if after is None:
                break
    assert seen == ["acme", "globex", "platform"]


def test_platform_tenant_is_made_once_and_stays(cast: Cast) -> None:
    with cast.database.write() as session:
        first = cast.tenants.ensure_platform(session)
        assert cast.tenants.ensure_platform(session) == first
        for act in (cast.tenants.suspend, cast.tenants.delete):
            with pytest.raises(PlatformTenantFixed):
                act(session, "platform")


def test_suspended_tenant_has_no_principals_until_it_is_resumed(cast: Cast) -> None:
    ada = cast["ada"].principal.id
    with cast.database.write() as session:
        assert cast.tenants.suspend(session, "acme").state == "suspended"
    with cast.database.read() as session:
        assert cast.principals.of(session, ada) is None
        assert cast.principals.of(session, cast["gail"].principal.id) == cast["gail"].principal
    with cast.database.write() as session:
        cast.tenants.resume(session, "acme")
        assert cast.principals.of(session, ada) == cast["ada"].principal


def test_deleted_tenant_leaves_no_row_and_no_key(cast: Cast) -> None:
    with cast.database.write() as session:
        cast.sessions.start(session, cast["ada"].principal, cast["ada"].principal.grants)
        cast.clients.create(session, cast["ada"], "robot", cast["rob"].principal.grants)
        cast.plans.set(session, cast.operator_in("acme"), rows_per_day=5)
        session.add(RecoveryCodeRow(user_id=cast["ada"].principal.id, digest="0" * 64))
    with cast.database.write() as session:
        cast.tenants.delete(session, "acme")
    acme = cast["ada"].tenant_id
    with cast.database.read() as session:
        for table in (UserRow, ClientRow, SessionRow, LimitRow):
            assert not session.scalar(select(func.count()).where(table.tenant_id == acme))
        assert not session.scalar(select(func.count()).select_from(RecoveryCodeRow))
        assert cast.user("gail").state == "active"
        with pytest.raises(NotFound):
            cast.tenants.data_key(session, cast["ada"])
        with pytest.raises(NotFound):
            cast.tenants.find(session, "acme")


def test_plan_changes_only_to_one_that_exists(cast: Cast) -> None:
    with cast.database.write() as session:
        assert cast.tenants.set_plan(session, "acme", "free").plan == "free"
        with pytest.raises(PlanUnknown, match="free, standard, unlimited"):
            cast.tenants.set_plan(session, "acme", "gold")
        with pytest.raises(PlanUnknown):
            cast.tenants.create(session, "initech", plan="gold")


def test_unknown_tenant_and_one_that_was_deleted_look_the_same(
    database: Database, sealer: Sealer
) -> None:
    tenants = Tenants(sealer)
    with database.write() as session:
        created = tenants.create(session, "acme")
        tenants.delete(session, "acme")
        again = tenants.create(session, "acme")
        assert again.id != created.id
        assert replace(again, id=created.id, created_at=created.created_at) == created
        for name in ("initech", "\x00", "\ud800", "x" * 10_000):
            with pytest.raises(NotFound):
                tenants.find(session, name)
