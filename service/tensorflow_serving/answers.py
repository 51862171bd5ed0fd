"""What a model said, as TF Serving's clients read it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.signature import Signature
from service import loose_json
from service.tensorflow_serving.requests import BASE64, PredictCall
from service.tensorflow_serving.signatures import BYTES_SUFFIX, PROBABILITIES, outputs_named

Answers = Mapping[str, NDArray[Any]]


def write_predictions(call: PredictCall, signature: Signature, answers: Answers) -> bytes:
    """`predictions` row by row, or `outputs` by name; a sole output goes without its name."""
    named = outputs_named(call.signature_name, signature)
    outputs = {name: _output(name, answers[method]) for name, method in named.items()}
    if call.is_columnar:
        sole = len(outputs) == 1
        body = {"outputs": next(iter(outputs.values())) if sole else outputs}
    else:
        body = {"predictions": _rows(outputs)}
    return loose_json.encode(body, answers.values())


def write_classes(signature: Signature, answers: Answers) -> bytes:
    """`results`: for each example its classes, each with its score; labels are always texts."""
    [(method, scores)] = answers.items()
    if method == PROBABILITIES:
        labels = [str(label) for label in signature.classes or ()]
        results = [list(map(list, zip(labels, row, strict=True))) for row in scores.tolist()]
    else:  # a classifier that only decides
        results = [[[str(label), 1.0]] for label in scores.tolist()]
    return loose_json.encode({"results": results}, [scores])


def write_numbers(answers: Answers) -> bytes:
    """`results`: one number for each example."""
    [numbers] = (np.asarray(answer, dtype=np.float64).reshape(-1) for answer in answers.values())
    return loose_json.encode({"results": numbers}, [numbers])


def _output(name: str, answer: NDArray[Any]) -> NDArray[Any] | list[Any]:
    if name.endswith(BYTES_SUFFIX):
        return [_encoded(row) for row in answer.tolist()]
    return answer


def _encoded(answer: Any) -> Any:
    if isinstance(answer, list):
        return [_encoded(part) for part in answer]
    return {BASE64: base64.b64encode(answer.encode()).decode()}


def _rows(outputs: dict[str, NDArray[Any] | list[Any]]) -> NDArray[Any] | list[Any]:
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    lists = [value if isinstance(value, list) else value.tolist() for value in outputs.values()]
    return [dict(zip(outputs, row, strict=True)) for row in zip(*lists, strict=True)]
