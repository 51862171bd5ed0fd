"""The shape of routes."""

from __future__ import annotations

from typing import Final

from marshmallow import fields, validate

from models.routes import BOUNDS, MOST_ARMS, MOST_HEADER, MOST_WEIGHT
from service.schemas import AnswerSchema, StrictSchema, text

REFERENCE: Final = {
    "description": "Version number or alias.",
    "type": ["integer", "string"],
}


class ArmSchema(StrictSchema):
    """A version and its share of the calls."""

    version = fields.Raw(required=True, metadata=REFERENCE)
    weight = fields.Integer(
        required=True, strict=True, validate=validate.Range(min=0, max=MOST_WEIGHT)
    )


class ShadowSchema(StrictSchema):
    """A version that is asked in the background too."""

    version = fields.Raw(required=True, metadata=REFERENCE)
    share = fields.Float(
        validate=validate.Range(min=0, max=1, min_inclusive=False),
        metadata={"description": "Of the calls; all by default."},
    )


def _bound(name: str, description: str) -> fields.Float:
    least, most = BOUNDS[name]
    rule = validate.Range(min=least, max=most)
    return fields.Float(validate=rule, metadata={"description": description})


def _whole(name: str, description: str) -> fields.Integer:
    least, most = BOUNDS[name]
    rule = validate.Range(min=int(least), max=int(most))
    return fields.Integer(strict=True, validate=rule, metadata={"description": description})


class BoundsSchema(StrictSchema):
    """When a version other than the first is taken out of the split."""

    error_rate = _bound("error_rate", "More than this share of its calls failed.")
    p95_seconds = _bound("p95_seconds", "95 % of its answers took longer.")
    p95_ratio = _bound("p95_ratio", "They took more than so many times those of the first.")
    least_requests = _whole("least_requests", "Calls to be seen before it is judged; 50.")
    window_seconds = _whole("window_seconds", "How far back one looks; 60.")


class RouteSchema(StrictSchema):
    """How calls that name no version are divided."""

    split = fields.List(
        fields.Nested(ArmSchema), required=True, validate=validate.Length(min=1, max=MOST_ARMS)
    )
    sticky = fields.String(
        validate=validate.OneOf(["caller", "header", "none"]),
        metadata={"description": "What keeps to one version: the caller by default."},
    )
    header = text(MOST_HEADER, "The header whose value keeps to one version.")
    shadow = fields.Nested(ShadowSchema)
    bounds = fields.Nested(BoundsSchema)


class RouteQuerySchema(StrictSchema):
    """Over which time the counts go."""

    seconds = fields.Integer(load_default=3600, validate=validate.Range(min=10, max=86_400))


class ArmReportSchema(AnswerSchema):
    """What one version of a route did."""

    version = fields.Raw(required=True, metadata=REFERENCE)
    number = fields.Integer(metadata={"description": "Absent if it cannot serve."})
    role = fields.String(required=True, metadata={"description": "live or shadow."})
    weight = fields.Integer()
    requests = fields.Integer(required=True)
    errors = fields.Integer(required=True)
    error_rate = fields.Float(required=True)
    p50_seconds = fields.Float()
    p95_seconds = fields.Float()
    p99_seconds = fields.Float()
    rows_compared = fields.Integer(metadata={"description": "Of a shadow."})
    agreement = fields.Float(metadata={"description": "The share of rows answered alike."})
    dropped = fields.Integer(metadata={"description": "Calls that a shadow was not asked about."})


class RouteReportSchema(AnswerSchema):
    """A model's route, and what its versions did."""

    model = fields.String(required=True)
    route = fields.Nested(RouteSchema, required=True)
    note = fields.String(metadata={"description": "Why a version was taken out, if one was."})
    seconds = fields.Integer(required=True)
    versions = fields.List(fields.Nested(ArmReportSchema), required=True)
