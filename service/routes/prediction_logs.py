"""What is logged of a model's predictions."""

from __future__ import annotations

from typing import Any, Final

import flask

from auth.permissions import Permission
from models.prediction_log.terms import LogTerms
from service.operations import prediction_logs
from service.pages import linked, paging
from service.parsing import Blueprint
from service.schemas import LARGEST
from service.schemas.prediction_logs import (
    LogSchema,
    LogViewSchema,
    SegmentPageSchema,
    SegmentSchema,
)
from service.security import current_platform, current_scope, requires

PARQUET: Final = "application/vnd.apache.parquet"
BYTES: Final = {"type": "string", "format": "binary", "maxLength": LARGEST}

bp = Blueprint(
    "prediction_logs", __name__, url_prefix="/models", description="What is kept of predictions."
)


@bp.get("/<string:model>/log")
@requires(Permission.MODELS_READ)
@bp.response(200, LogViewSchema)
def show_log(model: str) -> prediction_logs.LogView:
    """Show what is logged of a model's predictions, and how much that is."""
    return prediction_logs.show_log(current_platform(), current_scope(), model)


@bp.put("/<string:model>/log")
@requires(Permission.MODELS_WRITE)
@bp.arguments(LogSchema)
@bp.response(200, LogViewSchema)
def set_log(terms: LogTerms, model: str) -> prediction_logs.LogView:
    """Log a sample of a model's predictions; every worker follows at once."""
    return prediction_logs.set_log(current_platform(), current_scope(), model, terms)


@bp.delete("/<string:model>/log")
@requires(Permission.MODELS_WRITE)
@bp.response(204)
def delete_log(model: str) -> None:
    """End a model's log and destroy what it holds."""
    prediction_logs.delete_log(current_platform(), current_scope(), model)


@bp.get("/<string:model>/log/segments")
@requires(Permission.PREDICTIONS_READ)
@bp.arguments(SegmentPageSchema, location="query")
@bp.response(200, SegmentSchema(many=True))
def list_segments(query: dict[str, Any], model: str) -> Any:
    """List the files of a model's log, oldest first, a page at a time."""
    platform, scope = current_platform(), current_scope()
    return linked(prediction_logs.list_segments(platform, scope, model, **paging(query)))


@bp.get("/<string:model>/log/segments/<string:segment>")
@requires(Permission.PREDICTIONS_READ)
@bp.alt_response(200, schema=BYTES, content_type=PARQUET, success=True)
def read_segment(model: str, segment: str) -> flask.Response:
    """Give one file of a model's log; that it was read is put on record."""
    found = prediction_logs.read_segment(current_platform(), current_scope(), model, segment)
    response = flask.Response(found.content, mimetype=PARQUET)
    response.headers["Content-Disposition"] = f'attachment; filename="{found.segment.id}.parquet"'
    return response
