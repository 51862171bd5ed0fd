"""Versions of a model: listed, shown with their whole report, retired, pinned and deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import structlog

from auth.permissions import Permission
from auth.rows import Page
from auth.scope import Scope
from models.errors import StoreUnavailable
from models.names import Reference
from models.register.entries import Entry
from models.register.incidents import DatabaseIncidents, Incident
from service.bootstrap import Platform
from service.operations import statistics
from service.operations.cursors import number_before
from service.operations.recording import recorded

log = structlog.get_logger("sallyport.models")


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionView:
    """A version in a listing; what an outdated one was made of is not known."""

    model: str
    version: int
    state: str
    pinned: bool
    aliases: tuple[str, ...]
    created_by: str
    created_at: float
    estimator: str | None
    engine: str | None
    size: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionDetail(VersionView):
    """A version with the whole of its signed manifest: what it is, and how that was proven."""

    manifest: Mapping[str, Any] | None
    incidents: tuple[Incident, ...]


def list_versions(
    platform: Platform, scope: Scope, name: str, *, cursor: str | None = None, limit: int = 100
) -> Page[VersionView]:
    """A page of a model's versions, newest first; deleted ones stay on record."""
    scope.require(Permission.MODELS_READ, name)
    before = number_before(cursor)
    with platform.database.read() as session:
        entries = platform.registry.page(session, scope, name, before=before, limit=limit + 1)
        aliases = platform.registry.show(session, scope, name).aliases
    more = len(entries) > limit
    views = tuple(VersionView(**_members(entry, aliases)) for entry in entries[:limit])
    return Page(views, str(views[-1].version) if more else None)


def show_version(platform: Platform, scope: Scope, name: str, version: Reference) -> VersionDetail:
    """One version, by number or alias, in whatever state; raises ModelNotFound."""
    scope.require(Permission.MODELS_READ, name)
    with platform.database.read() as session:
        entry = platform.registry.find(session, scope, name, version)
        aliases = platform.registry.show(session, scope, name).aliases
        found = entry.version
        incidents = _incidents(platform).list(session, found) if found else ()
    manifest = found.manifest.as_json() if found else None
    return VersionDetail(**_members(entry, aliases), manifest=manifest, incidents=incidents)


def change_version(
    platform: Platform,
    scope: Scope,
    name: str,
    version: Reference,
    *,
    state: Literal["active", "retired"] | None = None,
    pinned: bool | None = None,
) -> VersionView:
    """Retire or activate a version, pin or unpin it; all of what is asked, or nothing.

    A version that was activated is run again, however often it has crashed before.
    """
    life = platform.registry.life_cycle
    with _recorded(platform, scope, "models.change-version", name) as act:
        target = (act.session, scope, name, version)
        entry = platform.registry.find(*target)
        if state == "retired":
            entry = life.retire(*target)
        if state == "active":
            entry = life.activate(*target)
            _incidents(platform).reset(act.session, entry.kept())
        if pinned is not None:
            entry = life.pin(*target, pinned=pinned)
        act.details |= {"version": entry.number, "state": entry.state, "pinned": entry.pinned}
        aliases = platform.registry.show(act.session, scope, name).aliases
    return VersionView(**_members(entry, aliases))


def delete_version(platform: Platform, scope: Scope, name: str, version: Reference) -> VersionView:
    """Destroy a version's key, and with it the version; its number and manifest stay on record."""
    with _recorded(platform, scope, "models.delete-version", name) as act:
        entry = platform.registry.life_cycle.delete(act.session, scope, name, version)
        act.details["version"] = entry.number
    remove_files(platform, [entry])
    statistics.forget(platform, scope.tenant_id, name, entry.number)
    return VersionView(**_members(entry, {}))


def remove_files(platform: Platform, deleted: Iterable[Entry]) -> None:
    """Take what is left of deleted versions out of the stores.

    Their keys are gone with the commit, so that a file which cannot be removed now is noise.
    """
    platform.database.forget_deleted()
    try:
        for entry in deleted:
            if entry.version is not None:
                platform.artefacts.delete(entry.version)
    except StoreUnavailable as error:
        log.warning("files of deleted versions were left in the store", reason=error.problem)


def _incidents(platform: Platform) -> DatabaseIncidents:
    return DatabaseIncidents(platform.database, clock=platform.clock)


def _recorded(platform: Platform, scope: Scope, action: str, name: str) -> Any:
    return recorded(platform, scope, Permission.MODELS_WRITE, action, name, model=name)


def _members(entry: Entry, aliases: Mapping[str, int]) -> dict[str, Any]:
    contents = entry.version.manifest.contents if entry.version else None
    return {
        "model": entry.model,
        "version": entry.number,
        "state": entry.state,
        "pinned": entry.pinned,
        "aliases": tuple(alias for alias, number in aliases.items() if number == entry.number),
        "created_by": entry.created_by,
        "created_at": entry.created_at,
        "estimator": contents and contents.estimator,
        "engine": contents and contents.engine,
        "size": contents and contents.size,
    }
