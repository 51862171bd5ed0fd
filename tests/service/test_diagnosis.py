"""The doctor finds each planted fault, names it and its remedy, and touches nothing."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from certs.authority import Authority
from config.sealing import Sealer
from config.settings import load_settings
from models.hosting.system_calls import number_of
from service.operations.diagnosis import diagnose
from service.operations.instance_state import UNFINISHED
from tests.models.hosting.children import deny
from tests.service.command_line import CommandLine

ROOT = Path(__file__).resolve().parent.parent.parent
DAY = 86_400.0


def sql(instance: Path, statement: str) -> None:
    """Alter the database behind the platform's back."""
    with closing(sqlite3.connect(instance / "sallyport.db")) as database, database:
        database.execute(statement)


def champion(instance: Path) -> Path:
    return next((instance / "artefacts").glob("*/*"))


def lose_artefact(instance: Path) -> None:
    champion(instance).unlink()


def alter_artefact(instance: Path) -> None:
    content = bytearray(champion(instance).read_bytes())
    content[-1] ^= 1
    champion(instance).write_bytes(content)


def change_master_key(instance: Path) -> None:
    (instance / "master.key").write_text("A" * 43 + "=\n")


def lose_master_key(instance: Path) -> None:
    (instance / "master.key").unlink()


def spoil_master_key(instance: Path) -> None:
    (instance / "master.key").write_text("secret")


def certify_in_the_past(instance: Path) -> None:
    """Leave a server certificate that expired ten days ago."""
    settings = load_settings(instance)
    for file in (instance / "certs").glob("server*"):
        file.unlink()
    past = datetime.now(UTC).timestamp() - 100 * DAY
    Authority(
        instance / "certs",
        sealer=Sealer(settings.master_keys),
        names=settings.server_names,
        clock=lambda: past,
    ).renew(force=True)


def alter_authority(instance: Path) -> None:
    path = instance / "certs" / "ca.key.sealed"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def open_to_others(name: str) -> Callable[[Path], None]:
    def plant(instance: Path) -> None:
        (instance / name).chmod(0o755)

    return plant


def interrupt(instance: Path) -> None:
    (instance / UNFINISHED).write_text("restore 1234")


def statement(text: str) -> Callable[[Path], None]:
    return lambda instance: sql(instance, text)


@dataclass(frozen=True)
class Fault:
    """What is wrong, and which check says so, with which words in its remedy."""

    plant: Callable[[Path], None]
    check: str
    remedy: str
    deep: bool = False


FAULTS = {
    "the folder is open to others": Fault(open_to_others("."), "permissions", "chmod 700"),
    "the master key is open to others": Fault(
        open_to_others("master.key"), "permissions", "chmod 600"
    ),
    "the demo's passwords are open to others": Fault(
        open_to_others("demo.json"), "permissions", "chmod 600"
    ),
    "the master key is another": Fault(change_master_key, "sealed secrets", "SALLYPORT_MASTER_KEY"),
    "the master key is lost": Fault(lose_master_key, "settings", "Put it back"),
    "the master key is none": Fault(spoil_master_key, "settings", "openssl rand"),
    "an artefact is missing": Fault(lose_artefact, "artefacts", "restore"),
    "an artefact was altered": Fault(alter_artefact, "artefacts", "import", deep=True),
    "the database is out of date": Fault(
        statement("UPDATE alembic_version SET version_num = 'old'"), "revision", "database upgrade"
    ),
    "the database is empty": Fault(
        lambda instance: (instance / "sallyport.db").write_bytes(b""),  # type: ignore[arg-type]
        "revision",
        "database upgrade",
    ),
    "the database is no database": Fault(
        lambda instance: (instance / "sallyport.db").write_bytes(b"none" * 4096),  # type: ignore[arg-type]
        "database",
        "SALLYPORT_DATABASE_URL",
    ),
    "no key is active": Fault(
        statement("UPDATE signing_keys SET state = 'retired' WHERE state = 'active'"),
        "signing key",
        "keys rotate",
    ),
    "a signing key was altered": Fault(
        statement("UPDATE signing_keys SET private_sealed = x'00' WHERE state = 'next'"),
        "sealed secrets",
        "SALLYPORT_MASTER_KEY",
    ),
    "a tenant's key was altered": Fault(
        statement("UPDATE tenants SET data_key = x'00' WHERE name = 'acme'"),
        "sealed secrets",
        "SALLYPORT_MASTER_KEY",
    ),
    "the certificate expired": Fault(certify_in_the_past, "certificate", "certs renew"),
    "the authority's key was altered": Fault(
        alter_authority, "sealed secrets", "SALLYPORT_MASTER_KEY"
    ),
    "the clock jumped back": Fault(
        statement("UPDATE audit SET at = at + 864000 WHERE sequence = 2"), "clock", "clock"
    ),
    "the audit trail was cut": Fault(
        statement("DELETE FROM audit WHERE sequence = (SELECT max(sequence) FROM audit)"),
        "audit",
        "audit verify",
    ),
    "an audit record was altered": Fault(
        statement("UPDATE audit SET actor = 'nobody' WHERE sequence = 2"), "audit", "", deep=True
    ),
    "a restore was interrupted": Fault(interrupt, "installation", "restore again"),
}


