"""The shape of prediction logs and of what they hold."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, post_load, validate

from models.prediction_log.segments import SEGMENT_ID
from models.prediction_log.terms import BOUNDS, MOST_COLUMN, MOST_COLUMNS, LogTerms
from models.signature import METHODS
from service.schemas import (
    PRINCIPAL,
    SHA_256,
    AnswerSchema,
    Flag,
    PageSchema,
    Quantity,
    StrictSchema,
    choice,
    model_name,
    moment,
    opaque,
    several,
    spelled,
    version_number,
    whole,
)


def _whole(name: str, description: str) -> fields.Integer:
    least, most = BOUNDS[name]
    return whole(description, least=least, most=most)


class LogSchema(StrictSchema):
    """What is to be logged of a model's predictions."""

    sample = Quantity(
        required=True,
        validate=validate.Range(min=0, max=1, min_inclusive=False),
        metadata={"description": "The share of rows that are logged.", "exclusiveMinimum": 0},
    )
    enabled = Flag(
        metadata={"description": "False stops the log and keeps what it holds; true by default."}
    )
    inputs = Flag(metadata={"description": "Whether what was sent is kept too; true by default."})
    columns = fields.List(
        opaque(MOST_COLUMN, "A column's name."),
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

    model = model_name(required=True)
    enabled = fields.Boolean(required=True)
    sample = fields.Float(required=True)
    inputs = fields.Boolean(required=True)
    columns = several(
        opaque(MOST_COLUMN, "A column's name."), "Absent: all are kept.", most=MOST_COLUMNS
    )
    retention_days = whole("How long a row is kept.", required=True)
    rows_per_day = whole("Most rows of one day.", required=True)
    bytes_per_day = whole("Most bytes of one day.", required=True)
    created_by = spelled(PRINCIPAL, 400, "Who asked for it.", required=True)
    created_at = moment(required=True)
    segments = whole("Files that it holds.", required=True)
    rows = whole("Rows in them.", required=True)
    bytes = whole("Their bytes.", required=True)
    oldest_at = moment("Absent of an empty log.")


class SegmentPageSchema(PageSchema):
    """Which segments of a log are meant."""

    since = fields.Float(metadata={"description": "With rows of this Unix time or later."})
    until = fields.Float(metadata={"description": "With rows of before this Unix time."})


class SegmentSchema(AnswerSchema):
    """One Parquet file of a log."""

    id = spelled(SEGMENT_ID.pattern, 32, "Its name; it sorts by time.", required=True)
    model = model_name(required=True)
    version = version_number("The version that answered.", required=True)
    method = choice(METHODS, "The method that answered.", required=True)
    rows = whole("Rows in it.", required=True)
    bytes = whole("Its bytes.", required=True)
    digest = spelled(SHA_256, 64, "SHA-256, in hexadecimal.", required=True)
    first_at = moment("Of its first row.", required=True)
    last_at = moment("Of its last row.", required=True)
    created_at = moment(required=True)
    expires_at = moment(required=True)
