"""The models of a tenant: imported by the operator, listed and shown to members."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from auth.permissions import Permission
from auth.scope import Scope
from config.sealing import Sealer
from models import intake
from models.errors import ModelNotFound
from models.names import MODEL_NAME
from models.registry import Model
from models.signature import Signature
from models.versions import Version
from service.bootstrap import Platform
from service.operations.recording import recorded

FORMATS: Final = ("skops", "joblib")  # what an operator vouches for


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model in a listing."""

    name: str
    default: bool
    champion: int
    versions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelDetail:
    """A model with what its champion takes and gives."""

    name: str
    default: bool
    champion: int
    versions: tuple[int, ...]
    task: str
    engine: str
    inputs: tuple[dict[str, str], ...]
    classes: tuple[Any, ...] | None


def list_models(platform: Platform, scope: Scope) -> list[ModelView]:
    """The models of the tenant that the scope may see."""
    with platform.database.read() as session:
        models = platform.registry.models(session, scope)
    return [_view(m) for m in models if scope.allows(Permission.MODELS_READ, m.name)]


def show_model(platform: Platform, scope: Scope, name: str) -> ModelDetail:
    """One model; raises ModelNotFound."""
    model = _find(platform, scope, name)
    champion = _champion(model)
    signature = champion.signature
    return ModelDetail(
        **_members(model),
        task=signature.task,
        engine=champion.manifest.contents.engine,
        inputs=tuple({"name": name, "type": "number"} for name in _columns(signature)),
        classes=signature.classes,
    )


def show_manifests(platform: Platform, scope: Scope, name: str) -> list[dict[str, Any]]:
    """The signed manifest of every version, parity report included."""
    return [version.manifest.as_json() for version in _find(platform, scope, name).versions]


def import_model(
    platform: Platform,
    scope: Scope,
    name: str,
    path: Path,
    *,
    promote: bool = False,
    accept_version: bool = False,
    progress: intake.Progress | None = None,
) -> Version:
    """Open a model file that the operator vouches for, and register what it was rebuilt into.

    Operators only, and only from the command line: the file may be a pickle, and there is no
    sandbox yet to open one from anybody else in.
    """
    scope.require(Permission.TENANTS)
    scope.require(Permission.MODELS_WRITE, name)
    prepared = intake.import_file(
        path,
        formats=FORMATS,
        version_policy="accept" if accept_version else "refuse",
        on_progress=progress,
    )
    with recorded(platform, scope, Permission.MODELS_WRITE, "models.import", name) as act:
        version = platform.registry.register(
            act.session,
            scope,
            name,
            prepared.contents,
            created_by=str(scope.principal),
            promote=promote,
        )
        sealer = Sealer((platform.tenants.data_key(act.session, scope),))
        for role, blob in prepared.blobs.items():
            platform.artefacts.put(version, role, blob, sealer)
        act.details |= {"version": version.number, "digest": version.digest}
    return version


def set_default(
    platform: Platform, scope: Scope, name: str, version: int | str | None = None
) -> ModelView:
    """Let a model answer requests that name none; a version given becomes its champion."""
    with recorded(platform, scope, Permission.MODELS_WRITE, "models.set-default", name) as act:
        if version is not None:
            platform.registry.set_alias(act.session, scope, name, "champion", version)
        platform.registry.set_default(act.session, scope, name)
        act.details["version"] = version
        return _view(platform.registry.show(act.session, scope, name))


def _find(platform: Platform, scope: Scope, name: str) -> Model:
    scope.require(Permission.MODELS_READ, name)
    if not MODEL_NAME.fullmatch(name):
        raise ModelNotFound(name)  # a text that no model has, and that a database may not take
    with platform.database.read() as session:
        return platform.registry.show(session, scope, name)


def _champion(model: Model) -> Version:
    if model.champion is None:
        raise ModelNotFound(model.name)
    return model.champion


def _members(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "default": model.is_default,
        "champion": _champion(model).number,
        "versions": tuple(version.number for version in model.versions),
    }


def _view(model: Model) -> ModelView:
    return ModelView(**_members(model))


def _columns(signature: Signature) -> tuple[str, ...]:
    return signature.feature_names or tuple(f"x{n}" for n in range(signature.columns))
