"""A backup: one file that holds everything an empty machine needs besides the master key.

Tables are written row by row and not as a database's own files, so that a backup of SQLite
restores into PostgreSQL and the other way round. Counters, sockets and the epoch's copy are
rebuilt; a certificate of the local authority is issued anew, so its key is not in here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any, Final

import orjson
from sqlalchemy import Connection, Table, func, select
from sqlalchemy.orm import Session

from auth.permissions import Permission
from auth.scope import Scope
from config import migrations
from config.database import Base
from config.errors import CounterStoreDown
from config.sealed_stream import SealedWriter
from config.sealing import Sealer
from config.settings import Settings
from models.errors import ArtefactMissing
from models.records import VersionRow
from models.versions import Version
from service.bootstrap import Platform
from service.errors import BackupDisturbed, BackupExists
from service.operations.backup_entries import FORMAT, PURPOSE, write_entry, write_rows
from service.operations.instance_state import DEMO
from service.operations.maintenance import flush_usage
from service.operations.recording import recorded
from service.operations.tenants import every_tenant

ROWS: Final = 500
ATTEMPTS: Final = 3
CERTIFICATES: Final = ("ca.pem", "ca.key.sealed", "crl.pem")
IMPORTED: Final = "server-imported-"
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made."""

    file: str
    bytes: int
    created_at: float
    revision: str
    rows: int
    artefacts: int


def backup(
    platform: Platform,
    scope: Scope,
    path: Path,
    *,
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
) -> Backup:
    """Write one moment's state to the file, sealed under the first master key."""
    scope.require(Permission.TENANTS)
    if path.exists() and not overwrite:
        raise BackupExists(path)
    # What was counted since the last flush is not worth refusing a backup.
    with suppress(CounterStoreDown):
        flush_usage(platform)
    with recorded(platform, scope, Permission.TENANTS, "installation.backup", path.name):
        pass  # on record before the snapshot, so that the backup tells of itself
    for _ in range(ATTEMPTS):
        with suppress(_Disturbed), _replacing(path) as file:
            return _write(platform, scope, file, path, progress)
    raise BackupDisturbed(path)


class _Disturbed(Exception):
    """Raised when an artefact of the snapshot was deleted before it was copied."""


def _write(
    platform: Platform, scope: Scope, file: IO[bytes], path: Path, progress: Progress
) -> Backup:
    stream = SealedWriter(file, platform.settings.master_keys[0], purpose=PURPOSE)
    with _snapshot(platform) as connection:
        writer = _BackupWriter(platform, scope, stream, connection, progress)
        writer.write()
    stream.finish()
    return Backup(
        file=str(path),
        bytes=file.tell(),
        created_at=writer.created_at,
        revision=writer.revision,
        rows=writer.rows,
        artefacts=writer.artefacts,
    )


class _BackupWriter:
    """Writes the entries of one backup from one snapshot."""

    def __init__(
        self,
        platform: Platform,
        scope: Scope,
        stream: SealedWriter,
        connection: Connection,
        progress: Progress,
    ) -> None:
        self._platform = platform
        self._scope = scope
        self._stream = stream
        self._connection = connection
        self._progress = progress
        self._tables = Base.metadata.sorted_tables
        self._total = sum(map(self._count, self._tables)) + self._count(VersionRow.__table__)
        self._entries = 0
        self.created_at = platform.clock()
        self.revision = migrations.newest_revision()
        self.rows = 0
        self.artefacts = 0

    def write(self) -> None:
        """Write everything, the end included."""
        self._entry("about", orjson.dumps(self._about()))
        for table in self._tables:
            self._write_table(table)
        self._entry("loaded")
        for path in self._files():
            name = str(path.relative_to(self._platform.settings.instance))
            self._entry("file", path.read_bytes(), path=name, mode=path.stat().st_mode & 0o777)
        for inside, version, sealer in self._versions():
            self._write_artefact(inside.tenant, version, sealer)
        write_entry(self._stream, "end", entries=self._entries)

    def _about(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "created_at": self.created_at,
            "revision": self.revision,
            "settings": settings_worth_keeping(self._platform.settings),
        }

    def _write_table(self, table: Table) -> None:
        columns = [column.name for column in table.columns]
        query = select(table).order_by(*table.primary_key.columns)
        result = self._connection.execute(query, execution_options={"yield_per": ROWS})
        for rows in result.partitions():
            write_rows(self._stream, table.name, columns, rows)
            self._entries += 1
            self.rows += len(rows)
            self._tell()

    def _files(self) -> Iterator[Path]:
        instance = self._platform.settings.instance
        certs = instance / "certs"
        yield from (certs / name for name in CERTIFICATES)
        server = self._platform.authority.server_file
        if server.name.startswith(IMPORTED):
            yield server
        if (instance / DEMO).exists():
            yield instance / DEMO

    def _versions(self) -> Iterator[tuple[Scope, Version, Sealer]]:
        with Session(self._connection) as session:
            for scope in every_tenant(self._platform, session, self._scope):
                for version in self._platform.registry.kept(session, scope):
                    yield scope, version, self._platform.registry.sealer(session, version)

    def _write_artefact(self, tenant: str, version: Version, sealer: Sealer) -> None:
        for role in version.files:
            self._write_file(tenant, version, role, sealer)
        self.artefacts += 1
        self._tell()

    def _write_file(self, tenant: str, version: Version, role: str, sealer: Sealer) -> None:
        try:
            artefact = self._platform.artefacts.open(version, role, sealer)
        except ArtefactMissing:
            if self._stands(version):
                raise
            raise _Disturbed from None
        self._entry(
            "artefact",
            artefact,
            tenant=tenant,
            model=version.model,
            number=version.number,
            role=role,
        )

    def _stands(self, version: Version) -> bool:
        """Say whether the version is registered now, and not only in the snapshot."""
        with self._platform.database.read() as session:
            row = session.get(VersionRow, version.id)
            return row is not None and row.sealed_key is not None

    def _entry(self, kind: str, body: bytes = b"", **members: Any) -> None:
        write_entry(self._stream, kind, body, **members)
        self._entries += 1

    def _count(self, table: Any) -> int:
        return self._connection.scalar(select(func.count()).select_from(table)) or 0

    def _tell(self) -> None:
        self._progress(self.rows + self.artefacts, self._total)


def settings_worth_keeping(settings: Settings) -> dict[str, Any]:
    """What was set otherwise than by default, without secrets and without this machine's paths."""
    values = {
        field.name: (getattr(settings, field.name), field.default)
        for field in fields(settings)
        if field.repr and field.name != "instance"
    }
    return {name: value for name, (value, default) in values.items() if value != default}


@contextmanager
def _snapshot(platform: Platform) -> Iterator[Connection]:
    """See the database as it is at one moment, while others go on writing."""
    options: dict[str, Any] = {}
    if platform.database.dialect == "postgresql":
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with platform.database.engine.connect().execution_options(**options) as connection:
        yield connection


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write beside the path, for nobody else to read, and move it into place when it is whole."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(partial, flags, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
