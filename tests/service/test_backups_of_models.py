"""Backups of versions: with their keys and states, out of and into every store, and old ones."""

from __future__ import annotations

import io
from pathlib import Path

import orjson
import pytest

from config.sealed_stream import SealedReader, SealedWriter
from config.sealing import Sealer
from config.settings import load_settings
from models.errors import ArtefactBroken, VersionDeleted
from service.operations import backups
from service.operations.backup_entries import read_entries, write_entry, write_rows
from tests.house import House, opened
from tests.servers import Bucket
from tests.service.command_line import CommandLine
from tests.service.test_backups import restore

# What the first release did not know.
NEW_TABLES = {"model_alias_moves", "model_jobs", "model_incidents", "model_routes"}
NEW_TABLES |= {"model_route_reports"}
NEW_COLUMNS = {"sealed_key", "state", "pinned"}


@pytest.fixture
def empty(tmp_path: Path) -> CommandLine:
    """The command line over a folder that is not there."""
    return CommandLine(tmp_path / "elsewhere" / "instance")


def test_what_became_of_versions_is_restored_and_a_deleted_one_stays_undecipherable(
    house: House, tmp_path: Path, empty: CommandLine, logs_kept: None
) -> None:
    for _ in range(3):
        house.add_version()
    with house.platform.database.read() as session:
        doomed = house.platform.registry.resolve(session, house.operator("acme"), "linear", 4)
        sealed = {
            path.relative_to(house.folder): path.read_bytes()
            for path in house.folder.glob(f"artefacts/*/*.{doomed.id}")
        }
    house.ada.call("PUT", "/models/linear/aliases/champion", json={"version": 2})
    house.ada.call("PATCH", "/models/linear/versions/3", json={"state": "retired"})
    house.ada.call("DELETE", "/models/linear/versions/4")
    path = tmp_path / "backup"
    backups.backup(house.platform, house.operator(), path)
    restored = restore(empty, path, CommandLine(house.folder))
    assert restored["artefacts"] == 4, "three of Acme, one of Globex"

    for name, content in sealed.items():
        (empty.instance / name).write_bytes(content)  # kept by somebody since before the deletion
    (empty.instance / "olga").write_bytes((house.folder / "olga").read_bytes())
    with opened(load_settings(empty.instance)) as again:
        registry, scope = again.platform.registry, again.operator("acme")
        with again.platform.database.read() as session:
            page = registry.page(session, scope, "linear")
            states = {version.number: version.state for version in page}
            assert states == {1: "active", 2: "active", 3: "retired", 4: "deleted"}
            with pytest.raises(VersionDeleted):
                registry.sealer(session, doomed)
            retired = registry.find(session, scope, "linear", 3).kept()
            sealer = registry.sealer(session, retired)
            again.platform.artefacts.open(retired, "model", sealer)
        for other in (sealer, Sealer((bytes(32),))):
            with pytest.raises(ArtefactBroken, match="seal"):
                again.platform.artefacts.open(doomed, "model", other)
        back = again.ada.post("/models/linear/aliases/champion/rollback").get_json()
        assert (back["from"], back["to"]) == (2, 1)


def test_a_version_that_is_deleted_during_a_backup_does_not_spoil_it(
    house: House, tmp_path: Path, empty: CommandLine, logs_kept: None
) -> None:
    house.add_version()
    versions = iter(["2"])

    def delete_one(_done: int, _total: int) -> None:
        for number in versions:
            house.ada.call("DELETE", f"/models/linear/versions/{number}")

    path = tmp_path / "backup"
    made = backups.backup(house.platform, house.operator(), path, progress=delete_one)

    assert made.artefacts == 2
    restore(empty, path, CommandLine(house.folder))
    listed = empty.json("models", "versions", "linear", "--tenant", "acme")
    assert [(v["version"], v["state"]) for v in listed] == [(2, "deleted"), (1, "active")]


def test_a_folder_restores_into_a_bucket_and_back(
    manage: CommandLine, tmp_path: Path, bucket: Bucket
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    manage.text("backup", str(first))
    grown, back = CommandLine(tmp_path / "grown"), CommandLine(tmp_path / "back")
    environment = {f"SALLYPORT_{name.upper()}": v for name, v in bucket.settings("/a").items()}
    restored = restore(grown, first, manage, **environment)
    differing = [line.partition(" ")[0] for line in restored["settings_that_differ"]]
    assert differing == ["SALLYPORT_ARTEFACTS_ENDPOINT", "SALLYPORT_ARTEFACTS_URL"], "no keys"
    assert not (grown.instance / "artefacts").exists()
    findings = grown.json("doctor", "--deep", **environment)
    assert {finding["state"] for finding in findings} == {"ok"}
    assert any(finding["found"].startswith("bucket s3://") for finding in findings)

    grown.text("backup", str(second), **environment)
    restore(back, second, grown)

    assert {finding["state"] for finding in back.json("doctor", "--deep")} == {"ok"}


def as_of_the_first_release(content: bytes, keys: tuple[bytes, ...]) -> bytes:
    """The same backup as that release would have written it: fewer tables, columns and roles."""
    source = SealedReader(io.BytesIO(content), keys, purpose="backup")
    file = io.BytesIO()
    target, count = SealedWriter(file, keys[0], purpose="backup"), 0
    for entry in read_entries(source):
        members = dict(entry.members)
        body = entry.body
        if members.get("table") in NEW_TABLES or members.get("role") == "model":
            continue
        if entry.kind == "about":
            body = orjson.dumps(orjson.loads(body) | {"revision": "0001"})
        if members.get("table") == "model_versions":
            columns = [name for name in members["columns"] if name not in NEW_COLUMNS]
            rows = [row | {"manifest": '{"schema":1}'} for row in entry.rows()]
            write_rows(
                target, "model_versions", columns, [[row[c] for c in columns] for row in rows]
            )
        else:
            members.pop("role", None)
            write_entry(target, entry.kind, body, **members)
        count += 1
    write_entry(target, "end", entries=count)
    target.finish()
    return file.getvalue()


def test_a_backup_of_the_first_release_restores_and_says_what_to_import_again(
    manage: CommandLine, tmp_path: Path, empty: CommandLine
) -> None:
    keys = load_settings(manage.instance).master_keys
    path = tmp_path / "backup"
    manage.text("backup", str(path))
    path.write_bytes(as_of_the_first_release(path.read_bytes(), keys))

    assert restore(empty, path, manage)["artefacts"] == 0

    findings = {finding["check"]: finding for finding in empty.json("doctor", "--deep")}
    assert {name for name, finding in findings.items() if finding["state"] == "failed"} == set()
    quick = {finding["check"]: finding for finding in empty.json("doctor")}
    assert quick["artefacts"]["state"] == "warning"
    assert "models import" in quick["artefacts"]["remedy"]
    (listed,) = empty.json("models", "versions", "linear", "--tenant", "acme")
    assert listed["state"] == "outdated"
