"""Files of versions are sealed to the one version they belong to, whatever the store does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from config.sealing import Sealer
from models.errors import ArtefactBroken, ArtefactMissing
from models.intake import Prepared
from models.manifest import Manifest
from models.register.artefacts import Artefacts
from models.versions import Version
from tests.contracts.memory_store import MemoryStore

OTHER_SEALER = Sealer((bytes([1]) * 32,))
ROLE = "engine"


def _version(
    demo: Prepared,
    *,
    id: str = "ver_1",
    tenant: str = "tnt_acme",
    model: str = "m",
    number: int = 1,
) -> Version:
    manifest = Manifest(
        tenant_id=tenant,
        model=model,
        number=number,
        created_by="operator:olga",
        created_at=1.0,
        contents=demo.contents,
    )
    return Version(id, manifest)


@pytest.fixture
def memory() -> MemoryStore:
    """A store that the test may tamper with."""
    return MemoryStore()


@pytest.fixture
def artefacts(memory: MemoryStore) -> Artefacts:
    """What seals into it."""
    return Artefacts(memory)


@pytest.fixture
def version(demo: Prepared, artefacts: Artefacts, sealer: Sealer) -> Version:
    """A version whose files are stored."""
    version = _version(demo)
    for role, blob in demo.blobs.items():
        artefacts.put(version, role, blob, sealer)
    return version


def _address(version: Version, role: str = ROLE) -> str:
    return f"{version.tenant_id}/{version.files[role].digest}.{version.id}"


def test_files_come_back_to_the_bit_each_in_its_role(
    artefacts: Artefacts, version: Version, sealer: Sealer, demo: Prepared
) -> None:
    assert len(demo.blobs) > 1
    for role, blob in demo.blobs.items():
        assert artefacts.open(version, role, sealer) == blob


def test_the_store_sees_nothing_but_sealed_bytes(
    memory: MemoryStore, version: Version, demo: Prepared
) -> None:
    assert set(memory.files) == {_address(version, role) for role in demo.blobs}
    for role, blob in demo.blobs.items():
        assert blob not in memory.files[_address(version, role)]


def test_every_flipped_bit_is_found(
    artefacts: Artefacts, memory: MemoryStore, version: Version, sealer: Sealer
) -> None:
    whole = memory.files[_address(version)]

    for index in range(len(whole)):
        flipped = whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :]
        memory.files[_address(version)] = flipped
        with pytest.raises(ArtefactBroken):
            artefacts.open(version, ROLE, sealer)


def test_every_truncation_is_found(
    artefacts: Artefacts, memory: MemoryStore, version: Version, sealer: Sealer
) -> None:
    whole = memory.files[_address(version)]

    for length in range(len(whole)):
        memory.files[_address(version)] = whole[:length]
        with pytest.raises(ArtefactBroken):
            artefacts.open(version, ROLE, sealer)


@pytest.mark.parametrize(
    "other",
    [{"tenant": "tnt_globex"}, {"model": "n"}, {"id": "ver_2"}],
    ids=lambda other: next(iter(other)),
)
def test_file_swapped_from_another_place_does_not_open(
    artefacts: Artefacts,
    memory: MemoryStore,
    version: Version,
    sealer: Sealer,
    demo: Prepared,
    other: dict[str, Any],
) -> None:
    victim = _version(demo, **({"id": "ver_3"} | other))
    memory.files[_address(victim)] = memory.files[_address(version)]

    with pytest.raises(ArtefactBroken, match="seal"):
        artefacts.open(victim, ROLE, sealer)


def test_file_swapped_from_another_role_does_not_open(
    artefacts: Artefacts, memory: MemoryStore, version: Version, sealer: Sealer
) -> None:
    memory.files[_address(version)] = memory.files[_address(version, "model")]

    with pytest.raises(ArtefactBroken, match="seal"):
        artefacts.open(version, ROLE, sealer)


def test_another_versions_key_does_not_open_it(artefacts: Artefacts, version: Version) -> None:
    with pytest.raises(ArtefactBroken, match="seal"):
        artefacts.open(version, ROLE, OTHER_SEALER)


def test_missing_file_is_told_with_the_remedy(
    artefacts: Artefacts, version: Version, sealer: Sealer
) -> None:
    assert artefacts.holds(version)
    artefacts.delete(version)
    artefacts.delete(version)

    assert not artefacts.holds(version)
    with pytest.raises(ArtefactMissing, match="backup"):
        artefacts.open(version, ROLE, sealer)


def test_a_version_is_held_when_all_of_its_files_are(
    artefacts: Artefacts, memory: MemoryStore, version: Version
) -> None:
    del memory.files[_address(version, "model")]

    assert not artefacts.holds(version)


def test_file_of_another_digest_is_not_stored(
    artefacts: Artefacts, sealer: Sealer, demo: Prepared
) -> None:
    with pytest.raises(ArtefactBroken, match="digest"):
        artefacts.put(_version(demo), ROLE, demo.blobs[ROLE] + b"\0", sealer)


@pytest.mark.parametrize("tenant", ["..", "../globex", "", "a/b", "a\0b", "."])
def test_no_tenant_identifier_leads_out_of_its_place(
    artefacts: Artefacts, sealer: Sealer, demo: Prepared, tenant: str
) -> None:
    with pytest.raises(ArtefactBroken):
        artefacts.put(_version(demo, tenant=tenant), ROLE, demo.blobs[ROLE], sealer)
    with pytest.raises(ArtefactBroken):
        artefacts.delete_tenant(tenant)


def test_no_digest_leads_out_of_its_place(
    artefacts: Artefacts, sealer: Sealer, demo: Prepared
) -> None:
    files = {ROLE: replace(demo.contents.files[ROLE], digest="../../x")}
    version = _version(replace(demo, contents=replace(demo.contents, files=files)))

    with pytest.raises(ArtefactBroken):
        artefacts.open(version, ROLE, sealer)


def test_deleting_a_tenant_leaves_the_others(
    artefacts: Artefacts, version: Version, sealer: Sealer, demo: Prepared
) -> None:
    other = _version(demo, id="ver_2", tenant="tnt_globex")
    artefacts.put(other, ROLE, demo.blobs[ROLE], sealer)

    artefacts.delete_tenant("tnt_acme")
    artefacts.delete_tenant("tnt_acme")

    assert artefacts.open(other, ROLE, sealer) == demo.blobs[ROLE]
    with pytest.raises(ArtefactMissing):
        artefacts.open(version, ROLE, sealer)


def test_files_of_no_version_are_strays(
    artefacts: Artefacts, memory: MemoryStore, version: Version, sealer: Sealer, demo: Prepared
) -> None:
    lost = _version(demo, id="ver_2")
    artefacts.put(lost, ROLE, demo.blobs[ROLE], sealer)

    assert artefacts.strays("tnt_acme", [version]) == {_address(lost)}
    assert artefacts.strays("tnt_acme", [version, lost]) == set()
    assert artefacts.strays("tnt_globex", []) == set()
