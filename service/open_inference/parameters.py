"""What a request may say besides its tensors: parameters, some of them with a meaning here.

Triton reserves names; those that are about what this platform does not have are refused, for a
client that asks for them would take the answer for something else. `priority` and `timeout` speak
of a queue of requests: there is none here that would heed them, so they are checked and left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from models.errors import InputRefused
from models.requests.places import step

SCALARS: Final = (str, int, float, bool)
STATEFUL: Final = ("sequence_id", "sequence_start", "sequence_end")
COUNTED: Final = ("priority", "timeout")
STREAMED: Final = "triton_enable_empty_final_response"  # how a stream ends, which needs no answer
RESERVED_PREFIX: Final = "triton_"
SHARED_MEMORY: Final = "shared_memory_region"
CONTENT_TYPE: Final = "content_type"
CONTENT_TYPES: Final = ("np", "pd", "str")  # MLServer's names for what tensors here are anyway
CLASSIFICATION: Final = "classification"

Parameters = Mapping[str, Any]


def check_parameters(given: object, where: str) -> Parameters:
    """The parameters of a request, an input or an output; raises InputRefused.

    Each is a string, a number, true or false.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InputRefused(where, "not an object")
    for name, value in given.items():
        if not isinstance(value, SCALARS):
            raise InputRefused(f"{where}/{step(name)}", "neither a string, a number nor a boolean")
    return given


def check_request(given: object, where: str = "/parameters") -> Parameters:
    """The parameters of a whole request; raises InputRefused for what has no meaning here."""
    parameters = check_parameters(given, where)
    for name in STATEFUL:
        if parameters.get(name):
            problem = "no model here keeps anything from one request to the next"
            raise InputRefused(f"{where}/{name}", problem)
    for name in COUNTED:
        read_count(parameters, name, where)
    for name in parameters:
        if name == "headers" or (name.startswith(RESERVED_PREFIX) and name != STREAMED):
            raise InputRefused(f"{where}/{step(name)}", "a reserved name")
    _check_content_type(parameters, where)
    return parameters


def check_input(given: object, where: str) -> Parameters:
    """The parameters of one input; raises InputRefused."""
    parameters = check_parameters(given, where)
    if SHARED_MEMORY in parameters:
        problem = "there is no shared memory over a network; send the tensor"
        raise InputRefused(f"{where}/{SHARED_MEMORY}", problem)
    _check_content_type(parameters, where)
    return parameters


def check_output(given: object, where: str) -> Parameters:
    """The parameters of one output; raises InputRefused."""
    parameters = check_parameters(given, where)
    if SHARED_MEMORY in parameters:
        problem = "there is no shared memory over a network; read the answer"
        raise InputRefused(f"{where}/{SHARED_MEMORY}", problem)
    if parameters.get(CLASSIFICATION):
        problem = "not offered; ask for the output predict_proba"
        raise InputRefused(f"{where}/{CLASSIFICATION}", problem)
    return parameters


def read_count(parameters: Parameters, name: str, where: str) -> int | None:
    """A parameter that is a number from 0, if it is given; raises InputRefused."""
    value = parameters.get(name)
    if value is None:
        return None
    if type(value) is not int or value < 0:
        raise InputRefused(f"{where}/{name}", "not an integer from 0")
    return value


def read_switch(parameters: Parameters, name: str, where: str) -> bool | None:
    """A parameter that is true or false, if it is given; raises InputRefused."""
    value = parameters.get(name)
    if value is None or type(value) is bool:
        return value
    raise InputRefused(f"{where}/{name}", "neither true nor false")


def _check_content_type(parameters: Parameters, where: str) -> None:
    if parameters.get(CONTENT_TYPE, CONTENT_TYPES[0]) not in CONTENT_TYPES:
        problem = f"none of {', '.join(CONTENT_TYPES)}; send the values themselves"
        raise InputRefused(f"{where}/{CONTENT_TYPE}", problem)
