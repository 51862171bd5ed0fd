"""Transformers that change each number by itself."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.numeric.rows import squared_lengths
from models.compilation.numeric.taking import Taken, Taker, flag, floats_of, single, text
from models.errors import ArraysMalformed, EstimatorNotHeld, RowsRefused
from models.layouts import Floats, choice, flags, floats, layout, optional
from models.parts import Part, matrix
from models.tables import Features

TINY: Final = 10 * np.finfo(np.float64).eps  # scikit-learn takes smaller scales for 0, and 0 for 1


class Scaler(Part):
    """A shift and a scale of each column: added and multiplied, or taken off and divided by."""

    LAYOUT = layout(
        shift=optional(floats("columns")),
        scale=optional(floats("columns")),
        multiplies=flags(1),
        bounds=optional(floats(2)),
    )

    def prepare(self) -> None:
        self._shift: Floats | None = self.arrays.get("shift")
        self._scale: Floats | None = self.arrays.get("scale")
        self._multiplies = bool(self.arrays["multiplies"][0])
        self._bounds = tuple(self.arrays["bounds"].tolist()) if "bounds" in self.arrays else None
        if self._multiplies and (self._shift is None or self._scale is None):
            raise ArraysMalformed("there is no shift or no scale")

    def transform(self, features: Features) -> Floats:
        """The scaled columns."""
        made = matrix(features)
        if self._multiplies and self._scale is not None and self._shift is not None:
            made = made * self._scale + self._shift
        else:
            made = made if self._shift is None else made - self._shift
            made = made if self._scale is None else made / self._scale
        scaled: Floats = made if self._bounds is None else np.clip(made, *self._bounds)
        return scaled


class Normalizer(Part):
    """Rows of length 1."""

    LAYOUT = layout(norm=choice("l1", "l2", "max"))

    def transform(self, features: Features) -> Floats:
        """The rows, each divided by its length."""
        rows, norm = matrix(features), self.arrays["norm"][0]
        if norm == "l1":
            lengths = np.sum(np.abs(rows), axis=1)
        elif norm == "l2":
            lengths = np.sqrt(squared_lengths(rows))
        else:
            lengths = np.max(np.abs(rows), axis=1, initial=0.0)
        lengths[lengths < TINY] = 1.0
        made: Floats = rows / lengths[:, np.newaxis]
        return made


class Binarizer(Part):
    """1 above a threshold, else 0."""

    LAYOUT = layout(threshold=floats(1))

    def transform(self, features: Features) -> Floats:
        """Ones and zeros."""
        made: Floats = (matrix(features) > self.arrays["threshold"][0]).astype(np.float64)
        return made


class PowerTransformer(Part):
    """Yeo-Johnson's or Box and Cox's power of each column, then its scale."""

    LAYOUT = layout(
        powers=floats("columns"),
        method=choice("yeo-johnson", "box-cox"),
        shift=optional(floats("columns")),
        scale=optional(floats("columns")),
    )

    def prepare(self) -> None:
        if ("shift" in self.arrays) != ("scale" in self.arrays):
            raise ArraysMalformed("there is a shift or a scale, and not both")

    def transform(self, features: Features) -> Floats:
        """The powers."""
        rows = matrix(features)
        if self.arrays["method"][0] == "box-cox":
            if (rows <= 0).any():
                raise RowsRefused("a number that is not above 0")
            power = _box_cox
        else:
            power = _yeo_johnson
        columns = zip(rows.T, self.arrays["powers"].tolist(), strict=True)
        made = np.column_stack([power(column, exponent) for column, exponent in columns])
        if "scale" in self.arrays:
            made -= self.arrays["shift"]
            made /= self.arrays["scale"]
        return made


class QuantileTransformer(Part):
    """The quantile of each number, as such or as that of a normal distribution."""

    LAYOUT = layout(
        quantiles=floats("columns", "references"),
        references=floats("references"),
        normal=flags(1),
        bounds=floats(2),
    )
    NEAR: Final = 1e-7

    def transform(self, features: Features) -> Floats:
        """The quantiles."""
        columns = zip(matrix(features).T, self.arrays["quantiles"], strict=True)
        return np.column_stack([self._column(column, points) for column, points in columns])

    def _column(self, column: Floats, points: Floats) -> Floats:
        references, normal = self.arrays["references"], self.arrays["normal"][0]
        near = self.NEAR if normal else 0.0
        low = column - near < points[0] if normal else column == points[0]
        high = column + near > points[-1] if normal else column == points[-1]
        there = ~np.isnan(column)
        made, given = column.copy(), column[there]
        # Both ways, and the middle: for numbers that occur more than once.
        up = np.interp(given, points, references)
        down = np.interp(-given, -points[::-1], -references[::-1])
        made[there] = 0.5 * (up - down)
        made[high] = 1
        made[low] = 0
        return self._as_normal(made) if normal else made

    def _as_normal(self, quantiles: Floats) -> Floats:
        from scipy.special import ndtri  # 30 ms, which only this transformer pays

        made: Floats = np.clip(ndtri(quantiles), *self.arrays["bounds"])
        return made


def _yeo_johnson(column: Floats, power: float) -> Floats:
    near, made, above = np.finfo(np.float64).eps, np.zeros_like(column), column >= 0
    up, down = column[above], column[~above]
    made[above] = np.log1p(up) if abs(power) < near else np.expm1(power * np.log1p(up)) / power
    rest = 2 - power
    made[~above] = -np.log1p(-down) if abs(power - 2) <= near else _mirrored(down, rest)
    return made


def _mirrored(numbers: Floats, power: float) -> Floats:
    made: Floats = -np.expm1(power * np.log1p(-numbers)) / power
    return made


def _box_cox(column: Floats, power: float) -> Floats:
    """SciPy's `boxcox`, which takes the smallest powers for 0."""
    logarithm: Floats = np.log(column)
    made: Floats = logarithm if abs(power) < 1e-19 else np.expm1(power * logarithm) / power
    return made


