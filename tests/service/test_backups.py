"""Backups hold everything, open for nobody else, and restore whole or not at all."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, select, text

from config.database import Base, Database
from config.errors import SealBroken
from config.sealed_stream import HEADER_BYTES, PART_BYTES, SealedReader, SealedWriter
from config.settings import load_settings
from service.bootstrap import assemble
from service.operations import backups, tenants
from service.operations.instance_state import UNFINISHED
from tests.certs.outside import Leaf, Outside, key_pem
from tests.house import House
from tests.service.command_line import CommandLine

ROOT = Path(__file__).resolve().parent.parent.parent
KEY = bytes(range(32))
SEALED = {"sealed_secrets", "signing_keys", "tenants", "users"}  # sealed anew by a restore


@pytest.fixture
def peopled(manage: CommandLine) -> CommandLine:
    """The demo with something in every table that commands can fill."""
    for words in (
        ("clients", "create", "robot", "-t", "acme", "--scope", "predict:linear"),
        ("limits", "set", "-t", "acme", "--rows-per-day", "5"),
        ("limits", "set", "-t", "acme", "--model", "linear", "--rows-per-minute", "5"),
        ("users", "disable", "rob", "-t", "acme"),
        ("keys", "rotate", "--emergency"),
    ):
        manage.text(*words)
    return manage


@pytest.fixture
def backup(peopled: CommandLine, tmp_path: Path) -> Path:
    """A backup of it."""
    path = tmp_path / "backup"
    peopled.text("backup", str(path))
    return path


@pytest.fixture
def empty(tmp_path: Path) -> CommandLine:
    """The command line over a folder that is not there."""
    return CommandLine(tmp_path / "elsewhere" / "instance")


def restore(
    target: CommandLine, backup: Path, source: CommandLine, **environment: str
) -> dict[str, Any]:
    """Restore with the master key of the installation that the backup is of."""
    key = str(source.instance / "master.key")
    restored: dict[str, Any] = target.json(
        "restore", str(backup), "--master-key-file", key, **environment
    )
    return restored


def rows(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, but for what a restore seals anew, ends or adds."""
    with closing(Database(url)) as database, database.read() as session:
        tables = {
            table.name: [tuple(row) for row in session.execute(select(table))]
            for table in Base.metadata.sorted_tables
        }
    for name in SEALED:
        tables[name] = [
            tuple(value for value in row if not isinstance(value, bytes)) for row in tables[name]
        ]
    del tables["epoch"]
    tables["audit"] = tables["audit"][:-1]
    return {name: sorted(found, key=repr) for name, found in tables.items()}


def url_of(manage: CommandLine) -> str:
    return f"sqlite:///{manage.instance / 'sallyport.db'}"


def test_a_restored_installation_is_the_one_backed_up(
    peopled: CommandLine, backup: Path, empty: CommandLine
) -> None:
    restored = restore(empty, backup, peopled)
    assert restored["artefacts"] == 2
    findings = empty.json("doctor", "--deep")
    assert {finding["state"] for finding in findings} == {"ok"}
    before, after = rows(url_of(peopled)), rows(url_of(empty))
    assert len(before["audit"]) + 1 == len(after["audit"])  # the backup's own record is in it
    del before["audit"], after["audit"]
    assert after == before
    assert empty.instance.stat().st_mode & 0o077 == 0
    noted = restored["audit_head"]
    assert empty.json("audit", "verify", "--head", noted)["head"] == noted


def test_people_log_in_and_models_answer_after_a_restore(
    house: House, tmp_path: Path, empty: CommandLine, logs_kept: None
) -> None:
    from service.app import create_app

    token = house.ada.token
    path = tmp_path / "backup"
    backups.backup(house.platform, house.operator(), path)
    restore(empty, path, CommandLine(house.folder))
    with closing(assemble(load_settings(empty.instance))) as platform:
        client = create_app(platform.settings, platform).test_client()
        body = {"features": [5, 10]}
        old = client.post("/predict", json=body, headers={"Authorization": f"Bearer {token}"})
        assert old.status_code == 401, "sessions end with a restore"
        login = {"tenant": "acme", "username": "ada", "password": house.ada.password}
        fresh = client.post("/auth/login", json=login).get_json()["access_token"]
        answer = client.post("/predict", json=body, headers={"Authorization": f"Bearer {fresh}"})
        assert answer.get_json()["prediction"] == pytest.approx([15.0])


