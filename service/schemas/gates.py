"""The shape of gates, and of what they say."""

from __future__ import annotations

from marshmallow import fields, validate

from models.gates.rules import COMPILED, EXACT, INTERVAL, MOST_MS, MOST_NAME, MOST_RULES
from service.schemas import (
    PRINCIPAL,
    AnswerSchema,
    Quantity,
    StrictSchema,
    anything,
    choice,
    model_name,
    moment,
    prose,
    several,
    spelled,
    text,
    version_number,
)


class Margin(fields.Raw):
    """A number, or the word for the champion's own interval; the rules' reader decides."""


MARGIN = {"oneOf": [{"type": "number", "minimum": 0}, {"type": "string", "enum": [INTERVAL]}]}


class RuleSchema(StrictSchema):
    """One rule: a metric with its bounds, or one of the other members alone."""

    metric = text(MOST_NAME, "A metric on held-out rows, as `f1_macro` or `recall:malignant`.")
    at_least = Quantity(metadata={"description": "Of a metric of which more is better."})
    at_most = Quantity(metadata={"description": "Of a metric of which less is better."})
    not_below_champion = Margin(
        metadata={"description": "By how much it may be worse than the champion's."} | MARGIN
    )
    parity = choice([EXACT], "The engine answers as the model's own library, to the last bit.")
    serving_p99_ms = Quantity(
        validate=validate.Range(min=0, max=MOST_MS, min_inclusive=False),
        metadata={"description": "99 % of single rows take no longer.", "exclusiveMinimum": 0},
    )
    engine = choice([COMPILED], "The version is compiled.")


class GateSchema(StrictSchema):
    """What a version has to be before it may answer calls that name no version."""

    rules = fields.List(
        fields.Nested(RuleSchema),
        required=True,
        validate=validate.Length(min=1, max=MOST_RULES),
        metadata={"description": "All of them are to be kept."},
    )


class GateViewSchema(AnswerSchema):
    """A model's gate as it is in force."""

    model = model_name(required=True)
    rules = several(anything("A rule."), "The rules.", most=MOST_RULES, required=True)
    created_by = spelled(PRINCIPAL, 400, "Who set it.", required=True)
    created_at = moment(required=True)


class RulingSchema(AnswerSchema):
    """A rule, and what was found."""

    rule = anything("The rule.", required=True)
    passes = fields.Boolean(required=True)
    found = several(prose("A fact."), "What was found.", required=True)


class VerdictSchema(AnswerSchema):
    """What a model's gate says of a version."""

    model = model_name(required=True)
    version = version_number(required=True)
    passes = fields.Boolean(required=True)
    reasons = several(prose("A reason."), "Why it does not pass.", required=True)
    rules = several(fields.Nested(RulingSchema), "Each rule, and what was found.", required=True)
