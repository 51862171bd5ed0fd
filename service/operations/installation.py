"""An installation's beginning: the folder, the master key, the database, the first keys."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from auth.scope import Scope
from certs.files import PRIVATE, locked, replace
from config import migrations
from config.database import Database
from config.settings import MASTER_KEY_BYTES, Settings, load_settings
from service.bootstrap import Platform, assemble
from service.errors import InstanceExists
from service.operations.demonstration import add_demo
from service.operations.instance_state import (
    MASTER_KEY,
    exists,
    has_demo,
    is_complete,
    refuse_unfinished,
    unfinished,
)
from service.operations.tenants import operator_scope

INITIALISING: Final = "init"


@dataclass(frozen=True, slots=True)
class Revision:
    """Where the database was and where it is."""

    before: str | None
    revision: str


def initialise(instance: Path, *, demo: bool = False, if_absent: bool = False) -> Iterator[str]:
    """Make an installation and say what was made; what an interrupted run left is completed."""
    refuse_unfinished(instance, but=INITIALISING)
    if exists(instance):
        if not (demo or if_absent):
            raise InstanceExists(instance)
        if is_complete(instance, demo=demo):
            return
    instance.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(instance):
        if not exists(instance):
            with unfinished(instance, INITIALISING):
                yield from _begin(instance)
                if demo:
                    yield from _demo(instance)
        elif demo and not has_demo(instance):
            yield from _demo(instance)


def upgrade_database(settings: Settings) -> Revision:
    """Bring the database to this release's revision."""
    database = Database(settings.database)
    try:
        before = migrations.revision_of(database)
        migrations.upgrade(database)
    finally:
        database.close()
    return Revision(before, migrations.newest_revision())


def check_database(settings: Settings) -> Revision:
    """Raise DatabaseOutOfDate unless the database is at this release's revision."""
    database = Database(settings.database)
    try:
        migrations.check(database)
    finally:
        database.close()
    return Revision(migrations.newest_revision(), migrations.newest_revision())


def ensure(platform: Platform) -> Scope:
    """Make what a platform needs besides its schema, where it is absent; returns the operator."""
    with platform.database.write() as session:
        platform.tenants.ensure_platform(session)
    with platform.database.write() as session:
        platform.keys.ensure(session)
        platform.epoch.raise_in(session)
    platform.authority.ensure()
    platform.epoch.publish()
    return operator_scope(platform)


def _begin(instance: Path) -> Iterator[str]:
    instance.chmod(0o700)
    if make_master_key(instance):
        yield f"master key: {instance / MASTER_KEY} (keep a copy elsewhere: no backup holds it)"
    settings = load_settings(instance)
    revision = upgrade_database(settings)
    yield f"database: revision {revision.revision}"
    platform = assemble(settings)
    try:
        scope = ensure(platform)
        _record(platform, scope)
    finally:
        platform.close()
    yield f"signing keys: {settings.signing_algorithm}"
    yield f"certificate authority: {platform.authority.ca_file} (give it to clients)"


def make_master_key(instance: Path) -> bool:
    """Make a master key file unless the environment or the folder has one; say whether it was."""
    path = instance / MASTER_KEY
    if path.exists() or any(
        os.environ.get(f"SALLYPORT_MASTER_KEY{suffix}") for suffix in ("", "_FILE")
    ):
        return False
    replace(path, base64.b64encode(os.urandom(MASTER_KEY_BYTES)) + b"\n", mode=PRIVATE)
    return True


def _record(platform: Platform, scope: Scope) -> None:
    with platform.database.write() as session:
        if platform.audit.head(session).count:
            return
        platform.audit.append(
            session,
            actor=str(scope.principal),
            tenant_id=scope.tenant_id,
            action="installation.init",
            subject=scope.tenant,
        )


def _demo(instance: Path) -> Iterator[str]:
    platform = assemble(load_settings(instance))
    try:
        migrations.check(platform.database)
        yield from add_demo(platform)
    finally:
        platform.close()
