"""The shape of MLflow's messages, for the description of the API; no schema reads them."""

from __future__ import annotations

from typing import Any, Final

Described = dict[str, Any]
MOST: Final = 2**31 - 1


def _list(items: Described, description: str) -> Described:
    return {"description": description, "type": "array", "maxItems": MOST, "items": items}


def _object(description: str, **properties: Described) -> Described:
    return {"description": description, "type": "object", "properties": properties}


ANYTHING: Final[Described] = {}
NAME: Final[Described] = {
    "type": ["string", "integer"],
    "format": "text",
    "maxLength": MOST,
    "minimum": -(2**53),
    "maximum": 2**53,
}
METHOD: Final[Described] = {
    "description": "One of the model's methods, by default its first.",
    "type": "string",
    "pattern": "^[a-z_]{1,32}$",
    "maxLength": 32,
}
ROW: Final = _list(ANYTHING, "One row.")
SPLIT: Final = _object(
    "A data frame: rows, and the names of their columns.",
    columns=_list(NAME, "In the order of the rows' values."),
    index=_list(ANYTHING, "Labels of rows, which are not looked at."),
    data=_list(ROW, "At least one row.") | {"minItems": 1},
)
REFUSED: Final[Described] = {
    "description": "What MLflow's server says to a content type that it does not take.",
    "type": "string",
    "format": "text",
    "maxLength": 512,
}
FORMS: Final = ("dataframe_split", "dataframe_records", "instances", "inputs")
REQUEST: Final = _object(
    "Exactly one of `dataframe_split`, `dataframe_records`, `instances` and `inputs`.",
    dataframe_split=SPLIT | {"required": ["data"], "additionalProperties": False},
    dataframe_records=_list(_object("One row, by name."), "At least one row.") | {"minItems": 1},
    instances=_list(ANYTHING, "Rows: lists, values or objects.") | {"minItems": 1},
    inputs={"description": "Rows, or columns by name."},
    params=_object("How to answer.", method=METHOD, predict_method=METHOD)
    | {"additionalProperties": False},
) | {"oneOf": [{"required": [form]} for form in FORMS]}
CSV: Final[Described] = {
    "description": "A line of names, then rows.",
    "type": "string",
    "format": "csv",
    "maxLength": MOST,
}
PREDICTIONS: Final = _object(
    "What the model says to each row.", predictions=_list(ANYTHING, "In the order of the rows.")
) | {"required": ["predictions"], "additionalProperties": False}
