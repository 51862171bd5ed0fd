"""The shape of TF Serving's messages, for the description of the API; no schema reads them."""

from __future__ import annotations

from typing import Any, Final

from auth.permissions import MODEL_NAME

Described = dict[str, Any]
MOST: Final = 2**31 - 1
MOST_VERSIONS: Final = 100_000


def _text(description: str, most: int = 512) -> Described:
    return {"description": description, "type": "string", "format": "text", "maxLength": most}


def _list(items: Described, description: str, most: int = MOST) -> Described:
    return {"description": description, "type": "array", "maxItems": most, "items": items}


def _object(description: str, required: tuple[str, ...], **properties: Described) -> Described:
    return {
        "description": description,
        "type": "object",
        "required": list(required),
        "properties": properties,
        "additionalProperties": False,
    }


def _map(values: Described, description: str) -> Described:
    most = {"maxProperties": MOST, "propertyNames": {"maxLength": MOST}}
    return {
        "description": description,
        "type": "object",
        "additionalProperties": values,
    } | most


def _open(described: Described) -> Described:
    """The same of what may have members besides, which are left alone."""
    return described | {"additionalProperties": True}


ANYTHING: Final[Described] = {}
MODEL: Final[Described] = {
    "description": "The model's name.",
    "type": "string",
    "pattern": f"^(?:{MODEL_NAME.pattern})$",
    "maxLength": 63,
}
NUMBER: Final[Described] = {
    "description": "A version's number, as a string.",
    "type": "string",
    "pattern": "^[1-9][0-9]{0,14}$",
    "maxLength": 15,
}
SIGNATURE: Final = _text("`serving_default`, or one or more methods, separated by commas.", MOST)
ROWS: Final = _list(ANYTHING, "Rows: lists, values or objects.") | {"minItems": 1}
PREDICT: Final = _open(
    _object(
        "Either `instances`, row by row, or `inputs`, a tensor or columns by name.",
        (),
        signature_name=SIGNATURE,
        instances=ROWS,
        inputs={"description": "A tensor, or an object of tensors."},
    )
) | {"oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}]}
EXAMPLE: Final = _map(ANYTHING, "Values of features, by name.")
EXAMPLES: Final = _open(
    _object(
        "Examples, and the features that all of them have.",
        ("examples",),
        signature_name=SIGNATURE,
        context=EXAMPLE,
        examples=_list(EXAMPLE, "At least one.") | {"minItems": 1},
    )
)
PREDICTIONS: Final = _object(
    "`predictions` row by row, or `outputs` by columns, as it was asked.",
    (),
    predictions=_list(ANYTHING, "One for each row; objects if there are several outputs."),
    outputs={"description": "A tensor, or an object of tensors."},
)
CLASSES: Final = _object(
    "For each example a list of classes, each with its score.",
    ("results",),
    results=_list(
        _list(_list(ANYTHING, "Label and score.", 2), "Of one example."), "In order of examples."
    ),
)
NUMBERS: Final = _object(
    "One number for each example.", ("results",), results=_list(ANYTHING, "In order of examples.")
)
ALIVE: Final = _object("This process answers.", ("status",), status=_text("Always `alive`."))
STATE: Final = _object(
    "The state of one version.",
    ("version", "state", "status"),
    version=NUMBER,
    state={"description": "Whether it answers.", "type": "string", "enum": ["AVAILABLE", "END"]},
    status=_object(
        "What is wrong, if anything is.",
        ("error_code", "error_message"),
        error_code=_text("Always `OK`."),
        error_message=_text("Always empty."),
    ),
)
STATES: Final = _object(
    "Which versions answer; `name` and `ready` are KServe's.",
    ("name", "ready", "model_version_status"),
    name=MODEL,
    ready={"description": "Whether any version answers.", "type": "boolean"},
    model_version_status=_list(STATE, "Oldest first.", MOST_VERSIONS),
)
DIMENSION: Final = _object(
    "One dimension.", ("size", "name"), size=_text("-1 is any."), name=_text("Empty.")
)
SHAPE: Final = _object(
    "Its shape.",
    ("dim", "unknown_rank"),
    dim=_list(DIMENSION, "Its dimensions.", 8),
    unknown_rank={"description": "Always false.", "type": "boolean"},
)
TENSOR: Final = _object(
    "A tensor.",
    ("dtype", "tensor_shape", "name"),
    dtype={
        "description": "The type of its elements.",
        "type": "string",
        "enum": ["DT_DOUBLE", "DT_INT64", "DT_BOOL", "DT_STRING"],
    },
    tensor_shape=SHAPE,
    name=_text("What the graph calls it."),
)
DEFINITION: Final = _object(
    "What one signature takes and gives.",
    ("inputs", "outputs", "method_name"),
    inputs=_map(TENSOR, "One matrix, or one tensor for each column."),
    outputs=_map(TENSOR, "One for each output."),
    method_name=_text("Which verb it is for."),
)
METADATA: Final = _object(
    "The signatures of a version.",
    ("model_spec", "metadata"),
    model_spec=_object(
        "Which version it is.",
        ("name", "signature_name", "version"),
        name=MODEL,
        signature_name=_text("Always empty."),
        version=NUMBER,
    ),
    metadata=_object(
        "Its signatures.",
        ("signature_def",),
        signature_def=_object(
            "By name.", ("signature_def",), signature_def=_map(DEFINITION, "By name.")
        ),
    ),
)
