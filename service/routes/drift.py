"""How far what a model is asked is from what it was trained on."""

from __future__ import annotations

from typing import Any, Final

import flask

from auth.permissions import Permission
from service.operations import drift
from service.parsing import Blueprint
from service.schemas import LARGEST
from service.schemas.drift import DriftQuerySchema, DriftSchema
from service.security import current_platform, current_scope, requires

HTML: Final = "text/html"
PAGE: Final = {"type": "string", "format": "text", "maxLength": LARGEST}
# The names of columns and the values of cells come from strangers: escaped, and of no effect.
POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"

bp = Blueprint("drift", __name__, url_prefix="/models", description="Drift of what is asked.")


@bp.get("/<string:model>/drift")
@requires(Permission.PREDICTIONS_READ)
@bp.arguments(DriftQuerySchema, location="query")
@bp.response(200, DriftSchema)
@bp.alt_response(409, "CONFLICT")
def show_drift(query: dict[str, Any], model: str) -> drift.DriftReport:
    """Compare what was logged with what the champion, or another version, was trained on."""
    return drift.show_drift(current_platform(), current_scope(), model, **_asked(query))


@bp.get("/<string:model>/drift/report")
@requires(Permission.PREDICTIONS_READ)
@bp.arguments(DriftQuerySchema, location="query")
@bp.alt_response(200, schema=PAGE, content_type=HTML, success=True)
@bp.alt_response(409, "CONFLICT")
def show_report(query: dict[str, Any], model: str) -> flask.Response:
    """The same as a page with a figure of each column."""
    platform, scope = current_platform(), current_scope()
    found = drift.show_drift(platform, scope, model, **_asked(query), page=True)
    response = flask.Response(found.page or b"", mimetype=HTML)
    response.headers["Content-Security-Policy"] = POLICY
    return response


def _asked(query: dict[str, Any]) -> dict[str, Any]:
    period = drift.Period(since=query.get("since"), until=query.get("until"))
    return {"version": query.get("version"), "period": period}
