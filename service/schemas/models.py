"""The shape of models, their versions and aliases."""

from __future__ import annotations

from marshmallow import fields

from service.schemas import AnswerSchema


class ColumnSchema(AnswerSchema):
    """One input column of a model."""

    name = fields.String(required=True)
    type = fields.String(required=True)


class ModelSchema(AnswerSchema):
    """A model as its members see it."""

    name = fields.String(required=True)
    default = fields.Boolean(required=True)
    champion = fields.Integer(required=True)
    versions = fields.List(fields.Integer(), required=True)


class ModelDetailSchema(ModelSchema):
    """A model with what its champion takes and gives."""

    task = fields.String(required=True)
    engine = fields.String(required=True)
    inputs = fields.List(fields.Nested(ColumnSchema), required=True)
    classes = fields.List(fields.Raw(), metadata={"description": "Of a classifier."})
