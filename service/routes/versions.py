"""The versions of a model."""

from __future__ import annotations

from typing import Any

from auth.permissions import Permission
from service.operations import versions
from service.pages import linked, paging
from service.parsing import Blueprint
from service.schemas import PageSchema
from service.schemas.models import VersionChangeSchema, VersionDetailSchema, VersionSchema
from service.security import current_platform, current_scope, requires

bp = Blueprint("versions", __name__, url_prefix="/models", description="Versions of a model.")

Members = dict[str, Any]


@bp.get("/<string:model>/versions")
@requires(Permission.MODELS_READ)
@bp.arguments(PageSchema, location="query")
@bp.response(200, VersionSchema(many=True))
def list_versions(query: Members, model: str) -> Any:
    """List a model's versions, newest first, a page at a time."""
    platform, scope = current_platform(), current_scope()
    return linked(versions.list_versions(platform, scope, model, **paging(query)))


@bp.get("/<string:model>/versions/<string:version>")
@requires(Permission.MODELS_READ)
@bp.response(200, VersionDetailSchema)
def show_version(model: str, version: str) -> versions.VersionDetail:
    """Show one version, by number or alias, with the whole report of its intake."""
    return versions.show_version(current_platform(), current_scope(), model, version)


@bp.patch("/<string:model>/versions/<string:version>")
@requires(Permission.MODELS_WRITE)
@bp.arguments(VersionChangeSchema)
@bp.response(200, VersionSchema)
@bp.alt_response(409, "CONFLICT")
@bp.alt_response(410, "GONE")
def change_version(body: Members, model: str, version: str) -> versions.VersionView:
    """Retire a version or put it into service again; pin or unpin it."""
    return versions.change_version(current_platform(), current_scope(), model, version, **body)


@bp.delete("/<string:model>/versions/<string:version>")
@requires(Permission.MODELS_WRITE)
@bp.response(204)
@bp.alt_response(409, "CONFLICT")
@bp.alt_response(410, "GONE")
def delete_version(model: str, version: str) -> None:
    """Delete a version for good: its key is destroyed, its number stays on record."""
    versions.delete_version(current_platform(), current_scope(), model, version)
