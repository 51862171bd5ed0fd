"""The shape of TF Serving's messages, for the description of the API."""

from __future__ import annotations

from typing import Final

from service.schemas.messages import (
    ANYTHING,
    MODEL,
    MOST,
    MOST_VERSIONS,
    VERSION,
    closed,
    listed,
    mapped,
    one_of,
    opened,
    text,
)

SIGNATURE: Final = text("`serving_default`, or one or more methods, separated by commas.", MOST)
ROWS: Final = listed(ANYTHING, "Rows: lists, values or objects.") | {"minItems": 1}
PREDICT: Final = opened(
    closed(
        "Either `instances`, row by row, or `inputs`, a tensor or columns by name.",
        (),
        signature_name=SIGNATURE,
        instances=ROWS,
        inputs={"description": "A tensor, or an object of tensors."},
    )
) | one_of(("instances", "inputs"))
EXAMPLE: Final = mapped(ANYTHING, "Values of features, by name.")
EXAMPLES: Final = opened(
    closed(
        "Examples, and the features that all of them have.",
        ("examples",),
        signature_name=SIGNATURE,
        context=EXAMPLE,
        examples=listed(EXAMPLE, "At least one.") | {"minItems": 1},
    )
)
PREDICTIONS: Final = closed(
    "`predictions` row by row, or `outputs` by columns, as it was asked.",
    (),
    predictions=listed(ANYTHING, "One for each row; objects if there are several outputs."),
    outputs={"description": "A tensor, or an object of tensors."},
)
CLASSES: Final = closed(
    "For each example a list of classes, each with its score.",
    ("results",),
    results=listed(
        listed(listed(ANYTHING, "Label and score.", 2), "Of one example."), "In order of examples."
    ),
)
NUMBERS: Final = closed(
    "One number for each example.", ("results",), results=listed(ANYTHING, "In order of examples.")
)
ALIVE: Final = closed("This process answers.", ("status",), status=text("Always `alive`."))
STATE: Final = closed(
    "The state of one version.",
    ("version", "state", "status"),
    version=VERSION,
    state={"description": "Whether it answers.", "type": "string", "enum": ["AVAILABLE", "END"]},
    status=closed(
        "What is wrong, if anything is.",
        ("error_code", "error_message"),
        error_code=text("Always `OK`."),
        error_message=text("Always empty."),
    ),
)
STATES: Final = closed(
    "Which versions answer; `name` and `ready` are KServe's.",
    ("name", "ready", "model_version_status"),
    name=MODEL,
    ready={"description": "Whether any version answers.", "type": "boolean"},
    model_version_status=listed(STATE, "Oldest first.", MOST_VERSIONS),
)
DIMENSION: Final = closed(
    "One dimension.", ("size", "name"), size=text("-1 is any."), name=text("Empty.")
)
SHAPE: Final = closed(
    "Its shape.",
    ("dim", "unknown_rank"),
    dim=listed(DIMENSION, "Its dimensions.", 8),
    unknown_rank={"description": "Always false.", "type": "boolean"},
)
TENSOR: Final = closed(
    "A tensor.",
    ("dtype", "tensor_shape", "name"),
    dtype={
        "description": "The type of its elements.",
        "type": "string",
        "enum": ["DT_DOUBLE", "DT_INT64", "DT_BOOL", "DT_STRING"],
    },
    tensor_shape=SHAPE,
    name=text("What the graph calls it."),
)
DEFINITION: Final = closed(
    "What one signature takes and gives.",
    ("inputs", "outputs", "method_name"),
    inputs=mapped(TENSOR, "One matrix, or one tensor for each column."),
    outputs=mapped(TENSOR, "One for each output."),
    method_name=text("Which verb it is for."),
)
METADATA: Final = closed(
    "The signatures of a version.",
    ("model_spec", "metadata"),
    model_spec=closed(
        "Which version it is.",
        ("name", "signature_name", "version"),
        name=MODEL,
        signature_name=text("Always empty."),
        version=VERSION,
    ),
    metadata=closed(
        "Its signatures.",
        ("signature_def",),
        signature_def=closed(
            "By name.", ("signature_def",), signature_def=mapped(DEFINITION, "By name.")
        ),
    ),
)