def findings(manage: CommandLine, *, deep: bool = False) -> tuple[int, dict[str, Any]]:
    """The exit code, and each check's finding."""
    result = manage.run("doctor", "--json", *(["--deep"] if deep else []))
    return result.exit_code, {found["check"]: found for found in json.loads(result.stdout)}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(manage: CommandLine, name: str) -> None:
    fault = FAULTS[name]
    fault.plant(manage.instance)
    code, found = findings(manage, deep=fault.deep)
    assert code == 1
    assert found[fault.check]["state"] == "failed", found
    assert fault.remedy in found[fault.check]["remedy"]


@pytest.mark.parametrize("deep", [False, True])
def test_a_sound_installation_passes(manage: CommandLine, deep: bool) -> None:
    code, found = findings(manage, deep=deep)
    assert code == 0
    assert {finding["state"] for finding in found.values()} == {"ok"}, found
    assert found["server"]["found"] == "not running"


def test_the_doctor_changes_nothing(manage: CommandLine) -> None:
    with closing(sqlite3.connect(manage.instance / "sallyport.db")) as database:
        before = list(database.iterdump())
    findings(manage, deep=True)
    with closing(sqlite3.connect(manage.instance / "sallyport.db")) as database:
        assert list(database.iterdump()) == before


def test_where_there_is_nothing_the_doctor_says_how_to_begin(
    tmp_path: Path, logs_kept: None
) -> None:
    code, found = findings(CommandLine(tmp_path / "instance"))
    assert code == 1
    assert found["installation"]["remedy"] == "run: manage.py init"
    assert not (tmp_path / "instance").exists()


def test_a_certificate_that_does_not_name_the_server_is_found(manage: CommandLine) -> None:
    result = manage.run("doctor", SALLYPORT_SERVER_NAMES="predict.example.com")
    assert result.exit_code == 1
    assert "predict.example.com" in result.stdout
    assert "certs renew" in result.stdout


def test_a_certificate_that_ends_soon_is_a_warning(manage: CommandLine) -> None:
    settings = load_settings(manage.instance)
    past = datetime.now(UTC).timestamp() - 70 * DAY
    Authority(
        manage.instance / "certs",
        sealer=Sealer(settings.master_keys),
        names=settings.server_names,
        clock=lambda: past,
    ).renew(force=True)
    code, found = findings(manage)
    assert code == 0
    assert found["certificate"]["state"] == "warning"


def test_a_store_that_does_not_answer_is_found(manage: CommandLine) -> None:
    result = manage.run("doctor", SALLYPORT_COUNTERS_URL="redis://127.0.0.1:1/0")
    assert result.exit_code == 1
    assert "SALLYPORT_COUNTERS_URL" in result.stdout


def test_a_second_master_key_is_a_warning(manage: CommandLine) -> None:
    key = (manage.instance / "master.key").read_text().strip()
    (manage.instance / "master.key").write_text(f"{key}\n{'A' * 43}=\n")
    code, found = findings(manage)
    assert code == 0
    assert "keys reseal" in found["settings"]["remedy"]


def test_a_server_that_runs_is_told(demo_instance: Path) -> None:
    found = {finding.check: finding for finding in diagnose(demo_instance, server=lambda _: 4711)}
    assert "4711" in found["server"].found


@pytest.mark.parametrize(("level", "state"), [("reduced", "warning"), ("full", "failed")])
def test_a_sandbox_with_a_layer_missing_is_found(
    demo_instance: Path, level: str, state: str
) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "--instance", str(demo_instance), "doctor", "--json"],
        cwd=ROOT,
        env=os.environ | {"SALLYPORT_SANDBOX_LEVEL": level},
        preexec_fn=withhold_namespaces,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (state == "failed"), done.stderr
    found = {finding["check"]: finding for finding in json.loads(done.stdout)}["sandbox"]
    assert found["state"] == state
    assert "namespaces (" in found["found"]
    assert "docs/how-to/operate.md" in found["remedy"]


def withhold_namespaces() -> None:
    """Do as a default container does."""
    number = number_of("unshare")
    assert number is not None
    deny(number, reason=errno.EPERM)


def test_the_real_program_fails_when_a_check_does(manage: CommandLine) -> None:
    lose_artefact(manage.instance)
    done = subprocess.run(
        [sys.executable, "manage.py", "--instance", str(manage.instance), "doctor"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "artefacts" in done.stdout
    assert "Traceback" not in done.stderr
