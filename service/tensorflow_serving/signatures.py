"""What TF Serving's signatures are here: a model's methods, one or several of them at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from models.errors import InputRefused
from models.signature import Output, Signature

SERVING_DEFAULT: Final = "serving_default"
CLASSIFICATION: Final = "classification"
REGRESSION: Final = "regression"
BYTES_SUFFIX: Final = "_bytes"  # of an output: its texts go out as base64
PROBABILITIES: Final = "predict_proba"
SHOWN: Final = 64
LONGEST: Final = 512


def outputs_named(name: str, signature: Signature) -> dict[str, str]:
    """The method behind each output of a signature; raises InputRefused for one that is not there.

    A method's name is the signature that has it as its one output; several names, with commas
    between, are one that has them all. With `_bytes` after it a method's texts are base64.
    """
    if name in ("", SERVING_DEFAULT):
        return {signature.default_method: signature.default_method}
    wanted = name.split(",") if len(name) <= LONGEST else [""]
    outputs = {output: _method_of(output, signature.methods) for output in wanted}
    if not all(outputs.values()):
        shown = f'Serving signature name: "{name[:SHOWN]}" not found in signature def'
        raise InputRefused("", f"{shown}; there are {', '.join(signature.methods)}")
    return outputs


def classifying_method(name: str, signature: Signature) -> str:
    """The method that classifies; raises InputRefused unless the model is a classifier."""
    known = ("", SERVING_DEFAULT, CLASSIFICATION, "predict", PROBABILITIES)
    if name not in known:
        _refuse_unknown(name)
    if not classifies(signature):
        _refuse_other("classification", "classify")
    return PROBABILITIES if has_probabilities(signature) else "predict"


def regressing_method(name: str, signature: Signature) -> str:
    """The method that answers with one number for each row; raises InputRefused if none does."""
    method = signature.default_method if name in ("", SERVING_DEFAULT, REGRESSION) else name
    if method not in signature.methods:
        _refuse_unknown(name)
    if not regresses(signature, method):
        _refuse_other("regression", "regress")
    return method


def classifies(signature: Signature) -> bool:
    """Whether a model names one class for each row."""
    output = signature.methods.get("predict")
    return signature.task == "classification" and output is not None and output.width is None


def has_probabilities(signature: Signature) -> bool:
    """Whether a classifier says how probable each of its classes is."""
    output = signature.methods.get(PROBABILITIES)
    known = signature.classes is not None and len(signature.classes)
    return output is not None and output.width is not None and output.width == known


def regresses(signature: Signature, method: str) -> bool:
    """Whether a method answers with one number for each row, and not with a class."""
    output = signature.methods[method]
    is_class = method == "predict" and signature.task == "classification"
    return output.dtype in ("number", "integer") and output.width in (None, 1) and not is_class


def _method_of(output: str, methods: Mapping[str, Output]) -> str:
    if output in methods:
        return output
    method = output.removesuffix(BYTES_SUFFIX)
    return method if method in methods and methods[method].dtype == "text" else ""


def _refuse_unknown(name: str) -> None:
    raise InputRefused("", f"No signature was found with the name: {name[:SHOWN]}")


def _refuse_other(kind: str, method: str) -> None:
    raise InputRefused(
        "",
        f"Expected {kind} signature method_name to be tensorflow/serving/{method}. "
        "Was: tensorflow/serving/predict",
    )
