"""The filling of an empty installation from the entries of a backup, in one transaction."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import orjson
from sqlalchemy import Connection, Integer, MetaData, Table, func, select, text, update
from sqlalchemy.orm import Session

from auth.records import SessionRow
from certs.files import point, replace
from config import migrations
from models.manifest import MODEL
from models.records import VersionRow
from service.bootstrap import Platform
from service.errors import BackupBroken
from service.operations.backup_entries import Entry
from service.operations.instance_state import DEMO
from service.operations.tenants import operator_within

IMPORTED: Final = re.compile(r"certs/server-imported-[0-9a-f]{1,64}\.pem")
FILES: Final = frozenset({"certs/ca.pem", "certs/ca.key.sealed", "certs/crl.pem", DEMO})


class Restoration:
    """Takes a backup's entries in their order; nothing is committed here."""

    def __init__(self, platform: Platform, session: Session, path: Path) -> None:
        self._platform = platform
        self._session = session
        self._path = path
        self._tables: Mapping[str, Table] = {}
        self._artefacts = 0
        self._takes: Mapping[str, Callable[[Entry], None]] = {
            "about": self._take_about,
            "rows": self._take_rows,
            "loaded": self._take_loaded,
            "file": self._take_file,
            "artefact": self._take_artefact,
        }

    def take(self, entry: Entry) -> None:
        """Put one entry where it belongs."""
        self._takes[entry.kind](entry)

    def finish(self, name: str) -> None:
        """Check that everything is there, opens and verifies; record it and raise the epoch."""
        platform, session = self._platform, self._session
        kept = VersionRow.sealed_key.is_not(None)
        versions = session.scalar(select(func.count()).select_from(VersionRow).where(kept))
        if versions != self._artefacts:
            raise BackupBroken(
                self._path, f"{versions} model versions, {self._artefacts} artefacts"
            )
        platform.audit.verify(session)
        self._reseal()
        scope = operator_within(platform, session)
        platform.audit.append(
            session,
            actor=str(scope.principal),
            tenant_id=scope.tenant_id,
            action="installation.restore",
            subject=name,
            details={"sessions_ended": self._end_sessions()},
        )
        platform.epoch.raise_in(session)

    @property
    def _connection(self) -> Connection:
        return self._session.connection()

    def _take_about(self, entry: Entry) -> None:
        """Make the tables as they were when the backup was made."""
        revision = orjson.loads(entry.body)["revision"]
        migrations.upgrade_within(self._connection, revision=revision)
        metadata = MetaData()
        metadata.reflect(self._connection)
        self._tables = metadata.tables

    def _take_rows(self, entry: Entry) -> None:
        table = self._tables[entry.members["table"]]
        self._connection.execute(table.insert(), list(entry.rows()))

    def _take_loaded(self, _entry: Entry) -> None:
        """Bring the tables to this release's revision."""
        if self._platform.database.dialect == "postgresql":
            for table in self._tables.values():
                self._advance_sequence(table)
        migrations.upgrade_within(self._connection)

    def _advance_sequence(self, table: Table) -> None:
        """Let PostgreSQL number new rows after those that came with their numbers."""
        column = table.autoincrement_column
        if column is None or not isinstance(column.type, Integer) or not column.server_default:
            return
        largest = self._connection.scalar(select(func.max(column)))
        if largest is not None:
            self._connection.execute(
                text("SELECT setval(pg_get_serial_sequence(:table, :column), :largest)"),
                {"table": table.name, "column": column.name, "largest": largest},
            )

    def _take_file(self, entry: Entry) -> None:
        name = entry.members["path"]
        if name not in FILES and not IMPORTED.fullmatch(name):
            raise BackupBroken(self._path, f"{name!r} is no file of an installation")
        path = self._platform.settings.instance / name
        path.parent.mkdir(mode=0o755, exist_ok=True)
        body = self._rewritten(entry.body) if name == DEMO else entry.body
        replace(path, body, mode=entry.members["mode"])
        if IMPORTED.fullmatch(name):
            point(path.with_name("server.pem"), path)

    def _rewritten(self, demo: bytes) -> bytes:
        """The demo's file, with where this installation is and not where the other was."""
        platform = self._platform
        here = {"url": platform.settings.url, "ca": str(platform.authority.ca_file)}
        return orjson.dumps(orjson.loads(demo) | here, option=orjson.OPT_INDENT_2) + b"\n"

    def _take_artefact(self, entry: Entry) -> None:
        platform, members = self._platform, entry.members
        scope = operator_within(platform, self._session, members["tenant"])
        if "role" not in members:
            return  # of a version that an earlier release made, which this one does not serve
        found = platform.registry.find(self._session, scope, members["model"], members["number"])
        version = found.kept()
        sealer = platform.registry.sealer(self._session, version)
        platform.artefacts.put(version, members["role"], entry.body, sealer)
        self._artefacts += members["role"] == MODEL

    def _reseal(self) -> None:
        """Show that every secret opens; from here on the first master key is enough."""
        platform, session = self._platform, self._session
        for sealed in (platform.keys, platform.secrets, platform.tenants, platform.otp):
            sealed.reseal(session)
        platform.authority.ensure()
        platform.authority.reseal()

    def _end_sessions(self) -> int:
        """End every session: what ended between the backup and the loss must not come back."""
        open_sessions = SessionRow.ended_at.is_(None)
        count = self._session.scalar(select(func.count()).where(open_sessions)) or 0
        now = self._platform.clock()
        self._session.execute(update(SessionRow).where(open_sessions).values(ended_at=now))
        return count
