"""The shape of routes."""

from __future__ import annotations

from marshmallow import fields, validate

from models.routes import BOUNDS, MOST_ARMS, MOST_HEADER, MOST_WEIGHT
from service.schemas import (
    AnswerSchema,
    Quantity,
    StrictSchema,
    choice,
    counted,
    model_name,
    prose,
    reference,
    several,
    text,
    version_number,
    whole,
)


class ArmSchema(StrictSchema):
    """A version and its share of the calls."""

    version = reference(required=True)
    weight = whole("Its share, relative to the others'.", most=MOST_WEIGHT, required=True)


class ShadowSchema(StrictSchema):
    """A version that is asked in the background too."""

    version = reference(required=True)
    share = Quantity(
        validate=validate.Range(min=0, max=1, min_inclusive=False),
        metadata={"description": "Of the calls; all by default.", "exclusiveMinimum": 0},
    )


def _bound(name: str, description: str) -> fields.Float:
    least, most = BOUNDS[name]
    rule = validate.Range(min=least, max=most)
    return Quantity(validate=rule, metadata={"description": description})


def _whole(name: str, description: str) -> fields.Integer:
    least, most = BOUNDS[name]
    return whole(description, least=int(least), most=int(most))


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
        fields.Nested(ArmSchema),
        required=True,
        validate=validate.Length(min=1, max=MOST_ARMS),
        metadata={"description": "Versions and their shares."},
    )
    sticky = choice(
        ["caller", "header", "none"], "What keeps to one version: the caller by default."
    )
    header = text(MOST_HEADER, "The header whose value keeps to one version.")
    shadow = fields.Nested(ShadowSchema)
    bounds = fields.Nested(BoundsSchema)


class RouteQuerySchema(StrictSchema):
    """Over which time the counts go."""

    seconds = counted("How far back the counts go.", least=10, most=86_400, default=3600)


class ArmReportSchema(AnswerSchema):
    """What one version of a route did."""

    version = reference(required=True)
    number = version_number("Absent if it cannot serve.")
    role = choice(["live", "shadow"], "What it was asked for.", required=True)
    weight = whole("Its share of the calls.", most=MOST_WEIGHT)
    requests = whole("Calls.", required=True)
    errors = whole("Calls that failed.", required=True)
    error_rate = fields.Float(required=True)
    p50_seconds = fields.Float()
    p95_seconds = fields.Float()
    p99_seconds = fields.Float()
    rows_compared = whole("Of a shadow.")
    agreement = fields.Float(metadata={"description": "The share of rows answered alike."})
    dropped = whole("Calls that a shadow was not asked about.")


class RouteReportSchema(AnswerSchema):
    """A model's route, and what its versions did."""

    model = model_name(required=True)
    route = fields.Nested(RouteSchema, required=True)
    note = prose("Why a version was taken out, if one was.")
    seconds = whole("How far back the counts go.", most=86_400, required=True)
    versions = several(
        fields.Nested(ArmReportSchema), "Each version of the route.", most=16, required=True
    )
