"""Versions are retired, pinned and deleted; nothing that is pointed at goes away."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from config.database import Database
from config.errors import SealBroken
from models.errors import (
    ModelNotFound,
    ModelsError,
    VersionDeleted,
    VersionInUse,
    VersionOutdated,
    VersionPinned,
    VersionRetired,
)
from models.records import RouteRow, VersionRow
from models.register.registry import Registry
from tests.models.conftest import Register, Tenant


@pytest.fixture
def two(register: Register, acme: Tenant) -> None:
    """A model with two versions, the first of them champion."""
    register(acme)
    register(acme)


def _route(definition: str) -> dict[str, Any]:
    return {
        "definition": definition,
        "revision": 1,
        "note": "",
        "created_by": "x",
        "created_at": 1.0,
    }


@pytest.mark.usefixtures("two")
def test_a_retired_version_answers_nothing_until_it_is_active_again(
    database: Database, registry: Registry, acme: Tenant
) -> None:
    with database.write() as session:
        assert registry.life_cycle.retire(session, acme, "linear", 2).state == "retired"
    with database.read() as session:
        with pytest.raises(VersionRetired):
            registry.resolve(session, acme, "linear", 2)
        assert registry.find(session, acme, "linear", 2).state == "retired"
        assert registry.resolve(session, acme, "linear").number == 1

    with database.write() as session:
        registry.life_cycle.activate(session, acme, "linear", 2)
    with database.read() as session:
        assert registry.resolve(session, acme, "linear", 2).number == 2


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize("act", ["retire", "delete"])
def test_what_an_alias_or_a_route_points_at_stays(
    database: Database, registry: Registry, acme: Tenant, act: str
) -> None:
    definition = '{"split": [{"version": "champion", "weight": 9}, {"version": 2, "weight": 1}]}'
    with database.write() as session:
        with pytest.raises(VersionInUse, match="champion"):
            getattr(registry.life_cycle, act)(session, acme, "linear", 1)
        registry.aliases.set(session, acme, "linear", "canary", 2, by="olga")
        with pytest.raises(VersionInUse, match="canary"):
            getattr(registry.life_cycle, act)(session, acme, "linear", 2)
        registry.aliases.remove(session, acme, "linear", "canary", by="olga")
        model_id = session.scalars(select(VersionRow.model_id)).first()
        session.add(RouteRow(model_id=model_id, **_route(definition)))
        session.flush()
        with pytest.raises(VersionInUse, match="route"):
            getattr(registry.life_cycle, act)(session, acme, "linear", 2)


@pytest.mark.usefixtures("two")
def test_an_alias_of_a_route_is_not_removed(
    database: Database, registry: Registry, acme: Tenant
) -> None:
    definition = '{"split": [{"version": 1, "weight": 9}, {"version": "canary", "weight": 1}]}'
    with database.write() as session:
        registry.aliases.set(session, acme, "linear", "canary", 2, by="olga")
        model_id = session.scalars(select(VersionRow.model_id)).first()
        session.add(RouteRow(model_id=model_id, **_route(definition)))
        session.flush()
        with pytest.raises(VersionInUse, match="route"):
            registry.aliases.remove(session, acme, "linear", "canary", by="olga")


def test_a_deleted_version_has_no_key_and_its_number_is_not_given_again(
    database: Database, registry: Registry, register: Register, acme: Tenant
) -> None:
    register(acme)
    second = register(acme)
    with database.read() as session:
        registry.sealer(session, second)

    with database.write() as session:
        assert registry.life_cycle.delete(session, acme, "linear", 2).state == "deleted"

    with database.read() as session:
        with pytest.raises(VersionDeleted):
            registry.sealer(session, second)
        with pytest.raises(VersionDeleted):
            registry.resolve(session, acme, "linear", 2)
        row = session.scalars(select(VersionRow).where(VersionRow.number == 2)).one()
        assert row.sealed_key is None
        kept = registry.find(session, acme, "linear", 2)
        assert kept.version is not None
        assert kept.version.manifest == second.manifest, "for the record"
        listed = registry.show(session, acme, "linear").versions
        assert [version.number for version in listed] == [1]
    assert register(acme).number == 3


@pytest.mark.usefixtures("two")
def test_nothing_becomes_of_a_deleted_version(
    database: Database, registry: Registry, acme: Tenant
) -> None:
    life = registry.life_cycle
    with database.write() as session:
        life.delete(session, acme, "linear", 2)
        for act in (
            lambda: life.delete(session, acme, "linear", 2),
            lambda: life.retire(session, acme, "linear", 2),
            lambda: life.activate(session, acme, "linear", 2),
            lambda: life.pin(session, acme, "linear", 2, pinned=True),
            lambda: registry.aliases.set(session, acme, "linear", "canary", 2, by="olga"),
        ):
            with pytest.raises(VersionDeleted):
                act()


@pytest.mark.usefixtures("two")
def test_a_pinned_version_is_not_deleted(
    database: Database, registry: Registry, acme: Tenant
) -> None:
    with database.write() as session:
        assert registry.life_cycle.pin(session, acme, "linear", 2, pinned=True).pinned
        with pytest.raises(VersionPinned):
            registry.life_cycle.delete(session, acme, "linear", 2)
        with pytest.raises(VersionPinned):
            registry.life_cycle.delete_model(session, acme, "linear", by="olga")
        registry.life_cycle.pin(session, acme, "linear", 2, pinned=False)
        registry.life_cycle.delete(session, acme, "linear", 2)


def test_each_version_has_a_key_of_its_own(
    database: Database, registry: Registry, register: Register, acme: Tenant
) -> None:
    first, second = register(acme), register(acme)
    with database.read() as session:
        sealed = registry.sealer(session, first).seal(b"x", {})
        with pytest.raises(SealBroken):
            registry.sealer(session, second).open(sealed, {})
        assert registry.sealer(session, first).open(sealed, {}) == b"x"


def test_a_key_moved_to_another_version_does_not_open(
    database: Database, registry: Registry, register: Register, acme: Tenant, globex: Tenant
) -> None:
    first = register(acme)
    for other in (register(acme), register(globex)):
        with database.write() as session:
            row = session.get_one(VersionRow, first.id)
            row.sealed_key = session.get_one(VersionRow, other.id).sealed_key
        with database.read() as session, pytest.raises(SealBroken):
            registry.sealer(session, first)


def test_a_deleted_model_is_gone_and_a_new_one_goes_on_counting(
    database: Database, registry: Registry, register: Register, acme: Tenant
) -> None:
    register(acme)
    register(acme)
    register(acme, "other")
    with database.write() as session:
        registry.set_default(session, acme, "linear")
        deleted = registry.life_cycle.delete_model(session, acme, "linear", by="olga")
        assert [entry.number for entry in deleted] == [1, 2]

    with database.read() as session:
        assert [model.name for model in registry.models(session, acme)] == ["other"]
        assert registry.resolve(session, acme, None).model == "other"
        for reference in (None, 1, "champion"):
            with pytest.raises(ModelNotFound):
                registry.find(session, acme, "linear", reference)
        keys = session.scalars(select(VersionRow.sealed_key).where(VersionRow.number == 2)).all()
        assert keys == [None]
    third = register(acme)
    assert third.number == 3
    with database.read() as session:
        assert registry.resolve(session, acme, "linear") == third
        assert registry.aliases.list(session, acme, "linear")[0].previous is None


def test_a_version_of_an_earlier_release_is_shown_and_not_served(
    database: Database, registry: Registry, register: Register, acme: Tenant
) -> None:
    first = register(acme)
    with database.write() as session:
        row = session.get_one(VersionRow, first.id)
        row.sealed_key, row.manifest = None, '{"schema":1}'

    with database.read() as session:
        assert registry.find(session, acme, "linear").state == "outdated"
        assert registry.show(session, acme, "linear").versions[0].state == "outdated"
        assert list(registry.kept(session, acme)) == []
        with pytest.raises(VersionOutdated, match="import its file again"):
            registry.resolve(session, acme, "linear")

    second = register(acme)
    with database.write() as session:
        assert registry.resolve(session, acme, "linear") == second, "it became the champion"
        assert registry.life_cycle.delete(session, acme, "linear", 1).state == "deleted"
    with database.read() as session:
        assert registry.find(session, acme, "linear", 1).state == "deleted"


def test_versions_are_paged_newest_first_with_deleted_ones(
    database: Database, registry: Registry, register: Register, acme: Tenant
) -> None:
    for _ in range(5):
        register(acme)
    with database.write() as session:
        registry.life_cycle.delete(session, acme, "linear", 4)
        registry.life_cycle.retire(session, acme, "linear", 3)
    with database.read() as session:
        page = registry.page(session, acme, "linear", limit=3)
        rest = registry.page(session, acme, "linear", before=3, limit=3)
    assert [(entry.number, entry.state) for entry in page] == [
        (5, "active"),
        (4, "deleted"),
        (3, "retired"),
    ]
    assert [entry.number for entry in rest] == [2, 1]


@pytest.mark.usefixtures("two")
def test_another_tenants_versions_are_out_of_reach(
    database: Database, registry: Registry, globex: Tenant
) -> None:
    life = registry.life_cycle
    with database.write() as session:
        for act in (
            lambda: life.retire(session, globex, "linear", 2),
            lambda: life.activate(session, globex, "linear", 2),
            lambda: life.pin(session, globex, "linear", 2, pinned=True),
            lambda: life.delete(session, globex, "linear", 2),
            lambda: life.delete_model(session, globex, "linear", by="gail"),
            lambda: registry.page(session, globex, "linear"),
            lambda: registry.find(session, globex, "linear", 2),
            lambda: registry.aliases.list(session, globex, "linear"),
            lambda: registry.aliases.moves(session, globex, "linear"),
            lambda: registry.aliases.roll_back(session, globex, "linear", "champion", by="g"),
            lambda: registry.aliases.remove(session, globex, "linear", "champion", by="g"),
        ):
            with pytest.raises(ModelNotFound):
                act()


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize("state", ["retired", "deleted"])
def test_even_an_alias_forced_onto_it_does_not_serve_what_is_out_of_service(
    database: Database, registry: Registry, acme: Tenant, state: str
) -> None:
    with database.write() as session:
        for row in session.scalars(select(VersionRow).where(VersionRow.number == 1)):
            row.state = state
    with database.read() as session, pytest.raises(ModelsError, match=state):
        registry.resolve(session, acme, "linear")
