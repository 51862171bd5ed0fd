"""The shape of models, their versions and aliases."""

from __future__ import annotations

from marshmallow import fields

from models.signature import METHODS
from service.schemas import (
    LARGEST,
    PRINCIPAL,
    REFERENCE,
    AnswerSchema,
    Flag,
    StrictSchema,
    alias_name,
    anything,
    choice,
    model_name,
    moment,
    prose,
    reference,
    several,
    spelled,
    text,
    version_number,
    whole,
)

MOST_REASON = 200
MOST_COLUMNS = 1_000_000
STATES = ("active", "retired", "deleted", "outdated")
LABEL = {
    "description": "A label that a classifier may give.",
    "oneOf": [
        {"type": "string", "format": "text", "maxLength": LARGEST},
        {"type": "number"},
        {"type": "boolean"},
    ],
}


class ColumnSchema(AnswerSchema):
    """One input column of a model."""

    name = prose("How it is called.", most=LARGEST, required=True)
    type = choice(["number", "text"], "What its values are.", required=True)
    values = several(prose("A value.", most=LARGEST), "Texts that the model knows.", most=LARGEST)


class ModelSchema(AnswerSchema):
    """A model as its members see it."""

    name = model_name(required=True)
    default = fields.Boolean(required=True)
    champion = version_number("The version that answers; absent while none passes the gate.")
    versions = several(version_number(), "Those that are kept.", most=LARGEST, required=True)


class ModelDetailSchema(ModelSchema):
    """A model with what its champion takes and gives."""

    aliases = fields.Dict(
        keys=fields.String(),
        values=version_number(),
        required=True,
        metadata={"description": "Which version each alias means.", "maxProperties": LARGEST},
    )
    task = spelled(r"[a-z]+", 32, "What it is for.", required=True)
    engine = spelled(r"[a-z-]+", 64, "What answers for it.", required=True)
    methods = several(
        choice(METHODS, "A method."), "What it may be asked.", most=len(METHODS), required=True
    )
    inputs = several(fields.Nested(ColumnSchema), "Its columns.", most=MOST_COLUMNS, required=True)
    classes = several(fields.Raw(metadata=LABEL), "Of a classifier.", most=LARGEST)
    route = anything("Absent where the champion answers every call.")


class ModelDeletionSchema(StrictSchema):
    """The name once more, lest a model be deleted by a slip."""

    confirm = text(63, "The model's name again.", required=True)


class VersionSchema(AnswerSchema):
    """A version in a listing."""

    model = model_name(required=True)
    version = version_number(required=True)
    state = choice(STATES, "Only active ones answer.", required=True)
    pinned = fields.Boolean(required=True)
    aliases = several(alias_name(), "Those that mean it.", required=True)
    created_by = spelled(PRINCIPAL, 400, "Who brought it.", required=True)
    created_at = moment(required=True)
    estimator = prose("What it is.", most=400)
    engine = spelled(r"[a-z-]+", 64, "What answers for it.")
    size = whole("Bytes that are stored.")


class IncidentSchema(AnswerSchema):
    """A time that a version ended the process that ran it, or that it was given up."""

    at = moment(required=True)
    kind = choice(["crashed", "broken"], "What happened.", required=True)
    detail = prose("What is known about it.", required=True)


class VersionDetailSchema(VersionSchema):
    """A version with its signed manifest, which holds the parity report."""

    manifest = anything("Absent of an outdated version.")
    incidents = several(fields.Nested(IncidentSchema), "The latest.", required=True)


class VersionChangeSchema(StrictSchema):
    """What may be changed of a version."""

    state = choice(["active", "retired"], "Only active ones answer.")
    pinned = Flag(metadata={"description": "A pinned version cannot be deleted."})


class AliasSchema(AnswerSchema):
    """An alias, and where a rollback would lead."""

    alias = alias_name(required=True)
    version = version_number(required=True)
    previous = version_number("Absent if it pointed nowhere before.")


class MoveSchema(AnswerSchema):
    """An alias pointed elsewhere."""

    alias = alias_name(required=True)
    from_number = version_number("Absent when it was made.", data_key="from")
    to_number = version_number("Absent when it was removed.", data_key="to")
    moved_by = spelled(PRINCIPAL, 400, "Who moved it.", required=True)
    moved_at = moment(required=True)
    reason = prose("Why, for the record.", most=MOST_REASON, required=True)
    is_rollback = fields.Boolean(data_key="rollback", required=True)


class AliasDetailSchema(AliasSchema):
    """An alias with its latest moves, newest first."""

    moves = several(fields.Nested(MoveSchema), "The latest, newest first.", required=True)


class ReferenceQuerySchema(StrictSchema):
    """Which version is meant."""

    version = spelled(REFERENCE, 63, "A number or an alias; by default whichever answers.")


class ReasonSchema(StrictSchema):
    """Why, for the record."""

    reason = text(MOST_REASON, "Why, for the record.")


class PromotionSchema(ReasonSchema):
    """Where an alias shall point."""

    version = reference(required=True)
    override = text(MOST_REASON, "Why it passes by the gate, on record; needs `models.gate`.")
