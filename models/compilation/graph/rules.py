"""What a graph may hold that a host runs for a worker: operators, attributes, types and sizes.

No operator runs another graph, reads a file, draws at random, decides by its data how large its
result is, or compares float64 as float32 (the trees of ONNX do).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from models.errors import ArraysMalformed

OPSETS: Final = range(13, 24)
_STANDARD: Final = (
    "Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool "
    "BatchNormalization Cast Ceil Celu Clip Concat Conv Cos Cosh CumSum Div Dropout "
    "Einsum Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements Gelu Gemm "
    "GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual HardSigmoid HardSwish "
    "Identity IsInf IsNaN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax "
    "MatMul Max MaxPool Mean Min Mish Mod Mul Neg Not Or PRelu Pad Pow Reciprocal "
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin "
    "ReduceProd ReduceSum ReduceSumSquare Relu Reshape Round Selu Shape Sigmoid Sign Sin "
    "Sinh Slice Softmax Softplus Softsign Split Sqrt Squeeze Sub Sum Tan Tanh "
    "ThresholdedRelu TopK Transpose Unsqueeze Where Xor "
)
OPERATORS: Final = frozenset(_STANDARD.split())
# Of a tensor's type: the array that its values lie in, and numpy's name of the type.
TYPES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "double": ("doubles", "float64"),
        "float": ("singles", "float32"),
        "int64": ("longs", "int64"),
        "int32": ("longs", "int32"),
        "bool": ("longs", "bool"),
        "string": ("texts", "str"),
    }
)
INPUTS: Final = ("double", "float", "int64", "int32", "bool")
MOST_NODES: Final = 5_000
MOST_ENDS: Final = 256
MOST_VALUES: Final = 4_096
MOST_DIMENSIONS: Final = 8
MOST_TEXT: Final = 1_000
LARGEST: Final = 2**31
NAME: Final = re.compile(r"v[0-9]{1,6}")
# Of integers the processor traps them: any number by 0, and the least number by -1.
DIVISIONS: Final = frozenset({"Div", "Mod"})
TRAINED: Final = frozenset({"Dropout", "BatchNormalization"})
ATTRIBUTE: Final = re.compile(r"[a-z][a-zA-Z0-9_]{0,40}")


def check_operator(name: object) -> None:
    """Raise ArraysMalformed unless an operator of the standard's own domain may run."""
    if type(name) is not str or name not in OPERATORS:
        raise ArraysMalformed(f"the operator {str(name)[:60]!r} is none of those that run")


def check_opset(version: object) -> int:
    """Return the version of the operators; raises ArraysMalformed."""
    if type(version) is not int or version not in OPSETS:
        raise ArraysMalformed(f"version {version!r} of the operators is not known")
    return version


def check_attribute(name: object, value: object) -> None:
    """Raise ArraysMalformed unless an attribute is a bounded number or text, or a list of such."""
    if type(name) is not str or not ATTRIBUTE.fullmatch(name):
        raise ArraysMalformed("an attribute has an impossible name")
    values = value if type(value) is list else [value]
    if len(values) > MOST_VALUES or len({type(each) for each in values}) > 1:
        raise ArraysMalformed(f"the attribute {name} has too many values, or of several types")
    if not all(_bounded(each) for each in values):
        raise ArraysMalformed(f"the attribute {name} has an impossible value")


def check_shape(shape: object) -> tuple[int, ...]:
    """Return a tensor's shape; raises ArraysMalformed."""
    if type(shape) is not list or len(shape) > MOST_DIMENSIONS:
        raise ArraysMalformed("a tensor has too many dimensions")
    if not all(type(length) is int and 0 <= length < LARGEST for length in shape):
        raise ArraysMalformed("a tensor has an impossible shape")
    return tuple(shape)


def check_names(names: object) -> list[str]:
    """Return the names of values; raises ArraysMalformed."""
    if type(names) is not list or len(names) > MOST_ENDS:
        raise ArraysMalformed("a node has too many inputs or outputs")
    if not all(type(name) is str and (not name or NAME.fullmatch(name)) for name in names):
        raise ArraysMalformed("a value has an impossible name")
    return names


def _bounded(value: Any) -> bool:
    if type(value) is int:
        return -LARGEST <= value < LARGEST
    if type(value) is float:
        return math.isfinite(value)
    return type(value) is str and len(value) <= MOST_TEXT
