"""Covariance functions of Gaussian processes, as a program of named steps over a stack."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.numeric.pairs import summed_over_columns
from models.compilation.numeric.taking import floats_of, ragged, texts_of
from models.errors import ArraysMalformed, EstimatorNotHeld
from models.layouts import Arrays, Field, Floats, floats, integers, texts

MOST_STEPS: Final = 256
FIELDS: Final[Mapping[str, Field]] = MappingProxyType(
    {"steps": texts("steps"), "numbers": floats("numbers"), "ends": integers("steps", least=0)}
)
Stack = list[Floats]


def _squares(rows: Floats, points: Floats, scale: Floats) -> Floats:
    return summed_over_columns(rows / scale, points / scale, lambda a, b: (a - b) * (a - b))


def _matern_15(distances: Floats) -> Floats:
    scaled = distances * math.sqrt(3)
    return (1.0 + scaled) * np.exp(-scaled)


def _matern_25(distances: Floats) -> Floats:
    scaled = distances * math.sqrt(5)
    covariance: Floats = (1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled)
    return covariance


MATERN: Final[Mapping[str, Callable[[Floats], Floats]]] = MappingProxyType(
    {
        "matern 0.5": lambda distances: np.exp(-distances),
        "matern 1.5": _matern_15,
        "matern 2.5": _matern_25,
        "matern inf": lambda distances: np.exp(-(distances**2) / 2.0),
    }
)
# How many numbers a step has; None is one, or one for each column.
NUMBERS: Final[Mapping[str, int | None]] = MappingProxyType(
    {
        "constant": 1,
        "white": 1,
        "gaussian": None,
        "rational": 2,
        "periodic": 2,
        "dot": 1,
        "sum": 0,
        "product": 0,
        "power": 1,
    }
    | dict.fromkeys(MATERN)
)


class Covariance:
    """Evaluates a covariance between rows and points."""

    def __init__(self, arrays: Arrays, columns: int) -> None:
        ends = arrays["ends"]
        if (np.diff(ends, prepend=0) < 0).any() or ends[-1] != len(arrays["numbers"]) - 1:
            raise ArraysMalformed("the steps' numbers are not one after another")
        numbers = np.split(arrays["numbers"], ends)[: len(ends)]
        self._steps = tuple(zip(arrays["steps"].tolist(), numbers, strict=True))
        depth = 0
        for name, own in self._steps:
            if name not in NUMBERS or len(own) not in _lengths(NUMBERS[name], columns):
                raise ArraysMalformed("a step is unknown, or has not as many numbers as it needs")
            depth += {"sum": -1, "product": -1, "power": 0}.get(name, 1)
            if depth < 1:
                raise ArraysMalformed("a step needs more than there is before it")
        if depth != 1 or len(self._steps) > MOST_STEPS:
            raise ArraysMalformed("the steps do not end in one covariance")

    def of(self, rows: Floats, points: Floats) -> Floats:
        """The covariance of each row and point."""
        return self._run(lambda name, numbers: _between(name, numbers, rows, points))

    def own(self, rows: Floats) -> Floats:
        """The variance of each row."""
        return self._run(lambda name, numbers: _within(name, numbers, rows))

    def _run(self, leaf: Callable[[str, Floats], Floats]) -> Floats:
        stack: Stack = []
        for name, numbers in self._steps:
            if name == "sum":
                last = stack.pop()
                stack[-1] = stack[-1] + last
            elif name == "product":
                last = stack.pop()
                stack[-1] = stack[-1] * last
            elif name == "power":
                stack[-1] = stack[-1] ** float(numbers[0])
            else:
                stack.append(leaf(name, numbers))
        return stack[0]


def _lengths(wanted: int | None, columns: int) -> set[int]:
    return {1, columns} if wanted is None else {wanted}


def _between(name: str, numbers: Floats, rows: Floats, points: Floats) -> Floats:
    first = float(numbers[0])
    if name in {"constant", "white"}:
        return np.full((len(rows), len(points)), first if name == "constant" else 0.0)
    if name == "dot":
        inner: Floats = np.inner(rows, points) + first**2
        return inner
    if name == "gaussian":
        return np.exp(-0.5 * _squares(rows, points, numbers))
    if name in MATERN:
        return MATERN[name](np.sqrt(_squares(rows, points, numbers)))
    squares, second = _squares(rows, points, np.ones(1)), float(numbers[1])
    if name == "rational":
        rational: Floats = (1 + squares / (2 * first * second**2)) ** -first
        return rational
    return np.exp(-2 * (np.sin(np.pi / second * np.sqrt(squares)) / first) ** 2)


def _within(name: str, numbers: Floats, rows: Floats) -> Floats:
    if name in {"constant", "white"}:
        return np.full(len(rows), float(numbers[0]))
    if name == "dot":
        own: Floats = np.einsum("ij,ij->i", rows, rows) + float(numbers[0]) ** 2
        return own
    return np.ones(len(rows))


def covariance_of(kernel: Any) -> dict[str, NDArray[Any]]:
    """A kernel's program, leaves before what joins them."""
    steps: list[tuple[str, list[float]]] = []
    _take(kernel, steps)
    numbers, ends = ragged([floats_of([*own, 0.0])[:-1] for _, own in steps])
    return {
        "steps": texts_of([name for name, _ in steps]),
        "numbers": np.append(numbers, 0.0),  # an array has at least one number
        "ends": ends,
    }


def _take(kernel: Any, steps: list[tuple[str, list[float]]]) -> None:
    name = type(kernel).__name__
    if name in {"Sum", "Product"}:
        _take(kernel.k1, steps)
        _take(kernel.k2, steps)
        steps.append((name.lower(), []))
    elif name == "Exponentiation":
        _take(kernel.kernel, steps)
        steps.append(("power", [kernel.exponent]))
    elif type(kernel).__module__ == "sklearn.gaussian_process.kernels" and name in _LEAVES:
        steps.append(_LEAVES[name](kernel))
    else:
        raise EstimatorNotHeld(f"its kernel has a {name}")


def _matern(kernel: Any) -> tuple[str, list[float]]:
    name = f"matern {float(kernel.nu)}"
    if name not in MATERN:
        raise EstimatorNotHeld(f"its kernel is a Matern of {kernel.nu}: Bessel functions")
    return name, np.atleast_1d(kernel.length_scale).tolist()


_LEAVES: Final[Mapping[str, Callable[[Any], tuple[str, list[float]]]]] = MappingProxyType(
    {
        "ConstantKernel": lambda kernel: ("constant", [kernel.constant_value]),
        "WhiteKernel": lambda kernel: ("white", [kernel.noise_level]),
        "RBF": lambda kernel: ("gaussian", np.atleast_1d(kernel.length_scale).tolist()),
        "Matern": _matern,
        "RationalQuadratic": lambda kernel: ("rational", [kernel.alpha, kernel.length_scale]),
        "ExpSineSquared": lambda kernel: ("periodic", [kernel.length_scale, kernel.periodicity]),
        "DotProduct": lambda kernel: ("dot", [kernel.sigma_0]),
    }
)
