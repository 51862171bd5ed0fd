"""Counts of words: weighted by how rare they are, and kernels that were counted before."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from models.compilation.numeric.taking import Taken, Taker, flag, floats_of, text
from models.errors import EstimatorNotHeld
from models.layouts import Floats, choice, flags, floats, layout, optional
from models.parts import Part, matrix
from models.tables import Features


class Weighting(Part):
    """Counts, each by its column's weight, in rows of length 1."""

    LAYOUT = layout(
        weights=optional(floats("columns")),
        damped=flags(1),  # 1 + log of each count
        norm=choice("l1", "l2", "none"),
    )

    def transform(self, features: Features) -> Floats:
        """The weighted counts."""
        made = matrix(features).copy()
        if self.arrays["damped"][0]:
            there = made != 0
            made[there] = np.log(made[there]) + 1.0
        if "weights" in self.arrays:
            made *= self.arrays["weights"]
        return normalised(made, str(self.arrays["norm"][0]))


class Centring(Part):
    """A kernel's rows, centred as the kernel that it was fitted to."""

    LAYOUT = layout(means=floats("points"), mean=floats(1))

    def transform(self, features: Features) -> Floats:
        """The centred rows."""
        kernels = matrix(features)
        own = (np.sum(kernels, axis=1) / self.lengths["points"])[:, np.newaxis]
        made: Floats = kernels - self.arrays["means"]
        made -= own
        made += self.arrays["mean"][0]
        return made


def normalised(rows: Floats, norm: str) -> Floats:
    """Rows over their length, summed from first to last as for sparse rows; 0 stays 0."""
    if norm == "none":
        return rows
    sizes = np.abs(rows) if norm == "l1" else rows * rows
    lengths = np.add.accumulate(sizes, axis=1)[:, -1]
    lengths = lengths if norm == "l1" else np.sqrt(lengths)
    lengths[lengths == 0] = 1.0
    made: Floats = rows / lengths[:, np.newaxis]
    return made


def _weighting(estimator: Any) -> Taken:
    arrays = {
        "damped": flag(estimator.sublinear_tf),
        "norm": text(estimator.norm or "none"),
    }
    if estimator.use_idf:
        arrays["weights"] = floats_of(estimator.idf_)
    return "weighting", arrays


def _centring(estimator: Any) -> Taken:
    means = floats_of(estimator.K_fit_rows_)
    if means.ndim != 1:
        raise EstimatorNotHeld("its kernel was no matrix")
    return "centring", {"means": means, "mean": floats_of([float(estimator.K_fit_all_)])}


KINDS: Final[dict[str, type[Part]]] = {"weighting": Weighting, "centring": Centring}
TAKERS: Final[dict[str, Taker]] = {"TfidfTransformer": _weighting, "KernelCenterer": _centring}
