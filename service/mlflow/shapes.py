"""The shape of MLflow's messages, for the description of the API."""

from __future__ import annotations

from typing import Final

from models.requests.tensors import METHOD
from service.mlflow.requests import FORMS, INPUTS, INSTANCES, RECORDS, SPLIT
from service.schemas import described
from service.schemas.messages import (
    ANYTHING,
    MOST,
    Described,
    closed,
    listed,
    mapped,
    one_of,
    opened,
    text,
)

NAME: Final[Described] = {
    "type": ["string", "integer"],
    "format": "text",
    "maxLength": MOST,
    "minimum": -(2**53),
    "maximum": 2**53,
}
METHOD_NAME: Final[Described] = {
    "description": "One of the model's methods, by default its first.",
    "type": "string",
} | described(METHOD.pattern, 32)
OR_NULL: Final[Described] = {"type": ["array", "null"]}
FRAME: Final = closed(
    "A data frame: rows, and the names of their columns.",
    ("data",),
    columns=listed(NAME, "In the order of the rows' values.") | OR_NULL,
    index=listed(ANYTHING, "Labels of rows, which are not looked at.") | OR_NULL,
    data=listed(listed(ANYTHING, "One row."), "At least one row.") | {"minItems": 1},
)
REFUSED: Final = text("What MLflow's server says to a content type that it does not take.")
ROWS: Final[dict[str, Described]] = {
    SPLIT: FRAME,
    RECORDS: listed(mapped(ANYTHING, "One row, by name."), "At least one row.") | {"minItems": 1},
    INSTANCES: listed(ANYTHING, "Rows: lists, values or objects.") | {"minItems": 1},
    INPUTS: {"description": "Rows, or columns by name."},
}
PARAMS: Final = closed("How to answer.", (), method=METHOD_NAME, predict_method=METHOD_NAME) | {
    "type": ["object", "null"]
}
REQUEST: Final = opened(
    closed(f"Exactly one of {', '.join(f'`{form}`' for form in FORMS)}.", (), **ROWS, params=PARAMS)
) | one_of(FORMS)
CSV: Final[Described] = {
    "description": "A line of names, then rows.",
    "type": "string",
    "format": "csv",
    "maxLength": MOST,
}
PREDICTIONS: Final = closed(
    "What the model says to each row.",
    ("predictions",),
    predictions=listed(ANYTHING, "In the order of the rows."),
)
