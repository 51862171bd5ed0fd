"""The aliases of a model's versions."""

from __future__ import annotations

from typing import Any

from auth.permissions import Permission
from models.register.aliases import Move
from service.conditional import NO_STATE, expected, heeds_conditions, is_tagged, shown
from service.operations import aliases
from service.pages import linked, paging
from service.parsing import Blueprint
from service.schemas import PageSchema
from service.schemas.models import (
    AliasDetailSchema,
    AliasSchema,
    MoveSchema,
    PromotionSchema,
    ReasonSchema,
)
from service.security import current_platform, current_scope, requires

bp = Blueprint("aliases", __name__, url_prefix="/models", description="Names of versions.")

Members = dict[str, Any]


@bp.get("/<string:model>/aliases")
@is_tagged
@requires(Permission.MODELS_READ)
@bp.arguments(PageSchema, location="query")
@bp.response(200, AliasSchema(many=True))
def list_aliases(query: Members, model: str) -> Any:
    """List a model's aliases, a page at a time."""
    shown(NO_STATE)
    return linked(aliases.list_aliases(current_platform(), current_scope(), model, **paging(query)))


@bp.get("/<string:model>/aliases/<string:alias>")
@is_tagged
@requires(Permission.MODELS_READ)
@bp.response(200, AliasDetailSchema)
def show_alias(model: str, alias: str) -> aliases.AliasDetail:
    """Show one alias: where it points, and where it pointed before."""
    detail = aliases.show_alias(current_platform(), current_scope(), model, alias)
    shown(detail.state)
    return detail


@bp.put("/<string:model>/aliases/<string:alias>")
@heeds_conditions
@requires(Permission.MODELS_WRITE)
@bp.arguments(PromotionSchema)
@bp.response(200, MoveSchema)
@bp.alt_response(409, "CONFLICT")
@bp.alt_response(410, "GONE")
def set_alias(body: Members, model: str, alias: str) -> Move:
    """Point an alias at a version that is shown to open first; every worker follows at once."""
    platform, scope = current_platform(), current_scope()
    return aliases.promote(platform, scope, model, alias, **body, expected=expected())


@bp.delete("/<string:model>/aliases/<string:alias>")
@heeds_conditions
@requires(Permission.MODELS_WRITE)
@bp.response(204)
@bp.alt_response(409, "CONFLICT")
def remove_alias(model: str, alias: str) -> None:
    """Remove an alias; the champion can only be moved."""
    platform, scope = current_platform(), current_scope()
    aliases.remove_alias(platform, scope, model, alias, expected=expected())


@bp.post("/<string:model>/aliases/<string:alias>/rollback")
@heeds_conditions
@requires(Permission.MODELS_WRITE)
@bp.arguments(ReasonSchema, location="query")
@bp.response(200, MoveSchema)
@bp.alt_response(409, "CONFLICT")
@bp.alt_response(410, "GONE")
def roll_back(query: Members, model: str, alias: str) -> Move:
    """Point an alias back where it pointed before, and say from where to where."""
    platform, scope = current_platform(), current_scope()
    return aliases.roll_back(platform, scope, model, alias, **query, expected=expected())
