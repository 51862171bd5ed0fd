"""Aliases move between versions, and back the way they came."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.database import Database
from models.errors import (
    AliasNotFound,
    ChampionFixed,
    NameRefused,
    NothingToRollBack,
    VersionRetired,
)
from models.register.registry import Registry
from tests.models.conftest import Register, Tenant


@pytest.fixture
def four(register: Register, acme: Tenant) -> None:
    """A model with four versions."""
    for _ in range(4):
        register(acme)


def move(database: Database, registry: Registry, acme: Tenant, number: int, alias: str) -> None:
    with database.write() as session:
        registry.aliases.set(session, acme, "linear", alias, number, by="ada", reason="why")


def back(database: Database, registry: Registry, acme: Tenant, alias: str) -> tuple[int, int]:
    with database.write() as session:
        moved = registry.aliases.roll_back(session, acme, "linear", alias, by="ben")
    assert moved.is_rollback
    assert moved.from_number is not None
    assert moved.to_number is not None
    return moved.from_number, moved.to_number


@pytest.mark.usefixtures("four")
def test_a_rollback_goes_where_the_alias_pointed_before(
    database: Database, registry: Registry, acme: Tenant
) -> None:
    move(database, registry, acme, 3, "champion")
    with database.read() as session:
        assert registry.aliases.before(session, acme, "linear", "champion").number == 1

    assert back(database, registry, acme, "champion") == (3, 1)
    with database.read() as session:
        assert registry.resolve(session, acme, "linear").number == 1


@pytest.mark.usefixtures("four")
def test_each_rollback_takes_one_more_move_back(
    database: Database, registry: Registry, acme: Tenant
) -> None:
    for number in (2, 3):
        move(database, registry, acme, number, "champion")
    assert back(database, registry, acme, "champion") == (3, 2)

    move(database, registry, acme, 4, "champion")

    assert back(database, registry, acme, "champion") == (4, 2)
    assert back(database, registry, acme, "champion") == (2, 1)
    with database.write() as session, pytest.raises(NothingToRollBack):
        registry.aliases.roll_back(session, acme, "linear", "champion", by="ben")


@pytest.mark.usefixtures("four")
def test_a_move_to_where_it_points_already_is_no_move(
    database: Database, registry: Registry, acme: Tenant
) -> None:
    for number in (2, 2, 2):
        move(database, registry, acme, number, "champion")

    assert back(database, registry, acme, "champion") == (2, 1)


@pytest.mark.usefixtures("four")
def test_every_move_is_remembered_with_who_and_why(
    database: Database, registry: Registry, acme: Tenant
) -> None:
    move(database, registry, acme, 2, "canary")
    move(database, registry, acme, 3, "canary")
    back(database, registry, acme, "canary")
    with database.write() as session:
        registry.aliases.remove(session, acme, "linear", "canary", by="ada")
    with database.read() as session:
        moves = registry.aliases.moves(session, acme, "linear", "canary")
        every = registry.aliases.moves(session, acme, "linear")

    assert [(m.from_number, m.to_number, m.moved_by, m.is_rollback) for m in moves] == [
        (2, None, "ada", False),
        (3, 2, "ben", True),
        (2, 3, "ada", False),
        (None, 2, "ada", False),
    ]
    assert {m.reason for m in moves} == {"", "why"}
    assert len(every) == len(moves) + 1, "and the champion's own"


@pytest.mark.usefixtures("four")
def test_an_alias_says_where_a_rollback_would_lead(
    database: Database, registry: Registry, acme: Tenant
) -> None:
    move(database, registry, acme, 2, "canary")
    move(database, registry, acme, 4, "champion")
    with database.read() as session:
        found = registry.aliases.list(session, acme, "linear")
        shown = registry.aliases.show(session, acme, "linear", "champion")

    assert [(a.alias, a.version, a.previous) for a in found] == [
        ("canary", 2, None),
        ("champion", 4, 1),
    ]
    assert shown == found[1]


@pytest.mark.usefixtures("four")
def test_an_alias_made_anew_does_not_go_back_to_before_it_was_removed(
    database: Database, registry: Registry, acme: Tenant
) -> None:
    for number in (2, 3):
        move(database, registry, acme, number, "canary")
    with database.write() as session:
        registry.aliases.remove(session, acme, "linear", "canary", by="ada")
    move(database, registry, acme, 4, "canary")

    with database.write() as session, pytest.raises(NothingToRollBack):
        registry.aliases.roll_back(session, acme, "linear", "canary", by="ben")


@pytest.mark.usefixtures("four")
def test_a_rollback_to_what_was_retired_is_refused_and_changes_nothing(
    database: Database, registry: Registry, acme: Tenant
) -> None:
    move(database, registry, acme, 2, "champion")
    with database.write() as session:
        registry.life_cycle.retire(session, acme, "linear", 1)

    with pytest.raises(VersionRetired), database.write() as session:
        registry.aliases.roll_back(session, acme, "linear", "champion", by="ben")

    with database.write() as session:
        assert registry.resolve(session, acme, "linear").number == 2
        registry.life_cycle.activate(session, acme, "linear", 1)
    assert back(database, registry, acme, "champion") == (2, 1)


@pytest.mark.usefixtures("four")
def test_no_alias_points_at_what_is_retired(
    database: Database, registry: Registry, acme: Tenant
) -> None:
    with database.write() as session:
        registry.life_cycle.retire(session, acme, "linear", 2)
        with pytest.raises(VersionRetired):
            registry.aliases.set(session, acme, "linear", "canary", 2, by="ada")


@pytest.mark.usefixtures("four")
def test_the_champion_is_not_removed_and_an_absent_alias_is_not_found(
    database: Database, registry: Registry, acme: Tenant
) -> None:
    aliases = registry.aliases
    with database.write() as session:
        with pytest.raises(ChampionFixed):
            aliases.remove(session, acme, "linear", "champion", by="ada")
        for act in (
            lambda: aliases.remove(session, acme, "linear", "canary", by="ada"),
            lambda: aliases.roll_back(session, acme, "linear", "canary", by="ada"),
            lambda: aliases.before(session, acme, "linear", "canary"),
            lambda: aliases.show(session, acme, "linear", "canary"),
        ):
            with pytest.raises(AliasNotFound):
                act()


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize("alias", ["", "1", "9x", "a b", "Ä", "a" * 64, "a/b"])
def test_alias_that_reads_like_a_number_or_path_is_refused(
    database: Database, registry: Registry, acme: Tenant, alias: str
) -> None:
    with pytest.raises(NameRefused), database.write() as session:
        registry.aliases.set(session, acme, "linear", alias, 1, by="ada")


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.integers(0, 4), max_size=12))
def test_rollbacks_undo_moves_like_a_stack(
    database: Database, registry: Registry, register: Register, steps: list[int]
) -> None:
    """0 is a rollback, any other number a move to that version."""
    tenant = Tenant("tnt_stack")
    with database.write() as session:
        registry.delete_tenant(session, tenant)
    for _ in range(4):
        register(tenant)
    stack = [1]
    for step in steps:
        with database.write() as session:
            if step:
                registry.aliases.set(session, tenant, "linear", "champion", step, by="x")
                stack += [step] if step != stack[-1] else []
            elif len(stack) > 1:
                stack.pop()
                registry.aliases.roll_back(session, tenant, "linear", "champion", by="x")
        with database.read() as session:
            assert registry.resolve(session, tenant, "linear").number == stack[-1]
