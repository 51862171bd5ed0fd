"""The shape of models, their versions and aliases."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate

from models.names import read_reference
from service.schemas import AnswerSchema, StrictSchema, text

MOST_REASON = 200


def reference(**options: Any) -> fields.Raw:
    """A version's number or alias."""

    def check(value: object) -> None:
        if read_reference(value) is None:
            raise ValidationError("neither a version's number, from 1, nor an alias")

    described = {"description": "Version number or alias.", "type": ["integer", "string"]}
    return fields.Raw(validate=check, metadata=described, **options)


class ColumnSchema(AnswerSchema):
    """One input column of a model."""

    name = fields.String(required=True)
    type = fields.String(required=True, metadata={"description": "number or text."})
    values = fields.List(fields.String(), metadata={"description": "That the model knows."})


class ModelSchema(AnswerSchema):
    """A model as its members see it."""

    name = fields.String(required=True)
    default = fields.Boolean(required=True)
    champion = fields.Integer(required=True)
    versions = fields.List(fields.Integer(), required=True)


class ModelDetailSchema(ModelSchema):
    """A model with what its champion takes and gives."""

    aliases = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    task = fields.String(required=True)
    engine = fields.String(required=True)
    methods = fields.List(fields.String(), required=True)
    inputs = fields.List(fields.Nested(ColumnSchema), required=True)
    classes = fields.List(fields.Raw(), metadata={"description": "Of a classifier."})
    route = fields.Dict(metadata={"description": "Absent where the champion answers every call."})


class ModelDeletionSchema(StrictSchema):
    """The name once more, lest a model be deleted by a slip."""

    confirm = text(63, "The model's name again.", required=True)


class VersionSchema(AnswerSchema):
    """A version in a listing."""

    model = fields.String(required=True)
    version = fields.Integer(required=True)
    state = fields.String(
        required=True, metadata={"description": "active, retired, deleted or outdated."}
    )
    pinned = fields.Boolean(required=True)
    aliases = fields.List(fields.String(), required=True)
    created_by = fields.String(required=True)
    created_at = fields.Float(required=True, metadata={"description": "Unix seconds."})
    estimator = fields.String()
    engine = fields.String()
    size = fields.Integer(metadata={"description": "Bytes that are stored."})


class IncidentSchema(AnswerSchema):
    """A time that a version ended the process that ran it, or that it was given up."""

    at = fields.Float(required=True, metadata={"description": "Unix seconds."})
    kind = fields.String(required=True, metadata={"description": "crashed or broken."})
    detail = fields.String(required=True)


class VersionDetailSchema(VersionSchema):
    """A version with its signed manifest, which holds the parity report."""

    manifest = fields.Dict(metadata={"description": "Absent of an outdated version."})
    incidents = fields.List(fields.Nested(IncidentSchema), required=True)


class VersionChangeSchema(StrictSchema):
    """What may be changed of a version."""

    state = fields.String(validate=validate.OneOf(["active", "retired"]))
    pinned = fields.Boolean(
        truthy={True},
        falsy={False},
        metadata={"description": "A pinned version cannot be deleted."},
    )


class AliasSchema(AnswerSchema):
    """An alias, and where a rollback would lead."""

    alias = fields.String(required=True)
    version = fields.Integer(required=True)
    previous = fields.Integer(metadata={"description": "Absent if it pointed nowhere before."})


class MoveSchema(AnswerSchema):
    """An alias pointed elsewhere."""

    alias = fields.String(required=True)
    from_number = fields.Integer(
        data_key="from", metadata={"description": "Absent when it was made."}
    )
    to_number = fields.Integer(
        data_key="to", metadata={"description": "Absent when it was removed."}
    )
    moved_by = fields.String(required=True)
    moved_at = fields.Float(required=True, metadata={"description": "Unix seconds."})
    reason = fields.String(required=True)
    is_rollback = fields.Boolean(data_key="rollback", required=True)


class AliasDetailSchema(AliasSchema):
    """An alias with its latest moves, newest first."""

    moves = fields.List(fields.Nested(MoveSchema), required=True)


class ReasonSchema(StrictSchema):
    """Why, for the record."""

    reason = text(MOST_REASON, "Why, for the record.")


class PromotionSchema(ReasonSchema):
    """Where an alias shall point."""

    version = reference(required=True)
