"""Checks of what the platform keeps: database, keys, certificates, counters, audit."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from sqlalchemy import func, select, text

from auth.records import AuditRow, SigningKeyRow
from certs.inspection import DAY, Description
from certs.names import uncovered
from config import migrations
from config.counters import Charge
from config.epoch import EpochRow
from service.bootstrap import Platform
from service.operations import artefact_checks
from service.operations.verdicts import Verdict, failed, ok, warning

PROBE: Final = 3  # charges admitted by the probe of the counters
MINUTE: Final = 60.0
EARLIEST: Final = 1_767_225_600.0  # 2026-01-01: this code did not exist before


def database(platform: Platform) -> Verdict:
    """The database answers, in the mode that its promises need."""
    with platform.database.read() as session:
        session.execute(text("SELECT 1"))
        if platform.database.dialect != "sqlite":
            return ok(platform.database.dialect)
        mode = session.scalar(text("PRAGMA journal_mode"))
    if mode != "wal":
        return failed(f"SQLite in {mode} mode", "put the database on a local disk: WAL needs one")
    return ok("SQLite in WAL mode")


def revision(platform: Platform) -> Verdict:
    """The tables are those of this release."""
    migrations.check(platform.database)
    return ok(migrations.newest_revision())


def sealed(platform: Platform) -> Verdict:
    """Every sealed secret opens: keys, tenants' keys, second factors, the authority's key."""
    with suppress(_Undone), platform.database.write() as session:
        # Sealing anew opens everything; it is undone.
        platform.secrets.reseal(session)
        platform.tenants.reseal(session)
        platform.keys.reseal(session)
        platform.otp.reseal(session)
        raise _Undone
    platform.authority.check()
    return ok("everything opens")


def signing_key(platform: Platform) -> Verdict:
    """Exactly one key signs."""
    active = SigningKeyRow.state == "active"
    with platform.database.read() as session:
        count = session.scalar(select(func.count()).select_from(SigningKeyRow).where(active))
        if count != 1:
            return failed(f"{count} active signing keys", "run: manage.py keys rotate --emergency")
        return ok(platform.keys.signer(session).kid)


def certificate(platform: Platform) -> Verdict:
    """The server certificate is valid, not about to end, and names this server."""
    found = platform.authority.describe()
    renew = _remedy(found)
    missing = uncovered(platform.settings.server_names, found.names)
    if missing:
        return failed(f"it does not name {', '.join(missing)}", renew)
    if found.days_left <= 0:
        return failed(f"it expired {-found.days_left:.1f} days ago", renew)
    if found.not_before > platform.clock():
        return failed("it is not valid yet", "set the clock right")
    if platform.authority.needs_renewal():
        return warning(f"it expires in {found.days_left:.1f} days", renew)
    return ok(f"{found.days_left:.0f} days left, for {', '.join(found.names)}")


def counters(platform: Platform) -> Verdict:
    """The counter store admits exactly as many as the limit."""
    # Random, so that two doctors at once do not count each other.
    charge = Charge(("doctor", secrets.token_hex(8)), 1, PROBE, MINUTE, "doctor")
    verdicts = [platform.counters.charge([charge]) for _ in range(PROBE + 1)]
    if not all(verdict.shared for verdict in verdicts):
        return failed("the counter store does not answer", "look at SALLYPORT_COUNTERS_URL")
    admitted = sum(verdict.allowed for verdict in verdicts)
    for verdict in verdicts:
        platform.counters.refund(verdict)
    if admitted != PROBE:
        return failed(
            f"it admitted {admitted} of {PROBE}", "stop the server, remove the state folder"
        )
    return ok("shared and exact")


def epoch(platform: Platform) -> Verdict:
    """This machine's copy of the epoch is not behind the database."""
    copy = platform.epoch.current()
    with platform.database.read() as session:
        committed = session.scalar(select(func.max(EpochRow.value))) or 0
    if copy < committed and platform.epoch.refresh() < committed:
        return failed(f"{copy}, the database has {committed}", "remove state/epoch.lmdb, restart")
    return ok(str(committed))


def clock(platform: Platform) -> Verdict:
    """The clock is not before what is on record."""
    now = platform.clock()
    with platform.database.read() as session:
        last = session.scalar(select(func.max(AuditRow.at))) or 0.0
    if now < EARLIEST or now < last - MINUTE:
        return failed(
            f"the clock is {(max(last, EARLIEST) - now) / DAY:.1f} days behind the last record",
            "set the clock right: tokens, keys and certificates go by it",
        )
    return ok("after the last record")


def audit_end(platform: Platform) -> Verdict:
    """The audit trail ends where its sealed head says."""
    with platform.database.read() as session:
        head = platform.audit.head(session)
        count = session.scalar(select(func.count()).select_from(AuditRow))
        link = session.scalar(select(AuditRow.link).where(AuditRow.sequence == head.count))
    if count != head.count or (head.count and link != head.link):
        return failed(
            f"{count} records, the sealed head counts {head.count}",
            "run manage.py audit verify, and find out who altered the database",
        )
    return ok(str(head))


def audit_chain(platform: Platform) -> Verdict:
    """Every record of the audit trail is as it was written."""
    with platform.database.read() as session:
        return ok(str(platform.audit.verify(session)))


def _remedy(found: Description) -> str:
    if found.source == "imported":
        return "renew it where it came from, then: manage.py certs import"
    return "run: manage.py certs renew"


class _Undone(Exception):
    """Raised to undo a transaction that was only tried."""


Checks = Mapping[str, Callable[[Platform], Verdict]]
FIRST: Final[Checks] = {"database": database, "revision": revision}
CHECKS: Final[Checks] = {
    "sealed secrets": sealed,
    "signing key": signing_key,
    "certificate": certificate,
    "counters": counters,
    "epoch": epoch,
    "clock": clock,
    "store": artefact_checks.store,
}
QUICK: Final[Checks] = {"audit": audit_end, "artefacts": artefact_checks.champions}
DEEP: Final[Checks] = {"audit": audit_chain, "artefacts": artefact_checks.artefacts}
