"""The shape of a prediction."""

from __future__ import annotations

from typing import Final

from marshmallow import fields

from service.schemas import AnswerSchema, StrictSchema, text

# A number, a text, or null where the model takes missing values.
CELL: Final = {"type": ["number", "string", "null"]}


class PredictRequestSchema(StrictSchema):
    """Rows to predict, given once: as features, records or columns."""

    features = fields.Raw(
        metadata={
            "description": "Rows in the order of the model's columns, or one row.",
            "oneOf": [
                {"type": "array", "items": CELL, "minItems": 1},
                {
                    "type": "array",
                    "minItems": 1,
                    "items": {"type": "array", "items": CELL, "minItems": 1},
                },
            ],
        },
    )
    records = fields.Raw(
        metadata={
            "description": "Rows as objects, by the names of the columns.",
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "additionalProperties": CELL},
        }
    )
    columns = fields.Raw(
        metadata={
            "description": "A list of values for each column, by its name.",
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"type": "array", "items": CELL, "minItems": 1},
        }
    )
    method = text(32, "A method of the model, such as predict_proba; its first by default.")
    model = text(63, "The model's name; the tenant's default model by default.")
    version = fields.Raw(
        metadata={
            "description": "Version number or alias; the champion by default.",
            "type": ["integer", "string"],
        }
    )


class PredictionSchema(AnswerSchema):
    """One answer per row, with the model and version that gave it."""

    prediction = fields.List(fields.Raw(), required=True)
    model = fields.String(required=True)
    version = fields.Integer(required=True)
