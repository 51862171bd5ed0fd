"""Whether the platform is up, and its metrics."""

from __future__ import annotations

from typing import Any

import flask

from auth.permissions import Permission
from service.operations import health
from service.parsing import Blueprint
from service.schemas import TEXT
from service.schemas.answers import LiveSchema, ReadySchema
from service.security import current_platform, public, requires

bp = Blueprint("health", __name__, description="Health and metrics.")


@bp.get("/health/live")
@bp.response(200, LiveSchema)
@public
def live() -> dict[str, Any]:
    """Say that this process answers."""
    return {"status": "live"}


@bp.get("/health/ready")
@bp.response(200, ReadySchema)
@bp.alt_response(503, "SERVICE_UNAVAILABLE")
@public
def ready() -> dict[str, Any]:
    """Say whether the stores answer, so that a load balancer may send requests."""
    return {"status": "ready", "checks": health.require_ready(current_platform())}


@bp.get("/metrics")
@bp.alt_response(200, schema=TEXT, content_type="text/plain", success=True)
@requires(Permission.METRICS)
def metrics() -> flask.Response:
    """Give the metrics of all workers; for an operator's service account."""
    body = current_platform().telemetry.exposition()
    return flask.Response(body, content_type="text/plain; version=0.0.4; charset=utf-8")
