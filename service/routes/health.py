"""Whether the platform is up, and its metrics."""

from __future__ import annotations

from typing import Any

import flask

from auth.permissions import Permission
from service.operations import health
from service.parsing import Blueprint
from service.security import current_platform, public, requires

bp = Blueprint("health", __name__, description="Health and metrics.")


@bp.get("/health/live")
@bp.alt_response(200, success=True, description="The process answers.")
@public
def live() -> dict[str, Any]:
    """Say that this process answers."""
    return {"status": "live"}


@bp.get("/health/ready")
@bp.alt_response(200, success=True, description="Predictions can be served.")
@bp.alt_response(503, description="A store that predictions need does not answer.")
@public
def ready() -> tuple[dict[str, Any], int]:
    """Say whether the stores answer, so that a load balancer may send requests."""
    checks = health.readiness(current_platform())
    is_ready = all(checks.values())
    state = {name: "ok" if passed else "failing" for name, passed in checks.items()}
    return {"status": "ready" if is_ready else "not ready", "checks": state}, (
        200 if is_ready else 503
    )


@bp.get("/metrics")
@bp.alt_response(200, success=True, description="Prometheus text format.")
@requires(Permission.METRICS)
def metrics() -> flask.Response:
    """Give the metrics of all workers; for an operator's service account."""
    body = current_platform().telemetry.exposition()
    return flask.Response(body, content_type="text/plain; version=0.0.4; charset=utf-8")
