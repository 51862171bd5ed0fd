from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from config.database import Database
from models.errors import ArtefactBroken, ModelNotFound, NameRefused
from models.intake import Prepared
from models.records import ModelRow, VersionRow
from models.register.registry import Registry
from models.versions import Version
from tests.models.conftest import MANIFEST_KEY, Register, Tenant, data_key


def _resolve(database: Database, registry: Registry, *asked: Any) -> Version:
    with database.read() as session:
        return registry.resolve(session, *asked)


def test_versions_are_numbered_from_one_in_each_model(register: Register, acme: Tenant) -> None:
    assert [register(acme).number, register(acme).number, register(acme).number] == [1, 2, 3]
    assert register(acme, "other").number == 1


def test_first_version_is_champion_until_another_is_promoted(
    database: Database, registry: Registry, register: Register, acme: Tenant
) -> None:
    register(acme)
    register(acme)
    assert _resolve(database, registry, acme, "linear").number == 1

    register(acme, promote=True)
    assert _resolve(database, registry, acme, "linear").number == 3


def test_version_is_found_by_number_digits_and_alias(
    database: Database, registry: Registry, register: Register, acme: Tenant
) -> None:
    register(acme)
    second = register(acme)
    with database.write() as session:
        registry.aliases.set(session, acme, "linear", "canary", 2, by="olga")

    for reference in (2, "2", "canary"):
        assert _resolve(database, registry, acme, "linear", reference) == second


def test_resolved_version_carries_the_whole_manifest(
    database: Database, registry: Registry, register: Register, acme: Tenant, demo: Prepared
) -> None:
    registered = register(acme)

    assert _resolve(database, registry, acme, "linear") == registered
    assert registered.manifest.contents == demo.contents
    assert registered.manifest.created_by == "operator:olga"
    assert registered.manifest.created_at == 1_700_000_000.0


@pytest.mark.parametrize(
    "asked",
    [
        ("absent", None),
        ("linear", 2),
        ("linear", 0),
        ("linear", -1),
        ("linear", 10**30),
        ("linear", "canary"),
        ("linear", "Champion"),
        ("linear", "0"),
        ("", None),
        ("LINEAR", None),
        ("lin%", None),
    ],
)
def test_what_is_not_there_is_not_found(
    database: Database, registry: Registry, register: Register, acme: Tenant, asked: Any
) -> None:
    register(acme)

    with pytest.raises(ModelNotFound):
        _resolve(database, registry, acme, *asked)


def test_another_tenants_model_looks_like_an_absent_one(
    database: Database, registry: Registry, register: Register, acme: Tenant, globex: Tenant
) -> None:
    register(acme, "secret")

    with pytest.raises(ModelNotFound) as others:
        _resolve(database, registry, globex, "secret", 1)
    with pytest.raises(ModelNotFound) as absent:
        _resolve(database, registry, acme, "absent", 1)

    assert str(others.value).replace("secret", "absent") == str(absent.value)


def test_oldest_model_is_the_default_until_another_is_set(
    database: Database, register: Register, acme: Tenant, globex: Tenant
) -> None:
    ticks = iter(range(100))
    registry = Registry(lambda _: MANIFEST_KEY, data_key, clock=lambda: float(next(ticks)))
    demo = register(globex, "z").manifest.contents
    for name in ("m", "a"):
        with database.write() as session:
            draft = registry.draft(session, acme, name, demo)
            registry.register(session, acme, draft, created_by="x")
    assert _resolve(database, registry, acme, None).model == "m"

    with database.write() as session:
        registry.set_default(session, acme, "a")

    assert _resolve(database, registry, acme, None).model == "a"
    assert _resolve(database, registry, globex, None).model == "z"
    with database.read() as session:
        assert [(m.name, m.is_default) for m in registry.models(session, acme)] == [
            ("a", True),
            ("m", False),
        ]


def test_tenant_without_models_has_no_default(
    database: Database, registry: Registry, register: Register, acme: Tenant, globex: Tenant
) -> None:
    register(acme)

    with pytest.raises(ModelNotFound, match="default"):
        _resolve(database, registry, globex, None)


def test_show_lists_versions_and_aliases(
    database: Database, registry: Registry, register: Register, acme: Tenant
) -> None:
    first, second = register(acme), register(acme)
    with database.write() as session:
        registry.aliases.set(session, acme, "linear", "canary", second.number, by="olga")
    with database.read() as session:
        model = registry.show(session, acme, "linear")

    assert [version.number for version in model.versions] == [first.number, second.number]
    assert model.aliases == {"canary": 2, "champion": 1}
    assert model.champion == first.number


def test_alias_moves_and_moves_back(
    database: Database, registry: Registry, register: Register, acme: Tenant
) -> None:
    register(acme)
    register(acme, promote=True)
    for number in (1, 2, 1):
        with database.write() as session:
            registry.aliases.set(session, acme, "linear", "champion", number, by="olga")
        assert _resolve(database, registry, acme, "linear").number == number


