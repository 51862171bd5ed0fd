"""Transformers that multiply rows with a matrix, and those that pick or pool columns."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.numeric.rows import logistic, sequential_sum
from models.compilation.numeric.taking import Taken, Taker, floats_of, single
from models.errors import ArraysMalformed, EstimatorNotHeld, RowsRefused
from models.layouts import Floats, floats, indices, integers, layout, optional
from models.parts import Part, matrix
from models.tables import Features


class Projection(Part):
    """Rows, less a centre, times directions, less an offset, over a scale."""

    LAYOUT = layout(
        centre=optional(floats("columns")),
        directions=floats("axes", "columns"),
        turn=optional(floats("axes", "turned")),
        offset=optional(floats("axes")),
        scale=optional(floats("axes")),
        mean=optional(floats("columns")),
        precision=optional(floats("columns", "columns")),
        normaliser=optional(floats(1)),
    )

    def withheld(self) -> frozenset[str]:
        likely = {"mean", "precision", "normaliser"} <= self.arrays.keys()
        return frozenset() if likely else frozenset({"score_samples"})

    def score_samples(self, features: Features) -> Floats:
        """The logarithmic likelihood of each row."""
        apart = matrix(features) - self.arrays["mean"]
        likely: Floats = -0.5 * np.sum(apart * np.dot(apart, self.arrays["precision"]), axis=1)
        likely -= self.arrays["normaliser"][0]
        return likely

    def transform(self, features: Features) -> Floats:
        """The projected rows."""
        rows = matrix(features)
        if "centre" in self.arrays:
            rows = rows - self.arrays["centre"]
        made: Floats = rows @ self.arrays["directions"].T
        if "turn" in self.arrays:
            made = np.dot(made, self.arrays["turn"])
        if "offset" in self.arrays:
            made -= self.arrays["offset"]
        if "scale" in self.arrays:
            made /= self.arrays["scale"]
        return made


class SparseProjection(Part):
    """Rows times sparse directions, each summed in the order in which its numbers are stored."""

    LAYOUT = layout(
        weights=floats("weights"),
        places=indices("weights", below="columns"),
        ends=integers("axes", least=0),
        columns=integers("columns"),
    )

    def prepare(self) -> None:
        ends = self.arrays["ends"]
        if (np.diff(ends, prepend=0) < 0).any() or ends[-1] != self.lengths["weights"]:
            raise ArraysMalformed("the directions are not one after another")
        parts = (np.split(self.arrays[name], ends[:-1]) for name in ("places", "weights"))
        self._axes = tuple(zip(*parts, strict=True))

    def transform(self, features: Features) -> Floats:
        """The projected rows."""
        rows = matrix(features)
        made = np.zeros((len(rows), len(self._axes)))
        for at, (places, weights) in enumerate(self._axes):
            if len(places):
                made[:, at] = sequential_sum(rows[:, places] * weights)
        return made


class Hiddens(Part):
    """The likelihood of a Boltzmann machine's hidden units."""

    LAYOUT = layout(directions=floats("axes", "columns"), offset=floats("axes"))

    def transform(self, features: Features) -> Floats:
        """The likelihoods."""
        made: Floats = matrix(features) @ self.arrays["directions"].T
        made += self.arrays["offset"]
        return logistic(made)


class Waves(Part):
    """Random cosines: an approximation of a kernel."""

    LAYOUT = layout(
        directions=floats("columns", "axes"),
        offset=floats("axes"),
        size=floats(1),
        skew=optional(floats(1)),
    )

    def transform(self, features: Features) -> Floats:
        """The cosines."""
        rows = matrix(features)
        if "skew" in self.arrays:
            skew = self.arrays["skew"][0]
            if (rows <= -skew).any():
                raise RowsRefused("a number that is not above the skewedness")
            rows = np.log(rows + skew)
        made: Floats = rows @ self.arrays["directions"]
        made += self.arrays["offset"]
        np.cos(made, made)
        made *= self.arrays["size"][0]
        return made


class Selection(Part):
    """Some of the columns."""

    LAYOUT = layout(kept=indices("kept", below="columns"), columns=integers("columns"))

    def transform(self, features: Features) -> Floats:
        """The columns that are kept."""
        return matrix(features)[:, self.arrays["kept"]]


class Pooling(Part):
    """The mean of each group of columns."""

    LAYOUT = layout(groups=indices("columns", below="groups"), sizes=floats("groups", least=1))

    def transform(self, features: Features) -> Floats:
        """The means, summed in the order of the columns."""
        rows = matrix(features)
        made = np.zeros((len(rows), self.lengths["groups"]))
        for column, group in enumerate(self.arrays["groups"].tolist()):
            made[:, group] += rows[:, column]
        made /= self.arrays["sizes"]
        return made


def _components(estimator: Any, **more: Any) -> Taken:
    arrays = {"directions": floats_of(estimator.components_)}
    arrays |= {name: floats_of(value) for name, value in more.items() if value is not None}
    return "projection", arrays


