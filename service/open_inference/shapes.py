"""The shape of the Open Inference Protocol's messages, for the description of the API.

No schema reads these bodies: service.open_inference does. Their tensors are bounded by the
installation's settings, which are at most what is said here.
"""

from __future__ import annotations

from typing import Any, Final

from auth.permissions import MODEL_NAME
from service.open_inference.datatypes import DATATYPES
from service.open_inference.inference_requests import MOST_NAME
from service.open_inference.tensors import MOST_DIMENSIONS

Described = dict[str, Any]
MOST: Final = 2**31 - 1
LARGEST: Final = 2**53 - 1
MOST_MODELS: Final = 100_000

COUNT: Final[Described] = {
    "type": "integer",
    "format": "int64",
    "minimum": 0,
    "maximum": LARGEST,
}


def _text(description: str, most: int = MOST_NAME) -> Described:
    return {"description": description, "type": "string", "format": "text", "maxLength": most}


def _list(items: Described, description: str, most: int = MOST_MODELS) -> Described:
    return {"description": description, "type": "array", "maxItems": most, "items": items}


def _object(description: str, required: tuple[str, ...], **properties: Described) -> Described:
    return {
        "description": description,
        "type": "object",
        "required": list(required),
        "properties": properties,
        "additionalProperties": False,
    }


def _open(described: Described) -> Described:
    """The same of what may have members besides, which are left alone."""
    return described | {"additionalProperties": True}


