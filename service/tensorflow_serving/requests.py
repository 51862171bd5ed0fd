"""What a client of TF Serving asks for, read from the body of its request."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from models.errors import InputRefused
from models.names import Reference
from models.requests.bounds import Bounds
from models.requests.documents import Document, read_document
from models.requests.instances import (
    Given,
    read_inputs,
    read_instances,
    read_with_context,
)
from models.signature import Signature
from models.tables import Features
from service.tensorflow_serving.signatures import outputs_named

INSTANCES: Final = "instances"
INPUTS: Final = "inputs"
EXAMPLES: Final = "examples"
CONTEXT: Final = "context"
SIGNATURE_NAME: Final = "signature_name"
BASE64: Final = "b64"
# From the name of a signature, and a model's own, to the method meant.
Naming = Callable[[str, Signature], str]


@dataclass(frozen=True, slots=True)
class Target:
    """Which model an address names; a version is a number, or a label: an alias."""

    model: str
    version: Reference = None


@dataclass(frozen=True, slots=True)
class _Call:
    """Rows, and the signature that is to answer them."""

    target: Target
    given: Given
    signature_name: str

    @property
    def model(self) -> str:
        """The model's name."""
        return self.target.model

    @property
    def version(self) -> Reference:
        """A version's number or alias; None is whatever the model's route says."""
        return self.target.version

    def __len__(self) -> int:
        return len(self.given)

    def bound(self, signature: Signature) -> Features:
        """The rows as the model takes them; raises InputRefused where they do not fit."""
        return self.given.bound(signature)


@dataclass(frozen=True, slots=True)
class PredictCall(_Call):
    """Rows to predict; `is_columnar` if they were written by input, as the outputs will be."""

    is_columnar: bool

    def methods(self, signature: Signature) -> tuple[str, ...]:
        """The methods behind the outputs of the signature asked for."""
        return tuple(dict.fromkeys(outputs_named(self.signature_name, signature).values()))


@dataclass(frozen=True, slots=True)
class ExamplesCall(_Call):
    """Examples to classify or to regress, by the method that `naming` finds."""

    naming: Naming

    def methods(self, signature: Signature) -> tuple[str, ...]:
        """The one method that classifies or regresses."""
        return (self.naming(self.signature_name, signature),)


def read_predict(body: bytes, target: Target, bounds: Bounds) -> PredictCall:
    """Read `{"instances": [...]}` or `{"inputs": ...}`; raises InputRefused.

    What else there is in the object is left alone, as TF Serving does.
    """
    document = read_document(body, bounds, not_finite=True)
    members = document.members
    name = _signature_name(members)
    if INSTANCES in members and INPUTS in members:
        raise InputRefused(
            "",
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist",
        )
    if INSTANCES in members:
        instances = _plain(document, _list(members[INSTANCES], INSTANCES))
        given = read_instances(instances, f"/{INSTANCES}", document, bounds)
        return PredictCall(target, given, name, is_columnar=False)
    if INPUTS not in members:
        raise InputRefused("", "Missing 'inputs' or 'instances' key")
    given = read_inputs(_plain(document, members[INPUTS]), f"/{INPUTS}", document, bounds)
    return PredictCall(target, given, name, is_columnar=True)


def read_examples(body: bytes, target: Target, bounds: Bounds, naming: Naming) -> ExamplesCall:
    """Read `{"examples": [{feature: value}, ...], "context": {...}}`; raises InputRefused."""
    document = read_document(body, bounds, not_finite=True)
    members = document.members
    name = _signature_name(members)
    if EXAMPLES not in members:
        raise InputRefused("", "When method is classify, key 'examples' is expected")
    examples = _plain(document, _list(members[EXAMPLES], EXAMPLES))
    for index, example in enumerate(examples):
        if type(example) is not dict:
            raise InputRefused(f"/{EXAMPLES}/{index}", "Example must be JSON object")
    context = _plain(document, members.get(CONTEXT, {}))
    if type(context) is not dict:
        raise InputRefused(f"/{CONTEXT}", "Example must be JSON object")
    if context:
        given = read_with_context(examples, context, f"/{EXAMPLES}", document, bounds)
    else:
        given = read_instances(examples, f"/{EXAMPLES}", document, bounds)
    return ExamplesCall(target, given, name, naming)


def _signature_name(members: dict[str, Any]) -> str:
    name = members.get(SIGNATURE_NAME, "")
    if type(name) is not str:
        raise InputRefused(
            "", "not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


def _list(value: Any, key: str) -> list[Any]:
    if type(value) is not list:
        raise InputRefused("", f"Expecting '{key}' value to be an list/array")
    if not value:
        raise InputRefused("", f"No values in '{key}' array")
    return value


def _plain(document: Document, value: Any) -> Any:
    """The value with each `{"b64": "..."}` as the text that it stands for."""
    return _without_base64(value) if b'"b64"' in document.body else value


def _without_base64(value: Any) -> Any:
    if type(value) is list:
        return [_without_base64(inner) for inner in value]
    if type(value) is not dict:
        return value
    if value.keys() == {BASE64} and type(value[BASE64]) is str:
        return _decode(value[BASE64])
    return {name: _without_base64(inner) for name, inner in value.items()}


def _decode(encoded: str) -> str:
    try:
        padded = encoded + "=" * (-len(encoded) % 4)  # which TF Serving does without
        return base64.b64decode(padded, validate=True).decode()
    except UnicodeDecodeError as error:
        raise InputRefused("", "base64 of no UTF-8, which all texts are here") from error
    except (binascii.Error, ValueError) as error:
        raise InputRefused("", "Unable to base64 decode") from error
