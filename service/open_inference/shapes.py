"""The shape of the Open Inference Protocol's messages, for the description of the API."""

from __future__ import annotations

from typing import Final

from service.open_inference.datatypes import DATATYPES
from service.open_inference.tensors import MOST_DIMENSIONS, MOST_NAME
from service.schemas import LARGEST
from service.schemas.messages import (
    MODEL,
    MOST,
    MOST_VERSIONS,
    VERSION,
    Described,
    closed,
    listed,
    opened,
    text,
)

COUNT: Final[Described] = {
    "type": "integer",
    "format": "int64",
    "minimum": 0,
    "maximum": LARGEST,
}


NAME: Final = text("A name.", MOST_NAME)
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
    "maxProperties": MOST,
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
SHAPE: Final = listed(COUNT, "The size of each dimension.", MOST_DIMENSIONS)
INPUT: Final = opened(
    closed(
        "One input: its data here, or `binary_data_size` bytes after the JSON.",
        ("name", "shape", "datatype"),
        name=NAME | {"minLength": 1},
        shape=SHAPE | {"minItems": 1},
        datatype=DATATYPE,
        parameters=PARAMETERS,
        data=CELLS,
    )
)
WANTED: Final = opened(
    closed("One output wanted.", ("name",), name=NAME | {"minLength": 1}, parameters=PARAMETERS)
)
REQUEST: Final = opened(
    closed(
        "Tensors to predict from.",
        ("inputs",),
        id=text("Comes back with the answer.", MOST),
        parameters=PARAMETERS,
        inputs=listed(INPUT, "At least one.") | {"minItems": 1},
        outputs=listed(WANTED, "By default the model's default method."),
    )
)
OUTPUT: Final = closed(
    "One output: its data here, or `binary_data_size` bytes after the JSON.",
    ("name", "shape", "datatype"),
    name=NAME,
    shape=SHAPE,
    datatype=DATATYPE,
    parameters=PARAMETERS,
    data=CELLS,
)
ANSWER: Final = closed(
    "The answer of one version.",
    ("model_name", "model_version", "outputs"),
    model_name=MODEL,
    model_version=VERSION,
    id=text("The request's.", MOST),
    outputs=listed(OUTPUT, "In the order in which they were asked for.", MOST_NAME),
)
BINARY: Final[Described] = {
    "description": "JSON, and the binary tensors after it.",
    "type": "string",
    "format": "binary",
    "maxLength": MOST,
}
LENGTH: Final = COUNT | {"description": "How many bytes of the body are JSON; 0 is a raw tensor."}
LIVE: Final = closed("This process answers.", ("live",), live=YES)
READY: Final = closed("Predictions are answered.", ("ready", "live"), ready=YES, live=YES)
SERVER: Final = closed(
    "What serves, and which extensions of the protocol it has.",
    ("name", "version", "extensions"),
    name=NAME,
    version=NAME,
    extensions=listed(NAME, "Names of extensions.", MOST_NAME),
)
TENSOR: Final = closed(
    "A tensor of a model.",
    ("name", "datatype", "shape"),
    name=NAME,
    datatype=DATATYPE,
    shape=listed(SIZE, "The size of each dimension.", MOST_DIMENSIONS),
)
METADATA: Final = closed(
    "What a version takes and gives.",
    ("name", "versions", "platform", "inputs", "outputs"),
    name=MODEL,
    versions=listed(VERSION, "Those that may be asked for.", MOST_VERSIONS),
    platform=NAME,
    inputs=listed(TENSOR, "One of rows, or one for each column."),
    outputs=listed(TENSOR, "One for each method.", MOST_NAME),
    properties=closed(
        "What else there is to know.", ("task", "default_output"), task=NAME, default_output=NAME
    ),
)
CONFIGURED: Final = closed(
    "A tensor of a model.",
    ("name", "data_type", "dims"),
    name=NAME,
    data_type=NAME,
    dims=listed(SIZE, "The size of each dimension.", MOST_DIMENSIONS),
)
PARAMETER: Final = closed("Its value.", ("string_value",), string_value=NAME)
CONFIGURATION: Final = closed(
    "A version in the form of Triton's model configuration.",
    ("name", "platform", "backend", "version_policy", "max_batch_size", "input", "output"),
    name=MODEL,
    platform=NAME,
    backend=NAME,
    version_policy=closed(
        "Which version this is.",
        ("specific",),
        specific=closed("One.", ("versions",), versions=listed(COUNT, "Its number.", 1)),
    ),
    max_batch_size=COUNT,
    input=listed(CONFIGURED, "As in the metadata."),
    output=listed(CONFIGURED, "As in the metadata.", MOST_NAME),
    parameters=closed(
        "What else there is to know.",
        ("max_rows", "default_output"),
        max_rows=PARAMETER,
        default_output=PARAMETER,
    ),
)
MODEL_READY: Final = closed("The model answers.", ("name", "ready"), name=MODEL, ready=YES)
MODELS: Final = closed(
    "The models that the caller may ask.", ("models",), models=listed(MODEL, "By name.")
)
DURATION: Final = closed("How many, and their time.", ("count", "ns"), count=COUNT, ns=COUNT)
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
COUNTED: Final = closed(
    "What was counted of one version.",
    ("name", "version", "last_inference", "inference_count", "execution_count"),
    name=MODEL,
    version=VERSION,
    last_inference=COUNT | {"description": "Unix milliseconds; 0 is never."},
    inference_count=COUNT | {"description": "Rows."},
    execution_count=COUNT,
    inference_stats=closed("Durations.", DURATIONS, **dict.fromkeys(DURATIONS, DURATION)),
    batch_stats=listed(DURATION, "Empty.", 1),
)
STATISTICS: Final = closed(
    "Exact over all workers.",
    ("model_stats",),
    model_stats=listed(COUNTED, "One for each version."),
)
WHICH: Final = opened(
    closed(
        "Which versions to list.",
        (),
        ready={"description": "Only those that answer.", "type": ["boolean", "null"]},
    )
)
INDEXED: Final = closed(
    "A version.",
    ("name", "version", "state"),
    name=MODEL,
    version=VERSION,
    state={
        "description": "Whether it answers.",
        "type": "string",
        "enum": ["READY", "UNAVAILABLE"],
    },
    reason=text("Why it does not."),
)
INDEX: Final = listed(INDEXED, "By name and number.", MOST_VERSIONS)
DEPENDENTS: Final = closed(
    "What else goes with it: nothing, as no model here depends on another.",
    (),
    unload_dependents={"description": "Makes no difference.", "type": "boolean"},
)
LOADING: Final = closed("How to do it.", (), parameters=NONE | {"maxProperties": 0})
UNLOADING: Final = closed("How to do it.", (), parameters=DEPENDENTS | {"type": ["object", "null"]})
LOADED: Final = closed("The model answers.", ("name", "load"), name=MODEL, load=YES)
UNLOADED: Final = closed("The model answers nobody.", ("name", "unload"), name=MODEL, unload=YES)