NAME: Final = _text("A name.")
MODEL: Final[Described] = {
    "description": "The model's name.",
    "type": "string",
    "pattern": f"^(?:{MODEL_NAME.pattern})$",
    "maxLength": 63,
}
VERSION: Final[Described] = {
    "description": "A version's number, as a string.",
    "type": "string",
    "pattern": "^[1-9][0-9]{0,14}$",
    "maxLength": 15,
}
YES: Final[Described] = {"description": "Always true.", "type": "boolean", "const": True}
DATATYPE: Final[Described] = {
    "description": "The type of the elements.",
    "type": "string",
    "enum": list(DATATYPES),
}
SIZE: Final[Described] = COUNT | {"minimum": -1, "description": "-1 is any number."}
PARAMETERS: Final[Described] = {
    "description": "What is said besides.",
    "type": ["object", "null"],
    "maxProperties": MOST_NAME,
    "additionalProperties": {
        "type": ["string", "number", "boolean"],
        "format": "text",
        "maxLength": MOST,
    },
}
NONE: Final[Described] = {"description": "Empty.", "type": ["object", "null"]}
CELLS: Final[Described] = {
    "description": "The elements in row-major order, flat or nested like the shape.",
    "type": "array",
    "maxItems": MOST,
    "items": {},
}
SHAPE: Final = _list(COUNT, "The size of each dimension.", MOST_DIMENSIONS)
INPUT: Final = _open(
    _object(
        "One input: its data here, or `binary_data_size` bytes after the JSON.",
        ("name", "shape", "datatype"),
        name=NAME | {"minLength": 1},
        shape=SHAPE | {"minItems": 1},
        datatype=DATATYPE,
        parameters=PARAMETERS,
        data=CELLS,
    )
)
WANTED: Final = _open(
    _object("One output wanted.", ("name",), name=NAME | {"minLength": 1}, parameters=PARAMETERS)
)
REQUEST: Final = _open(
    _object(
        "Tensors to predict from.",
        ("inputs",),
        id=_text("Comes back with the answer.", MOST),
        parameters=PARAMETERS,
        inputs=_list(INPUT, "At least one.") | {"minItems": 1},
        outputs=_list(WANTED, "By default the model's default method."),
    )
)
OUTPUT: Final = _object(
    "One output: its data here, or `binary_data_size` bytes after the JSON.",
    ("name", "shape", "datatype"),
    name=NAME,
    shape=SHAPE,
    datatype=DATATYPE,
    parameters=PARAMETERS,
    data=CELLS,
)
ANSWER: Final = _object(
    "The answer of one version.",
    ("model_name", "model_version", "outputs"),
    model_name=MODEL,
    model_version=VERSION,
    id=_text("The request's.", MOST),
    outputs=_list(OUTPUT, "In the order in which they were asked for.", MOST_NAME),
)
BINARY: Final[Described] = {
    "description": "JSON, and the binary tensors after it.",
    "type": "string",
    "format": "binary",
    "maxLength": MOST,
}
LENGTH: Final = COUNT | {"description": "How many bytes of the body are JSON; 0 is a raw tensor."}
LIVE: Final = _object("This process answers.", ("live",), live=YES)
READY: Final = _object("Predictions are answered.", ("ready", "live"), ready=YES, live=YES)
SERVER: Final = _object(
    "What serves, and which extensions of the protocol it has.",
    ("name", "version", "extensions"),
    name=NAME,
    version=NAME,
    extensions=_list(NAME, "Names of extensions.", MOST_NAME),
)
TENSOR: Final = _object(
    "A tensor of a model.",
    ("name", "datatype", "shape"),
    name=NAME,
    datatype=DATATYPE,
    shape=_list(SIZE, "The size of each dimension.", MOST_DIMENSIONS),
)
METADATA: Final = _object(
    "What a version takes and gives.",
    ("name", "versions", "platform", "inputs", "outputs"),
    name=MODEL,
    versions=_list(VERSION, "Those that may be asked for."),
    platform=NAME,
    inputs=_list(TENSOR, "One of rows, or one for each column."),
    outputs=_list(TENSOR, "One for each method.", MOST_NAME),
    properties=_object(
        "What else there is to know.", ("task", "default_output"), task=NAME, default_output=NAME
    ),
)
CONFIGURED: Final = _object(
    "A tensor of a model.",
    ("name", "data_type", "dims"),
    name=NAME,
    data_type=NAME,
    dims=_list(SIZE, "The size of each dimension.", MOST_DIMENSIONS),
)
PARAMETER: Final = _object("Its value.", ("string_value",), string_value=NAME)
CONFIGURATION: Final = _object(
    "A version in the form of Triton's model configuration.",
    ("name", "platform", "backend", "version_policy", "max_batch_size", "input", "output"),
    name=MODEL,
    platform=NAME,
    backend=NAME,
    version_policy=_object(
        "Which version this is.",
        ("specific",),
        specific=_object("One.", ("versions",), versions=_list(COUNT, "Its number.", 1)),
    ),
    max_batch_size=COUNT,
    input=_list(CONFIGURED, "As in the metadata."),
    output=_list(CONFIGURED, "As in the metadata.", MOST_NAME),
    parameters=_object(
        "What else there is to know.",
        ("max_rows", "default_output"),
        max_rows=PARAMETER,
        default_output=PARAMETER,
    ),
)
MODEL_READY: Final = _object("The model answers.", ("name", "ready"), name=MODEL, ready=YES)
MODELS: Final = _object(
    "The models that the caller may ask.", ("models",), models=_list(MODEL, "By name.")
)
DURATION: Final = _object("How many, and their time.", ("count", "ns"), count=COUNT, ns=COUNT)
DURATIONS: Final = (
    "success",
    "fail",
    "queue",
    "compute_input",
    "compute_infer",
    "compute_output",
    "cache_hit",
    "cache_miss",
)
COUNTED: Final = _object(
    "What was counted of one version.",
    ("name", "version", "last_inference", "inference_count", "execution_count"),
    name=MODEL,
    version=VERSION,
    last_inference=COUNT | {"description": "Unix milliseconds; 0 is never."},
    inference_count=COUNT | {"description": "Rows."},
    execution_count=COUNT,
    inference_stats=_object("Durations.", DURATIONS, **dict.fromkeys(DURATIONS, DURATION)),
    batch_stats=_list(DURATION, "Empty.", 1),
)
STATISTICS: Final = _object(
    "Exact over all workers.", ("model_stats",), model_stats=_list(COUNTED, "One for each version.")
)
WHICH: Final = _open(
    _object(
        "Which versions to list.",
        (),
        ready={"description": "Only those that answer.", "type": ["boolean", "null"]},
    )
)
INDEXED: Final = _object(
    "A version.",
    ("name", "version", "state"),
    name=MODEL,
    version=VERSION,
    state={
        "description": "Whether it answers.",
        "type": "string",
        "enum": ["READY", "UNAVAILABLE"],
    },
    reason=_text("Why it does not."),
)
INDEX: Final = _list(INDEXED, "By name and number.")
DEPENDENTS: Final = _object(
    "What else goes with it: nothing, as no model here depends on another.",
    (),
    unload_dependents={"description": "Makes no difference.", "type": "boolean"},
)
LOADING: Final = _object("How to do it.", (), parameters=NONE | {"maxProperties": 0})
UNLOADING: Final = _object(
    "How to do it.", (), parameters=DEPENDENTS | {"type": ["object", "null"]}
)
LOADED: Final = _object("The model answers.", ("name", "load"), name=MODEL, load=YES)
UNLOADED: Final = _object("The model answers nobody.", ("name", "unload"), name=MODEL, unload=YES)
