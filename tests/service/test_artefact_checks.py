"""What the doctor says of models' files, and what a store that is away leaves undone."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from config.settings import load_settings
from models.errors import StoreUnavailable
from models.records import VersionRow
from service.bootstrap import assemble
from service.operations import artefact_checks, tenants
from service.operations.verdicts import FAILED, OK, WARNING
from tests.house import House
from tests.servers import Bucket
from tests.service.command_line import CommandLine


def away(*_: object) -> None:
    raise StoreUnavailable("bucket s3://far", "away")


def test_all_is_well_in_a_fresh_installation(house: House) -> None:
    house.add_version()
    for check in (artefact_checks.store, artefact_checks.champions, artefact_checks.artefacts):
        assert check(house.platform).state == OK
    assert artefact_checks.artefacts(house.platform).found.startswith("3 versions; 0 files")


def test_a_store_that_gives_back_something_else_is_found(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = house.platform.artefacts._store
    monkeypatch.setattr(type(store), "get", lambda *_: b"something else")

    assert artefact_checks.store(house.platform).state == FAILED


def test_a_bucket_that_does_not_answer_fails_the_doctor_and_says_which(
    manage: CommandLine, bucket: Bucket
) -> None:
    wrong = bucket.settings() | {"artefacts_secret_key": "wrong"}
    environment = {f"SALLYPORT_{name.upper()}": value for name, value in wrong.items()}

    result = manage.run("doctor", "--json", **environment)

    found = {finding["check"]: finding for finding in json.loads(result.stdout)}
    assert result.exit_code == 1
    assert found["store"]["state"] == "failed"
    assert wrong["artefacts_url"] in found["store"]["found"]
    assert "wrong" not in result.stdout.replace(wrong["artefacts_url"], "")


def test_a_missing_file_of_a_champion_is_found(house: House) -> None:
    next((house.folder / "artefacts").glob("*/*")).unlink()

    found = artefact_checks.champions(house.platform)

    assert found.state == FAILED
    assert "restore" in found.remedy


def test_a_champion_of_an_earlier_release_is_told(house: House) -> None:
    with house.platform.database.write() as session:
        for row in session.query(VersionRow):
            row.sealed_key, row.manifest = None, '{"schema":1}'

    found = artefact_checks.champions(house.platform)

    assert found.state == WARNING
    assert "'linear'" in found.found
    assert "import" in found.remedy


def test_files_of_no_version_are_counted(house: House) -> None:
    version = house.add_version()
    file = house.folder / "artefacts" / version.tenant_id
    (file / f"{'0' * 64}.ver_lost").write_bytes(b"left by an intake that was interrupted")

    assert "1 files of none" in artefact_checks.artefacts(house.platform).found


def test_a_tenant_is_deleted_while_its_store_is_away(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its key is gone with the commit; what the store keeps is noise."""
    monkeypatch.setattr(type(house.platform.artefacts), "delete_tenant", away)

    assert tenants.delete_tenant(house.platform, house.operator(), "globex").state == "deleted"


def test_predictions_of_what_is_open_go_on_while_the_store_is_away(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.add_version()
    assert house.rob.predict([5, 10]).status_code == 200
    monkeypatch.setattr(type(house.platform.artefacts), "open", away)

    assert house.rob.predict([5, 10]).status_code == 200
    cold: Any = house.rob.predict([5, 10], version=2)
    assert cold.status_code == 503
    assert "s3" not in cold.text


def test_models_are_served_out_of_a_bucket(
    manage: CommandLine, tmp_path: Path, bucket: Bucket
) -> None:
    settings = load_settings(manage.instance, **bucket.settings())
    with closing(assemble(load_settings(manage.instance))) as before:
        scope = tenants.operator_scope(before, "acme")
        with before.database.read() as session:
            version = before.registry.resolve(session, scope, "linear")
            sealer = before.registry.sealer(session, version)
        blobs = {role: before.artefacts.open(version, role, sealer) for role in version.files}
    with closing(assemble(settings)) as platform:
        with pytest.raises(Exception, match="not in the store"):
            platform.executor.warm(version)
        for role, blob in blobs.items():
            platform.artefacts.put(version, role, blob, sealer)
        platform.executor.warm(version)
        assert platform.executor.is_warm(version)
