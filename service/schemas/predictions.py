"""The shape of a prediction; what a model takes exactly, its own document says.

No schema reads these bodies: models.requests does, faster than any. Tests hold that both agree.
"""

from __future__ import annotations

from typing import Any, Final

from auth.permissions import MODEL_NAME
from config.settings import Settings
from models.names import MOST_VERSIONS
from models.signature import METHODS
from service.schemas import LARGEST, PROSE, REFERENCE, described

Described = dict[str, Any]
REQUEST: Final[Described] = {"$ref": "#/components/schemas/PredictRequest"}
ANSWER: Final[Described] = {"$ref": "#/components/schemas/Prediction"}
NUMBER: Final[Described] = {"type": "integer", "format": "int64", "minimum": 1}
VERSION: Final[Described] = NUMBER | {"maximum": MOST_VERSIONS}
MODEL: Final[Described] = {"type": "string"} | described(MODEL_NAME.pattern, 63)
WORD: Final[Described] = {"type": "string"} | described(REFERENCE, 63)
TEXT: Final[Described] = {"type": "string", "format": PROSE, "maxLength": LARGEST}
ROWS: Final = ("features", "records", "columns")


def prediction_schemas(settings: Settings) -> dict[str, Described]:
    """The request and the answer of the native dialect, within the installation's bounds."""
    rows, columns = settings.max_rows, settings.max_columns
    cell: Described = {
        "description": "A number, a text, or null where the model takes missing values.",
        "type": ["number", "string", "null"],
        "format": PROSE,
        "maxLength": settings.max_body_bytes,
    }
    row = {"type": "array", "minItems": 1, "maxItems": columns, "items": cell}
    value = {"anyOf": [{"type": "number"}, TEXT, {"type": "boolean"}]}
    several = {"type": "array", "maxItems": LARGEST, "items": {"type": "number"}}
    answer = {
        "description": "One answer for each row.",
        "type": "array",
        "maxItems": rows,
        "items": {"anyOf": [value, several]},
    }
    return {
        "PredictRequest": {
            "description": "Rows to predict, given once: as features, records or columns.",
            "type": "object",
            "properties": _rows(row, cell, rows, columns) | _asked(),
            "additionalProperties": False,
            "oneOf": [{"required": [name]} for name in ROWS],
        },
        "Prediction": {
            "description": "One answer per row, with the model and version that gave it.",
            "type": "object",
            "properties": {"prediction": answer, "model": MODEL, "version": VERSION},
            "required": ["prediction", "model", "version"],
            "additionalProperties": False,
        },
    }


def _rows(row: Described, cell: Described, rows: int, columns: int) -> dict[str, Described]:
    many = {"type": "array", "minItems": 1, "maxItems": rows, "items": row}
    record = {"type": "object", "maxProperties": columns, "additionalProperties": cell}
    cells = {"type": "array", "minItems": 1, "maxItems": rows, "items": cell}
    return {
        "features": {
            "description": "Rows in the order of the model's columns, or one row.",
            "oneOf": [row, many],
        },
        "records": {
            "description": "Rows as objects, by the names of the columns.",
            "type": "array",
            "minItems": 1,
            "maxItems": rows,
            "items": record,
        },
        "columns": {
            "description": "A list of values for each column, by its name.",
            "type": "object",
            "minProperties": 1,
            "maxProperties": columns,
            "additionalProperties": cells,
        },
    }


def _asked() -> dict[str, Described]:
    return {
        "method": {
            "description": "A method of the model; its first by default.",
            "type": "string",
            "enum": list(METHODS),
        },
        "model": MODEL | {"description": "The tenant's default model by default."},
        "version": {
            "description": "Version number or alias; by default the route decides, or the "
            "champion answers.",
            "oneOf": [VERSION, WORD],
        },
    }