@pytest.mark.parametrize("name", ["", "A", "../x", "a/b", "-a", ".a", "a" * 64, "a\n", "a:b", "ä"])
def test_model_name_outside_the_rule_is_refused(
    register: Register, acme: Tenant, name: str
) -> None:
    with pytest.raises(NameRefused):
        register(acme, name)


def test_other_tenants_models_cannot_be_changed(
    database: Database, registry: Registry, register: Register, acme: Tenant, globex: Tenant
) -> None:
    register(acme)
    register(acme)

    with database.write() as session:
        with pytest.raises(ModelNotFound):
            registry.aliases.set(session, globex, "linear", "champion", 2, by="olga")
        with pytest.raises(ModelNotFound):
            registry.set_default(session, globex, "linear")
        registry.delete_tenant(session, globex)

    assert _resolve(database, registry, acme, "linear").number == 1


def test_deleting_a_tenant_removes_its_models_alone(
    database: Database, registry: Registry, register: Register, acme: Tenant, globex: Tenant
) -> None:
    register(acme)
    register(globex)

    with database.write() as session:
        registry.delete_tenant(session, acme)

    with database.read() as session:
        assert registry.models(session, acme) == ()
        assert len(session.scalars(select(VersionRow)).all()) == 1
    assert _resolve(database, registry, globex, "linear").tenant_id == "tnt_globex"


def _alter(database: Database, **values: Any) -> None:
    with database.write() as session:
        session.execute(update(VersionRow).where(VersionRow.number == 1).values(**values))


def test_edited_manifest_is_refused(
    database: Database, registry: Registry, register: Register, acme: Tenant
) -> None:
    text = register(acme).manifest.canonical().decode()
    edits = [
        text.replace('"engine":"linear"', '"engine":"native"'),
        text.replace('"columns":2', '"columns":3'),
        text.replace('"labels_differing":0', '"labels_differing":1'),
        text + " ",
        "{}",
        "",
    ]
    for edit in edits:
        assert edit != text
        _alter(database, manifest=edit)
        with pytest.raises(ArtefactBroken, match="signature"):
            _resolve(database, registry, acme, "linear")


def test_genuine_manifest_in_another_row_is_refused(
    database: Database, registry: Registry, register: Register, acme: Tenant, globex: Tenant
) -> None:
    register(acme)
    for other in (register(acme), register(acme, "other"), register(globex)):
        with database.read() as session:
            row = session.scalars(select(VersionRow).where(VersionRow.id == other.id)).one()
        with database.write() as session:
            own = select(ModelRow.id).where(
                ModelRow.tenant_id == acme.tenant_id, ModelRow.name == "linear"
            )
            session.execute(
                update(VersionRow)
                .where(VersionRow.number == 1, VersionRow.model_id.in_(own))
                .values(manifest=row.manifest, signature=row.signature)
            )
        with pytest.raises(ArtefactBroken, match="another version"):
            _resolve(database, registry, acme, "linear", 1)


def test_manifest_signed_with_another_key_is_refused(
    database: Database, register: Register, acme: Tenant
) -> None:
    register(acme)

    with pytest.raises(ArtefactBroken, match="signature"):
        _resolve(database, Registry(lambda _: b"another key" * 3, data_key), acme, "linear")


def test_row_pointing_at_another_artefact_is_refused(
    database: Database, registry: Registry, register: Register, acme: Tenant
) -> None:
    register(acme)
    _alter(database, digest="0" * 64)

    with pytest.raises(ArtefactBroken, match="another version"):
        _resolve(database, registry, acme, "linear")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["acme", "globex"]), st.sampled_from("ab")), max_size=6))
def test_what_one_tenant_sees_never_depends_on_another(
    database: Database, registry: Registry, demo: Prepared, steps: list[tuple[str, str]]
) -> None:
    tenants = {"acme": Tenant("t1"), "globex": Tenant("t2")}
    with database.write() as session:
        for scope in tenants.values():
            registry.delete_tenant(session, scope)
        for tenant, name in steps:
            draft = registry.draft(session, tenants[tenant], name, demo.contents)
            registry.register(session, tenants[tenant], draft, created_by="x")
    with database.read() as session:
        for tenant, scope in tenants.items():
            own = [name for owner, name in steps if owner == tenant]
            seen = {m.name: len(m.versions) for m in registry.models(session, scope)}
            assert seen == {name: own.count(name) for name in own}


def test_registering_twice_the_same_contents_makes_two_versions(
    register: Register, acme: Tenant
) -> None:
    first, second = register(acme), register(acme)

    assert first.digest == second.digest
    assert first.id != second.id
    assert replace(first.manifest, number=2) == second.manifest