def _sparse(estimator: Any) -> Taken:
    if not hasattr(estimator.components_, "toarray"):
        return _components(estimator)
    components = estimator.components_.tocsr()
    return "sparse_projection", {
        "weights": floats_of(components.data),
        "places": np.asarray(components.indices, np.int64),
        "ends": np.asarray(components.indptr[1:], np.int64),
        "columns": np.arange(components.shape[1], dtype=np.int64),
    }


def _likelihood(estimator: Any) -> dict[str, Floats]:
    if not hasattr(estimator, "score_samples"):
        return {}
    precision = estimator.get_precision()
    logarithm = np.linalg.slogdet(precision)[1]
    columns = len(precision)
    return {
        "mean": floats_of(estimator.mean_),
        "precision": floats_of(precision),
        "normaliser": single(0.5 * (columns * np.log(2.0 * np.pi) - logarithm)),
    }


def _principal(estimator: Any) -> Taken:
    offset = (np.reshape(estimator.mean_, (1, -1)) @ estimator.components_.T)[0]
    scale = None
    if estimator.whiten:
        scale = np.maximum(np.sqrt(estimator.explained_variance_), np.finfo(np.float64).eps)
    return _components(estimator, offset=offset, scale=scale, **_likelihood(estimator))


def _independent(estimator: Any) -> Taken:
    return _components(estimator, centre=estimator.mean_ if estimator.whiten else None)


def _factors(estimator: Any) -> Taken:
    components = estimator.components_
    weighted = components / estimator.noise_variance_
    turn = np.linalg.inv(np.eye(len(components)) + np.dot(weighted, components.T))
    return "projection", {
        "centre": floats_of(estimator.mean_),
        "directions": floats_of(weighted),
        "turn": floats_of(turn),
        **_likelihood(estimator),
    }


def _sparse_principal(estimator: Any) -> Taken:
    components = estimator.components_
    gram = components @ components.T + estimator.ridge_alpha * np.eye(len(components))
    return "projection", {
        "centre": floats_of(estimator.mean_),
        "directions": floats_of(np.linalg.solve(gram, components)),
    }


def _boltzmann(estimator: Any) -> Taken:
    return "hiddens", {
        "directions": floats_of(estimator.components_),
        "offset": floats_of(estimator.intercept_hidden_),
    }


def _fourier(estimator: Any) -> Taken:
    return "waves", {
        "directions": floats_of(estimator.random_weights_),
        "offset": floats_of(estimator.random_offset_),
        "size": single((2.0 / estimator.n_components) ** 0.5),
    }


def _skewed(estimator: Any) -> Taken:
    return "waves", {
        "directions": floats_of(estimator.random_weights_),
        "offset": floats_of(estimator.random_offset_),
        "size": single(np.sqrt(2.0) / np.sqrt(estimator.n_components)),
        "skew": single(estimator.skewedness),
    }


def selection(support: NDArray[np.bool_]) -> Taken:
    """The columns that a mask keeps."""
    kept = np.flatnonzero(support)
    if not len(kept):
        raise EstimatorNotHeld("it keeps no column")
    columns = np.arange(len(support), dtype=np.int64)
    return "selection", {"kept": kept.astype(np.int64), "columns": columns}


def _selection(estimator: Any) -> Taken:
    return selection(np.asarray(estimator.get_support()))


def _pooling(estimator: Any) -> Taken:
    if estimator.pooling_func is not np.mean:
        raise EstimatorNotHeld("it pools with a function of its own")
    groups = np.asarray(estimator.labels_, np.int64)
    return "pooling", {"groups": groups, "sizes": floats_of(np.bincount(groups))}


KINDS: Final[dict[str, type[Part]]] = {
    "projection": Projection,
    "sparse_projection": SparseProjection,
    "hiddens": Hiddens,
    "waves": Waves,
    "selection": Selection,
    "pooling": Pooling,
}
TAKERS: Final[dict[str, Taker]] = {
    "PCA": _principal,
    "IncrementalPCA": _principal,
    "TruncatedSVD": _components,
    "GaussianRandomProjection": _components,
    "SparseRandomProjection": _sparse,
    "NeighborhoodComponentsAnalysis": _components,
    "FastICA": _independent,
    "FactorAnalysis": _factors,
    "SparsePCA": _sparse_principal,
    "MiniBatchSparsePCA": _sparse_principal,
    "BernoulliRBM": _boltzmann,
    "RBFSampler": _fourier,
    "SkewedChi2Sampler": _skewed,
    "FeatureAgglomeration": _pooling,
    "GenericUnivariateSelect": _selection,
    "SelectFdr": _selection,
    "SelectFpr": _selection,
    "SelectFwe": _selection,
    "SelectKBest": _selection,
    "SelectPercentile": _selection,
    "SequentialFeatureSelector": _selection,
    "VarianceThreshold": _selection,
    "SelectFromModel": _selection,
}
