"""What a tenant serves, as its members see it."""

from __future__ import annotations

from typing import Any

from auth.permissions import Permission
from service.operations import models
from service.pages import linked, paging
from service.parsing import Blueprint
from service.schemas import PageSchema
from service.schemas.models import ModelDeletionSchema, ModelDetailSchema, ModelSchema
from service.security import current_platform, current_scope, requires

bp = Blueprint("models", __name__, url_prefix="/models", description="Models and versions.")


@bp.get("")
@requires(Permission.MODELS_READ)
@bp.arguments(PageSchema, location="query")
@bp.response(200, ModelSchema(many=True))
def list_models(query: dict[str, Any]) -> Any:
    """List the models that the caller may see, a page at a time."""
    return linked(models.list_models(current_platform(), current_scope(), **paging(query)))


@bp.get("/<string:model>")
@requires(Permission.MODELS_READ)
@bp.response(200, ModelDetailSchema)
def show_model(model: str) -> models.ModelDetail:
    """Show one model: its versions, and what its champion takes and gives."""
    return models.show_model(current_platform(), current_scope(), model)


@bp.delete("/<string:model>")
@requires(Permission.MODELS_WRITE)
@bp.arguments(ModelDeletionSchema, location="query")
@bp.response(204)
@bp.alt_response(409, "CONFLICT")
def delete_model(query: dict[str, Any], model: str) -> None:
    """Delete a model with all of its versions, for good."""
    models.delete_model(current_platform(), current_scope(), model, **query)
