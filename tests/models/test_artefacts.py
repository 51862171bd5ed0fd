from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from config.sealing import Sealer
from models.artefacts import FolderStore
from models.errors import ArtefactBroken, ArtefactMissing
from models.intake import Prepared
from models.manifest import Manifest
from models.versions import Version

OTHER_SEALER = Sealer((bytes([1]) * 32,))


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


def _with_digest(prepared: Prepared, digest: str) -> Prepared:
    files = {role: replace(file, digest=digest) for role, file in prepared.contents.files.items()}
    return replace(prepared, contents=replace(prepared.contents, files=files))


@pytest.fixture
def version(demo: Prepared, store: FolderStore, sealer: Sealer) -> Version:
    """A version whose artefact is stored."""
    version = _version(demo)
    store.put(version, "engine", demo.blobs["engine"], sealer)
    return version


def _file(store: FolderStore, version: Version) -> Path:
    return store._path(version, "engine")


def test_artefact_comes_back_to_the_bit(
    store: FolderStore, version: Version, sealer: Sealer, demo: Prepared
) -> None:
    assert store.open(version, "engine", sealer) == demo.blobs["engine"]


def test_file_is_sealed_and_the_owners_alone(
    store: FolderStore, version: Version, demo: Prepared
) -> None:
    path = _file(store, version)

    assert demo.blobs["engine"] not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_every_flipped_bit_is_found(store: FolderStore, version: Version, sealer: Sealer) -> None:
    path = _file(store, version)
    whole = path.read_bytes()

    for index in range(len(whole)):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :])
        with pytest.raises(ArtefactBroken):
            store.open(version, "engine", sealer)


def test_every_truncation_is_found(store: FolderStore, version: Version, sealer: Sealer) -> None:
    path = _file(store, version)
    whole = path.read_bytes()

    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ArtefactBroken):
            store.open(version, "engine", sealer)


@pytest.mark.parametrize(
    "other", [{"tenant": "tnt_globex"}, {"model": "n"}, {"number": 2}], ids=lambda o: next(iter(o))
)
def test_file_swapped_from_another_place_does_not_open(
    store: FolderStore, version: Version, sealer: Sealer, demo: Prepared, other: dict[str, str]
) -> None:
    victim = _version(demo, id="ver_2", **other)  # type: ignore[arg-type]
    store.put(victim, "engine", demo.blobs["engine"], sealer)

    _file(store, version).replace(_file(store, victim))

    with pytest.raises(ArtefactBroken, match="seal"):
        store.open(victim, "engine", sealer)


def test_another_tenants_key_does_not_open_it(store: FolderStore, version: Version) -> None:
    with pytest.raises(ArtefactBroken, match="seal"):
        store.open(version, "engine", OTHER_SEALER)


def test_symbolic_link_is_not_followed(
    store: FolderStore, version: Version, sealer: Sealer, tmp_path: Path
) -> None:
    path = _file(store, version)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ArtefactBroken):
        store.open(version, "engine", sealer)


def test_missing_artefact_is_told_with_the_remedy(
    store: FolderStore, version: Version, sealer: Sealer
) -> None:
    store.delete(version)
    store.delete(version)

    with pytest.raises(ArtefactMissing, match="backup"):
        store.open(version, "engine", sealer)


def test_artefact_of_another_digest_is_not_stored(
    store: FolderStore, sealer: Sealer, demo: Prepared
) -> None:
    with pytest.raises(ArtefactBroken, match="digest"):
        store.put(_version(demo), "engine", demo.blobs["engine"] + b"\0", sealer)


@pytest.mark.parametrize("tenant", ["..", "../globex", "", "a/b", "a\0b", "."])
def test_no_tenant_identifier_leads_out_of_the_folder(
    store: FolderStore, sealer: Sealer, demo: Prepared, tenant: str
) -> None:
    with pytest.raises(ArtefactBroken):
        store.put(_version(demo, tenant=tenant), "engine", demo.blobs["engine"], sealer)
    with pytest.raises(ArtefactBroken):
        store.delete_tenant(tenant)


def test_no_digest_leads_out_of_the_folder(
    store: FolderStore, sealer: Sealer, demo: Prepared
) -> None:
    version = _version(_with_digest(demo, "../../x"))

    with pytest.raises(ArtefactBroken):
        store.open(version, "engine", sealer)


def test_deleting_a_tenant_leaves_the_others(
    store: FolderStore, version: Version, sealer: Sealer, demo: Prepared
) -> None:
    other = _version(demo, id="ver_2", tenant="tnt_globex")
    store.put(other, "engine", demo.blobs["engine"], sealer)

    store.delete_tenant("tnt_acme")
    store.delete_tenant("tnt_acme")

    assert store.open(other, "engine", sealer) == demo.blobs["engine"]
    with pytest.raises(ArtefactMissing):
        store.open(version, "engine", sealer)