def scaler(shift: Any, scale: Any, bounds: Any = None, *, multiplies: bool = False) -> Taken:
    """A shift and a scale, taken off and divided by, or multiplied and added."""
    arrays: dict[str, NDArray[Any]] = {"multiplies": flag(multiplies)}
    named = {"shift": shift, "scale": scale, "bounds": bounds}
    arrays |= {name: floats_of(value) for name, value in named.items() if value is not None}
    return "scaler", arrays


def _standard(estimator: Any) -> Taken:
    shift = estimator.mean_ if estimator.with_mean else None
    return scaler(shift, estimator.scale_ if estimator.with_std else None)


def _min_max(estimator: Any) -> Taken:
    bounds = estimator.feature_range if estimator.clip else None
    return scaler(estimator.min_, estimator.scale_, bounds, multiplies=True)


def _max_abs(estimator: Any) -> Taken:
    return scaler(None, estimator.scale_, (-1.0, 1.0) if estimator.clip else None)


def _robust(estimator: Any) -> Taken:
    shift = estimator.center_ if estimator.with_centering else None
    return scaler(shift, estimator.scale_ if estimator.with_scaling else None)


def _normalizer(estimator: Any) -> Taken:
    return "normalizer", {"norm": text(estimator.norm)}


def _binarizer(estimator: Any) -> Taken:
    return "binarizer", {"threshold": single(estimator.threshold)}


def _power(estimator: Any) -> Taken:
    arrays = {"powers": floats_of(estimator.lambdas_), "method": text(estimator.method)}
    if estimator.standardize:
        scaler = estimator._scaler
        arrays |= {"shift": floats_of(scaler.mean_), "scale": floats_of(scaler.scale_)}
    return "power_transformer", arrays


def _quantile(estimator: Any) -> Taken:
    from scipy.stats import norm

    if estimator.output_distribution not in {"uniform", "normal"}:
        raise EstimatorNotHeld("its distribution is neither uniform nor normal")
    near = QuantileTransformer.NEAR - np.spacing(1)
    return "quantile_transformer", {
        "quantiles": floats_of(estimator.quantiles_.T),
        "references": floats_of(estimator.references_),
        "normal": flag(estimator.output_distribution == "normal"),
        "bounds": floats_of([norm.ppf(near), norm.ppf(1 - near)]),
    }


KINDS: Final[dict[str, type[Part]]] = {
    "scaler": Scaler,
    "normalizer": Normalizer,
    "binarizer": Binarizer,
    "power_transformer": PowerTransformer,
    "quantile_transformer": QuantileTransformer,
}
TAKERS: Final[dict[str, Taker]] = {
    "StandardScaler": _standard,
    "MinMaxScaler": _min_max,
    "MaxAbsScaler": _max_abs,
    "RobustScaler": _robust,
    "Normalizer": _normalizer,
    "Binarizer": _binarizer,
    "PowerTransformer": _power,
    "QuantileTransformer": _quantile,
}
