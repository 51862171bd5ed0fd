"""The models of a tenant: listed, shown, made the default, and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from auth.permissions import Permission
from auth.rows import Page
from auth.scope import Scope
from models.errors import RouteNotFound
from models.names import CHAMPION, Reference
from models.register.listing import Model
from models.signature import Signature
from service.bootstrap import Platform
from service.errors import InputMalformed
from service.operations import statistics
from service.operations.aliases import proven
from service.operations.gates import admit, confirm
from service.operations.prediction_logs import end_any_log
from service.operations.recording import recorded
from service.operations.versions import remove_files


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model in a listing; it has no champion while no version has passed its gate."""

    name: str
    default: bool
    champion: int | None
    versions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ColumnView:
    """An input column, with the values of a text that the model knows."""

    name: str
    type: str
    values: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class ModelDetail:
    """A model with what its champion takes and gives, or its latest version while it has none."""

    name: str
    default: bool
    champion: int | None
    versions: tuple[int, ...]
    aliases: Mapping[str, int]
    task: str
    engine: str
    methods: tuple[str, ...]
    inputs: tuple[ColumnView, ...]
    classes: tuple[Any, ...] | None
    route: dict[str, Any] | None


def list_models(
    platform: Platform, scope: Scope, *, cursor: str | None = None, limit: int = 100
) -> Page[ModelView]:
    """A page of the tenant's models in order of name: of them, those that the scope may see."""
    with platform.database.read() as session:
        models = platform.registry.models(session, scope, after=cursor, limit=limit + 1)
    more = len(models) > limit
    allowed = (m for m in models[:limit] if scope.allows(Permission.MODELS_READ, m.name))
    return Page(tuple(map(_view, allowed)), models[limit - 1].name if more else None)


def show_model(platform: Platform, scope: Scope, name: str) -> ModelDetail:
    """One model; raises ModelNotFound."""
    scope.require(Permission.MODELS_READ, name)
    with platform.database.read() as session:
        model = platform.registry.show(session, scope, name)
        number = model.champion or model.versions[-1].number
        shown = platform.registry.find(session, scope, name, number).kept()
        route = _route(platform, session, scope, name)
    signature = shown.signature
    return ModelDetail(
        **_members(model),
        aliases=model.aliases,
        task=signature.task,
        engine=shown.manifest.contents.engine,
        methods=tuple(signature.methods),
        inputs=tuple(_column(signature, position) for position in range(signature.columns)),
        classes=signature.classes,
        route=route,
    )


def show_manifests(platform: Platform, scope: Scope, name: str) -> list[dict[str, Any]]:
    """The signed manifest of every version that is kept, oldest first."""
    scope.require(Permission.MODELS_READ, name)
    with platform.database.read() as session:
        model = platform.registry.show(session, scope, name)
        found = [platform.registry.find(session, scope, name, v.number) for v in model.versions]
    return [entry.version.manifest.as_json() for entry in found if entry.version]


def set_default(
    platform: Platform, scope: Scope, name: str, version: Reference = None
) -> ModelView:
    """Let a model answer requests that name none; a version given becomes its champion."""
    by = str(scope.principal)
    target = None if version is None else proven(platform, scope, name, version)
    admission = None if target is None else admit(platform, scope, target, CHAMPION)
    with recorded(platform, scope, Permission.MODELS_WRITE, "models.set-default", name) as act:
        if target is not None and admission is not None:
            confirm(platform, act, scope, name, CHAMPION, admission)
            platform.registry.aliases.set(act.session, scope, name, CHAMPION, target.number, by=by)
        platform.registry.set_default(act.session, scope, name)
        act.details["version"] = version
        return _view(platform.registry.show(act.session, scope, name))


def delete_model(platform: Platform, scope: Scope, name: str, *, confirm: str) -> ModelView:
    """Delete a model with every version, its aliases and its route; raises VersionPinned.

    It goes out of service while it serves, so that its name has to be said twice.
    """
    scope.require(Permission.MODELS_WRITE, name)
    if confirm != name:
        raise InputMalformed({"/confirm": "not the name of the model, which is to be said twice"})
    with recorded(
        platform, scope, Permission.MODELS_WRITE, "models.delete", name, model=name
    ) as act:
        view = _view(platform.registry.show(act.session, scope, name))
        end_any_log(platform, act.session, scope, name)
        deleted = platform.registry.life_cycle.delete_model(
            act.session, scope, name, by=str(scope.principal)
        )
        act.details["versions"] = [entry.number for entry in deleted]
    remove_files(platform, deleted)
    statistics.forget(platform, scope.tenant_id, name)
    return view


def _members(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "default": model.is_default,
        "champion": model.champion,
        "versions": tuple(version.number for version in model.versions),
    }


def _route(platform: Platform, session: Session, scope: Scope, name: str) -> dict[str, Any] | None:
    try:
        return platform.routing.show(session, scope, name).route.as_json()
    except RouteNotFound:
        return None


def _view(model: Model) -> ModelView:
    return ModelView(**_members(model))


def _column(signature: Signature, position: int) -> ColumnView:
    kind = signature.kinds[position] if signature.kinds else "number"
    return ColumnView(signature.column(position), kind, signature.categories.get(position))
