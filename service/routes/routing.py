"""How a model's calls are divided between its versions, and what came of it."""

from __future__ import annotations

from typing import Any

import flask

from auth.permissions import Permission
from service.conditional import expected, heeds_conditions, is_tagged, shown
from service.operations import routing
from service.parsing import Blueprint
from service.schemas.routing import RouteQuerySchema, RouteReportSchema, RouteSchema
from service.security import current_platform, current_scope, requires

bp = Blueprint("routing", __name__, url_prefix="/models", description="Routes between versions.")


@bp.get("/<string:model>/route")
@is_tagged
@requires(Permission.MODELS_READ)
@bp.arguments(RouteQuerySchema, location="query")
@bp.response(200, RouteReportSchema)
def show_route(query: dict[str, Any], model: str) -> routing.RouteReport:
    """Show a model's route, and what its versions did of late."""
    report = routing.show_route(current_platform(), current_scope(), model, **query)
    shown(report.state)
    return report


@bp.put("/<string:model>/route")
@heeds_conditions
@requires(Permission.MODELS_WRITE)
@bp.arguments(RouteSchema)
@bp.response(200, RouteReportSchema)
def set_route(body: dict[str, Any], model: str) -> routing.RouteReport:
    """Divide the calls that name no version between versions of a model."""
    platform, scope = current_platform(), current_scope()
    return routing.set_route(platform, scope, model, body, expected=expected())


@bp.delete("/<string:model>/route")
@heeds_conditions
@requires(Permission.MODELS_WRITE)
@bp.response(204)
def delete_route(model: str) -> flask.Response:
    """Let the champion answer every call that names no version again."""
    routing.delete_route(current_platform(), current_scope(), model, expected=expected())
    return flask.Response(status=204)