def test_an_imported_certificate_comes_along(
    peopled: CommandLine, tmp_path: Path, empty: CommandLine
) -> None:
    leaf = Leaf()
    (tmp_path / "cert.pem").write_bytes(Outside(time.time()).fullchain(leaf))
    (tmp_path / "key.pem").write_bytes(key_pem(leaf.key))
    serial = peopled.json("certs", "import", str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    path = tmp_path / "imported"
    peopled.text("backup", str(path))
    restore(empty, path, peopled)
    assert empty.json("certs", "show")["serial"] == serial["serial"]
    assert b"PRIVATE KEY" not in path.read_bytes()


def test_the_demo_file_names_the_new_place(
    peopled: CommandLine, backup: Path, empty: CommandLine
) -> None:
    restore(empty, backup, peopled)
    demo = json.loads((empty.instance / "demo.json").read_text())
    assert demo["ca"] == str(empty.instance / "certs" / "ca.pem")
    assert (empty.instance / "demo.json").stat().st_mode & 0o777 == 0o600


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """The URL of an empty database on a PostgreSQL server."""
    name = f"restore_{uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        yield engine.url.set(database=name).render_as_string(hide_password=False)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


def test_sqlite_restores_into_postgresql_and_back(
    house: House, tmp_path: Path, postgresql_url: str, logs_kept: None
) -> None:
    source = CommandLine(house.folder)
    enrolment = house.ada.post(
        "/auth/otp", json={"action": "enrol", "password": house.ada.password}
    )
    assert enrolment.status_code == 200, enrolment.text
    with house.platform.database.write() as session:
        session.execute(
            text(
                "INSERT INTO recovery_codes (id, user_id, digest) SELECT 41, id, 'x' FROM users "
                "WHERE username = 'ada'"
            )
        )
    first, second = tmp_path / "first", tmp_path / "second"
    source.text("backup", str(first))
    with fresh_database(postgresql_url) as url:
        grown = CommandLine(tmp_path / "grown")
        environment = {"SALLYPORT_DATABASE_URL": url}
        restored = restore(grown, first, source, **environment)
        assert restored["settings_that_differ"] == [], "a URL may hold a password"
        findings = grown.json("doctor", "--deep", **environment)
        assert {finding["state"] for finding in findings} == {"ok"}
        before, after = rows(url_of(source)), rows(url)
        for tables in (before, after):
            for name in ("audit", "sessions"):
                del tables[name]
        assert after == before
        with closing(Database(url)) as database, database.write() as session:
            user = session.scalar(text("SELECT id FROM users WHERE username = 'ada'"))
            inserted = session.scalar(
                text(
                    "INSERT INTO recovery_codes (user_id, digest) VALUES (:user, 'y') RETURNING id"
                ),
                {"user": user},
            )
            assert inserted == 42, "PostgreSQL goes on numbering where SQLite stopped"
            session.rollback()
        grown.text("backup", str(second), **environment)
        assert "not empty" in CommandLine(tmp_path / "other").refusal(
            "restore",
            str(second),
            "--master-key-file",
            str(grown.instance / "master.key"),
            **environment,
        )
    back = CommandLine(tmp_path / "back")
    restore(back, second, grown)
    assert {finding["state"] for finding in back.json("doctor", "--deep")} == {"ok"}


def test_a_restore_into_postgresql_that_fails_leaves_it_empty(
    peopled: CommandLine, tmp_path: Path, postgresql_url: str
) -> None:
    with closing(sqlite3.connect(peopled.instance / "sallyport.db")) as altered, altered:
        altered.execute("UPDATE audit SET actor = 'nobody' WHERE sequence = 3")
    path, target = tmp_path / "altered", CommandLine(tmp_path / "target")
    peopled.text("backup", str(path))
    with fresh_database(postgresql_url) as url:
        key = str(peopled.instance / "master.key")
        words = ("restore", str(path), "--master-key-file", key)
        assert "record 3" in target.refusal(*words, SALLYPORT_DATABASE_URL=url)
        with closing(Database(url)) as database, database.read() as session:
            tables = text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
            assert session.scalar(tables) == 0
    assert {path.name for path in target.instance.iterdir()} == {".lock"}


POSITIONS = {
    "the name of the format": 0,
    "the salt": HEADER_BYTES - 1,
    "the first byte sealed": HEADER_BYTES,
    "the middle": None,
    "the tag": -16,
    "the last byte": -1,
}


@pytest.mark.parametrize("position", POSITIONS)
def test_an_altered_backup_is_refused(
    peopled: CommandLine, backup: Path, empty: CommandLine, position: str
) -> None:
    content = bytearray(backup.read_bytes())
    where = POSITIONS[position]
    content[len(content) // 2 if where is None else where] ^= 1
    backup.write_bytes(content)
    refuse_broken(peopled, backup, empty)


@pytest.mark.parametrize("length", [0, 1, HEADER_BYTES, HEADER_BYTES + 16, -16, -1])
def test_a_truncated_backup_is_refused(
    peopled: CommandLine, backup: Path, empty: CommandLine, length: int
) -> None:
    backup.write_bytes(backup.read_bytes()[:length])
    refuse_broken(peopled, backup, empty)


def test_a_longer_backup_is_refused(peopled: CommandLine, backup: Path, empty: CommandLine) -> None:
    backup.write_bytes(backup.read_bytes() + b"\0")
    refuse_broken(peopled, backup, empty)


def refuse_broken(source: CommandLine, backup: Path, target: CommandLine) -> None:
    key = str(source.instance / "master.key")
    line = target.refusal("restore", str(backup), "--master-key-file", key)
    assert "was not restored" in line
    assert not target.instance.exists()


def test_another_master_key_opens_nothing(backup: Path, empty: CommandLine) -> None:
    other = "A" * 43 + "="
    line = empty.refusal("restore", str(backup), SALLYPORT_MASTER_KEY=other)
    assert "master key" in line
    assert not empty.instance.exists()


def test_without_a_master_key_it_says_where_to_give_one(backup: Path, empty: CommandLine) -> None:
    assert "--master-key-file" in empty.refusal("restore", str(backup))


def test_a_master_key_from_the_environment_is_not_written_down(
    peopled: CommandLine, backup: Path, empty: CommandLine
) -> None:
    key = (peopled.instance / "master.key").read_text().strip()
    empty.text("restore", str(backup), SALLYPORT_MASTER_KEY=key)
    assert not (empty.instance / "master.key").exists()


def test_a_retired_master_key_still_opens_and_the_new_one_seals(
    peopled: CommandLine, backup: Path, empty: CommandLine
) -> None:
    old = (peopled.instance / "master.key").read_text().strip()
    new = "A" * 43 + "="
    empty.text("restore", str(backup), SALLYPORT_MASTER_KEY=f"{new},{old}")
    findings = empty.json("doctor", "--deep", SALLYPORT_MASTER_KEY=new)
    assert {finding["state"] for finding in findings} == {"ok"}


def test_nothing_is_restored_over_an_installation(peopled: CommandLine, backup: Path) -> None:
    before = rows(url_of(peopled))
    assert "not empty" in peopled.refusal("restore", str(backup))
    assert rows(url_of(peopled)) == before


def test_another_address_needs_the_settings_that_sealed_the_keys(
    peopled: CommandLine, backup: Path, empty: CommandLine
) -> None:
    key = str(peopled.instance / "master.key")
    words = ("restore", str(backup), "--master-key-file", key)
    line = empty.refusal(*words, SALLYPORT_URL="https://other.example")
    assert "SALLYPORT_URL" in line
    assert {path.name for path in empty.instance.iterdir()} == {".lock"}


def test_settings_that_differ_are_told(
    peopled: CommandLine, backup: Path, empty: CommandLine
) -> None:
    restored = restore(empty, backup, peopled, SALLYPORT_WORKERS="7")
    assert restored["settings_that_differ"] == ["SALLYPORT_WORKERS was the default"]


def test_a_backup_is_for_its_owner_alone_and_replaces_nothing_unasked(
    peopled: CommandLine, backup: Path
) -> None:
    assert backup.stat().st_mode & 0o777 == 0o600
    assert "exists" in peopled.refusal("backup", str(backup))
    peopled.text("backup", str(backup), "--overwrite")
    assert not list(backup.parent.glob(".*.partial"))


def test_no_secret_of_the_installation_is_readable_in_a_backup(
    peopled: CommandLine, backup: Path
) -> None:
    content = backup.read_bytes()
    demo = json.loads((peopled.instance / "demo.json").read_text())
    passwords = [user["password"] for tenant in demo["tenants"] for user in tenant["users"]]
    for secret in ("PRIVATE KEY", "acme", "linear", *passwords):
        assert secret.encode() not in content


def back_up_while_others_write(instance: Path, path: Path, **overrides: str) -> None:
    """Make a backup during which another process adds a tenant at every step."""
    settings = load_settings(instance, **overrides)
    written = threading.Semaphore(0)
    stop = threading.Event()

    def write() -> None:
        with closing(assemble(settings)) as platform:
            scope = tenants.operator_scope(platform)
            number = 0
            while not stop.is_set():
                tenants.create_tenant(platform, scope, f"tenant-{number}", "free")
                number += 1
                written.release()

    def wait_for_another(_done: int, _total: int) -> None:
        while written.acquire(blocking=False):
            pass
        assert written.acquire(timeout=10)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with closing(assemble(settings)) as platform:
            scope = tenants.operator_scope(platform)
            backups.backup(platform, scope, path, progress=wait_for_another)
    finally:
        stop.set()
        writer.join()


def test_a_backup_is_one_moment_while_others_write(
    peopled: CommandLine, tmp_path: Path, empty: CommandLine
) -> None:
    """The restored trail verifies: no record is there without the head that counts it."""
    path = tmp_path / "backup"
    back_up_while_others_write(peopled.instance, path)
    restore(empty, path, peopled)


def test_a_backup_of_postgresql_is_one_moment_too(
    peopled: CommandLine, backup: Path, tmp_path: Path, empty: CommandLine, postgresql_url: str
) -> None:
    path, grown = tmp_path / "second", CommandLine(tmp_path / "grown")
    with fresh_database(postgresql_url) as url:
        restore(grown, backup, peopled, SALLYPORT_DATABASE_URL=url)
        back_up_while_others_write(grown.instance, path, database_url=url)
    restore(empty, path, grown)


def test_an_artefact_that_is_missing_stops_the_backup(peopled: CommandLine, tmp_path: Path) -> None:
    next((peopled.instance / "artefacts").glob("*/*")).unlink()
    path = tmp_path / "backup"
    assert "artefact" in peopled.refusal("backup", str(path))
    assert not path.exists()


def test_a_restore_killed_after_its_last_step_is_finished(
    peopled: CommandLine, backup: Path, empty: CommandLine
) -> None:
    first = restore(empty, backup, peopled)
    with backup.open("rb") as file:
        name = SealedReader(file, load_settings(empty.instance).master_keys, purpose="backup").name
    (empty.instance / UNFINISHED).write_text(f"restore {name}")
    assert "run it again" in empty.refusal("init", "--if-absent")
    assert restore(empty, backup, peopled) == first


@pytest.mark.drill
def test_a_restore_killed_at_any_step_is_completed_by_the_next(
    peopled: CommandLine, backup: Path, tmp_path: Path
) -> None:
    key = str(peopled.instance / "master.key")
    for found in killed("restore", tmp_path / "killed", 10, str(backup), key):
        assert not found["failed"], found


@pytest.mark.drill
def test_an_init_killed_at_any_step_is_completed_by_the_next(tmp_path: Path) -> None:
    for found in killed("init", tmp_path / "killed", 16):
        assert not found["failed"], found
        assert not found["wrong"], found


def killed(action: str, folder: Path, stride: int, *more: str) -> list[dict[str, Any]]:
    """What is there after each death and one more run."""
    folder.mkdir()
    words = [sys.executable, "-m", "tests.service.killed_installation"]
    done = subprocess.run(
        [*words, action, str(folder), str(stride), *more],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) >= 3
    return found


def sealed(data: bytes) -> bytes:
    file = io.BytesIO()
    writer = SealedWriter(file, KEY, purpose="test")
    for start in range(0, len(data), 100_000):
        writer.write(data[start : start + 100_000])
    writer.finish()
    return file.getvalue()


def opened(content: bytes, size: int) -> bytes:
    reader = SealedReader(io.BytesIO(content), (bytes(32), KEY), purpose="test")
    data = reader.read(size)
    reader.finish()
    return data


SIZES = (0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES)


@pytest.mark.parametrize("size", SIZES)
def test_a_sealed_stream_opens_as_it_was_written(size: int) -> None:
    data = os.urandom(size)
    assert opened(sealed(data), size) == data


STREAM = sealed(b"sallyport" * (3 * PART_BYTES // 9))
PART = PART_BYTES + 16
BOUNDARIES = [HEADER_BYTES + number * PART for number in range(3)]
LENGTH = 9 * (3 * PART_BYTES // 9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(STREAM) * 8 - 1))
def test_any_flipped_bit_of_a_sealed_stream_is_found(bit: int) -> None:
    content = bytearray(STREAM)
    content[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealBroken):
        opened(bytes(content), LENGTH)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(STREAM) - 1) | st.sampled_from(BOUNDARIES))
def test_any_cut_of_a_sealed_stream_is_found(length: int) -> None:
    with pytest.raises(SealBroken):
        opened(STREAM[:length], LENGTH)


def test_a_part_that_was_not_the_last_is_not_taken_for_it() -> None:
    with pytest.raises(SealBroken):
        opened(STREAM[: HEADER_BYTES + PART], PART_BYTES)


def test_parts_of_a_sealed_stream_that_change_places_are_found() -> None:
    head, parts = STREAM[:HEADER_BYTES], STREAM[HEADER_BYTES:]
    first, second, rest = parts[:PART], parts[PART : 2 * PART], parts[2 * PART :]
    for content in (second + first + rest, first + first + rest, first + rest, first + second * 2):
        with pytest.raises(SealBroken):
            opened(head + content, LENGTH)


def test_a_stream_for_another_purpose_does_not_open() -> None:
    with pytest.raises(SealBroken):
        SealedReader(io.BytesIO(STREAM), (KEY,), purpose="another").read(1)
