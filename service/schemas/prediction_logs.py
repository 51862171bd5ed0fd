"""The shape of prediction logs and of what they hold."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, post_load, validate

from models.prediction_log.terms import BOUNDS, MOST_COLUMN, MOST_COLUMNS, LogTerms
from service.schemas import AnswerSchema, PageSchema, StrictSchema


def _whole(name: str, description: str) -> fields.Integer:
    least, most = BOUNDS[name]
    rule = validate.Range(min=least, max=most)
    return fields.Integer(strict=True, validate=rule, metadata={"description": description})


class LogSchema(StrictSchema):
    """What is to be logged of a model's predictions."""

    sample = fields.Float(
        required=True,
        validate=validate.Range(min=0, max=1, min_inclusive=False),
        metadata={"description": "The share of rows that are logged."},
    )
    enabled = fields.Boolean(
        metadata={"description": "False stops the log and keeps what it holds; true by default."}
    )
    inputs = fields.Boolean(
        metadata={"description": "Whether what was sent is kept too; true by default."}
    )
    columns = fields.List(
        fields.String(validate=validate.Length(min=1, max=MOST_COLUMN)),
        validate=validate.Length(max=MOST_COLUMNS),
        metadata={"description": "The inputs that may be kept, by name; all by default."},
    )
    retention_days = _whole("retention_days", "How long a row is kept; 30 days by default.")
    rows_per_day = _whole("rows_per_day", "Most rows of one day (UTC); 1,000,000 by default.")
    bytes_per_day = _whole("bytes_per_day", "Most bytes of one day (UTC); 1 GiB by default.")

    @post_load
    def make(self, members: dict[str, Any], **_: Any) -> LogTerms:
        """The terms; raises LogRefused."""
        if "columns" in members:
            members["columns"] = tuple(members["columns"])
        return LogTerms(**members)


class LogViewSchema(AnswerSchema):
    """The log of a model, and how much it holds."""

    model = fields.String(required=True)
    enabled = fields.Boolean(required=True)
    sample = fields.Float(required=True)
    inputs = fields.Boolean(required=True)
    columns = fields.List(fields.String(), metadata={"description": "Absent: all are kept."})
    retention_days = fields.Integer(required=True)
    rows_per_day = fields.Integer(required=True)
    bytes_per_day = fields.Integer(required=True)
    created_by = fields.String(required=True)
    created_at = fields.Float(required=True, metadata={"description": "Unix seconds."})
    segments = fields.Integer(required=True)
    rows = fields.Integer(required=True)
    bytes = fields.Integer(required=True)
    oldest_at = fields.Float(metadata={"description": "Absent of an empty log."})


class SegmentPageSchema(PageSchema):
    """Which segments of a log are meant."""

    since = fields.Float(metadata={"description": "With rows of this Unix time or later."})
    until = fields.Float(metadata={"description": "With rows of before this Unix time."})


class SegmentSchema(AnswerSchema):
    """One Parquet file of a log."""

    id = fields.String(required=True)
    model = fields.String(required=True)
    version = fields.Integer(required=True)
    method = fields.String(required=True)
    rows = fields.Integer(required=True)
    bytes = fields.Integer(required=True)
    digest = fields.String(required=True, metadata={"description": "SHA-256, in hexadecimal."})
    first_at = fields.Float(required=True, metadata={"description": "Unix seconds."})
    last_at = fields.Float(required=True)
    created_at = fields.Float(required=True)
    expires_at = fields.Float(required=True)
