"""Checks of models' files: the store answers, champions are there, everything opens."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from sqlalchemy.orm import Session

from auth.scope import Scope
from models.register.entries import Entry
from service.bootstrap import Platform
from service.operations.tenants import every_tenant, operator_within
from service.operations.verdicts import Verdict, failed, ok, warning

BACKUP = "restore the newest good backup: manage.py restore"
PROBE_BYTES = 64


def store(platform: Platform) -> Verdict:
    """The store of artefacts gives back what it is given."""
    if not platform.artefacts.probe(secrets.token_bytes(PROBE_BYTES)):
        return failed(
            f"the {platform.artefacts.place} gives back something else",
            "look at SALLYPORT_ARTEFACTS_URL and what stands between",
        )
    return ok(platform.artefacts.place)


def champions(platform: Platform) -> Verdict:
    """Every champion's files are in the store."""
    count, outdated = 0, []
    for entry in _champions(platform):
        count += 1
        if entry.version is None:
            outdated.append(repr(entry.model))
        elif not platform.artefacts.holds(entry.version):
            return failed(
                f"the artefact of {entry.model!r} version {entry.number} is missing", BACKUP
            )
    if outdated:
        return warning(
            f"registered by an earlier release and not served: {', '.join(outdated)}",
            "import their files again: manage.py models import",
        )
    return ok(f"{count} champions")


def artefacts(platform: Platform) -> Verdict:
    """Every version's files open and are what was registered."""
    count = strays = 0
    with platform.database.read() as session:
        for scope in _tenants(platform, session):
            versions = list(platform.registry.kept(session, scope))
            for version in versions:
                sealer = platform.registry.sealer(session, version)
                for role in version.files:
                    platform.artefacts.open(version, role, sealer)
            count += len(versions)
            strays += len(platform.artefacts.strays(scope.tenant_id, versions))
    return ok(f"{count} versions; {strays} files of none, which nobody can open")


def _champions(platform: Platform) -> Iterator[Entry]:
    with platform.database.read() as session:
        for scope in _tenants(platform, session):
            for model in platform.registry.models(session, scope):
                yield platform.registry.find(session, scope, model.name)


def _tenants(platform: Platform, session: Session) -> Iterator[Scope]:
    return every_tenant(platform, session, operator_within(platform, session))
