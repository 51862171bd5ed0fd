"""Versions that end their hosts: after a few times in a while they are not run any more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from config.database import Database
from models.records import IncidentRow, VersionRow
from models.versions import Version

MOST_CRASHES: Final = 3
WINDOW_SECONDS: Final = 600.0
MOST_LISTED: Final = 50
MOST_DETAIL: Final = 500
CRASHED: Final = "crashed"
BROKEN: Final = "broken"  # from here on it is not run


@dataclass(frozen=True, slots=True)
class Incident:
    """What happened to a version, and when (Unix time)."""

    at: float
    kind: str
    detail: str


class DatabaseIncidents:
    """Incidents of versions, in the database that all workers share.

    `on_break` is called in the transaction that breaks a version, so that whatever workers remember
    of it can be made to change with it.
    """

    def __init__(
        self,
        database: Database,
        *,
        on_break: Callable[[Session, Version], None] = lambda _session, _version: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._on_break = on_break
        self._clock = clock

    def record(self, version: Version, reason: str) -> None:
        """Note that a version has ended its host; the third time within ten minutes breaks it."""
        now = self._clock()
        with self._database.write() as session:
            if session.get(VersionRow, version.id) is None:  # deleted while it ran
                return
            session.execute(
                delete(IncidentRow).where(
                    IncidentRow.version_id == version.id,
                    IncidentRow.kind == CRASHED,
                    IncidentRow.at < now - WINDOW_SECONDS,
                )
            )
            self._add(session, version, now, CRASHED, reason)
            if self._crashes(session, version) >= MOST_CRASHES and not self._broken(
                session, version
            ):
                minutes = int(WINDOW_SECONDS // 60)
                detail = (
                    f"it ended its process {MOST_CRASHES} times in {minutes} min, last: {reason}"
                )
                self._add(session, version, now, BROKEN, detail)
                self._on_break(session, version)

    def open(self, version: Version) -> str | None:
        """Why a version is not to be run any more, or None while it may be."""
        with self._database.read() as session:
            return self._broken(session, version)

    def list(self, session: Session, version: Version) -> tuple[Incident, ...]:
        """What happened to a version lately, the newest first."""
        query = (
            select(IncidentRow)
            .where(_of(version))
            .order_by(IncidentRow.at.desc(), IncidentRow.id.desc())
            .limit(MOST_LISTED)
        )
        return tuple(Incident(row.at, row.kind, row.detail) for row in session.scalars(query))

    def reset(self, session: Session, version: Version) -> bool:
        """Forget a version's incidents, so that it is run again; False if there were none."""
        found = session.scalars(delete(IncidentRow).where(_of(version)).returning(IncidentRow.id))
        return bool(found.all())

    def _add(self, session: Session, version: Version, at: float, kind: str, detail: str) -> None:
        session.add(
            IncidentRow(
                tenant_id=version.tenant_id,
                version_id=version.id,
                at=at,
                kind=kind,
                detail=detail[:MOST_DETAIL],
            )
        )
        session.flush()

    def _crashes(self, session: Session, version: Version) -> int:
        crashes = select(func.count()).where(_of(version), IncidentRow.kind == CRASHED)
        return session.scalar(crashes) or 0

    def _broken(self, session: Session, version: Version) -> str | None:
        query = select(IncidentRow.detail).where(_of(version), IncidentRow.kind == BROKEN).limit(1)
        return session.scalar(query)


def _of(version: Version) -> Any:
    return (IncidentRow.version_id == version.id) & (IncidentRow.tenant_id == version.tenant_id)
