"""Transformers that make more columns of each: powers, splines, bins and sketches."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from models.compilation.numeric.rows import in_blocks
from models.compilation.numeric.taking import Taken, Taker, floats_of, ragged, single, text, whole
from models.errors import ArraysMalformed, EstimatorNotHeld, RowsRefused
from models.layouts import Field, Floats, choice, floats, indices, integers, layout
from models.parts import Part, matrix
from models.tables import Features

MOST_OUTPUTS: Final = 1_000_000
MOST_STEPS: Final = 100  # what multiplies the size of a row, beside the arrays themselves


class Powers(Part):
    """Products of columns: each new one an earlier one times a column."""

    LAYOUT = layout(
        before=integers("products", least=-1),  # an earlier product, or -1 for 1
        column=integers("products", least=-1),  # -1 for none
        kept=indices("kept", below="products"),
        columns=integers(1, least=1),
    )

    def prepare(self) -> None:
        before, column = self.arrays["before"], self.arrays["column"]
        if (before >= np.arange(len(before))).any() or (column >= self.arrays["columns"][0]).any():
            raise ArraysMalformed("a product is of something that is not there")
        self._steps = tuple(zip(before.tolist(), column.tolist(), strict=True))

    def transform(self, features: Features) -> Floats:
        """The products."""
        rows = matrix(features)
        made = np.ones((len(self._steps), len(rows)))
        for at, (before, column) in enumerate(self._steps):
            if column >= 0:
                made[at] = rows[:, column] if before < 0 else made[before] * rows[:, column]
        return np.ascontiguousarray(made[self.arrays["kept"]].T)


class Bins(Part):
    """The number of the bin that each number is in, or one column for each bin."""

    LAYOUT = layout(
        edges=floats("edges"),
        ends=integers("columns", least=0),
        form=choice("ordinal", "onehot"),
    )

    def prepare(self) -> None:
        ends = self.arrays["ends"]
        if (np.diff(ends, prepend=0) < 0).any() or ends[-1] > self.lengths["edges"]:
            raise ArraysMalformed("the columns' edges are not one after another")
        self._inner = np.split(self.arrays["edges"], ends)[: len(ends)]
        self._offsets = np.cumsum([0, *(len(inner) + 1 for inner in self._inner)])

    def transform(self, features: Features) -> Floats:
        """Numbers of bins, or marks."""
        columns = zip(self._inner, matrix(features).T, strict=True)
        bins = [np.searchsorted(inner, column, side="right") for inner, column in columns]
        if self.arrays["form"][0] == "ordinal":
            return np.column_stack(bins).astype(np.float64)
        made = np.zeros((len(bins[0]), self._offsets[-1]))
        every = np.arange(len(made))
        for offset, found in zip(self._offsets, bins, strict=False):
            made[every, offset + found] = 1.0
        return made


class ChiSquared(Part):
    """Samples of the additive chi-squared kernel."""

    LAYOUT = layout(steps=Field("i", (1,), least=1, below=MOST_STEPS), interval=floats(1, least=0))

    def transform(self, features: Features) -> Floats:
        """The samples, step by step."""
        rows, interval = matrix(features), self.arrays["interval"][0]
        if (rows < 0).any():
            raise RowsRefused("a number below 0")
        there = rows != 0.0
        given = rows[there]
        made = [np.zeros_like(rows)]
        made[0][there] = np.sqrt(given * interval)
        logs, doubled = interval * np.log(given), 2 * given * interval
        for step in range(1, int(self.arrays["steps"][0])):
            size = np.sqrt(doubled / np.cosh(np.pi * step * interval))
            for wave in (np.cos, np.sin):
                made.append(np.zeros_like(rows))
                made[-1][there] = size * wave(step * logs)
        return np.hstack(made)


class Sketch(Part):
    """A sketch of a polynomial kernel by convolved counts."""

    LAYOUT = layout(
        places=indices("degree", "columns", below="outputs"),
        signs=floats("degree", "columns"),
        gamma=floats(1),
        shift=floats(1),
        outputs=integers("outputs"),
    )

    def prepare(self) -> None:
        if self.lengths["degree"] > MOST_STEPS:
            raise ArraysMalformed(f"the degree is above {MOST_STEPS}")
        self._cells = 4 * self.lengths["degree"] * self.lengths["outputs"]  # two of them complex
        if self._cells > MOST_OUTPUTS:
            raise ArraysMalformed("a row needs too many counts")

    def transform(self, features: Features) -> Floats:
        """The sketch."""
        return in_blocks(matrix(features), self._cells, self._sketch)

    def _sketch(self, rows: Floats) -> Floats:
        rows = np.sqrt(self.arrays["gamma"][0]) * rows
        shift = self.arrays["shift"][0]
        if shift != 0:
            rows = np.hstack([rows, np.sqrt(shift) * np.ones((len(rows), 1))])
        degree, columns = self.arrays["places"].shape
        counts = np.zeros((len(rows), degree, self.lengths["outputs"]))
        for column in range(columns):
            for step in range(degree):
                signed = self.arrays["signs"][step, column] * rows[:, column]
                counts[:, step, self.arrays["places"][step, column]] += signed
        from scipy.fft import fft, ifft  # numpy's rounds otherwise

        product = np.prod(fft(counts, axis=2), axis=1)
        sketch: Floats = np.real(ifft(product))
        return sketch


def _polynomial(estimator: Any) -> Taken:
    """Follow scikit-learn's own order: each product is the one before it times its last column."""
    columns = int(estimator.n_features_in_)
    most = int(estimator._max_degree)
    terms = list(
        estimator._combinations(
            n_features=columns,
            min_degree=0,
            max_degree=most,
            interaction_only=estimator.interaction_only,
            include_bias=True,
        )
    )
    if len(terms) > MOST_OUTPUTS:
        raise EstimatorNotHeld("it makes too many columns")
    places = {term: at for at, term in enumerate(terms)}
    least = int(estimator._min_degree)
    kept = [at for at, term in enumerate(terms) if len(term) >= max(1, least)]
    # scikit-learn multiplies the product of the later columns with the first.
    return "powers", {
        "before": np.array([places[term[1:]] if len(term) > 1 else -1 for term in terms]),
        "column": np.array([term[0] if term else -1 for term in terms]),
        "kept": np.array(([0] if estimator.include_bias else []) + kept, np.int64),
        "columns": whole(columns),
    }


def _bins(estimator: Any) -> Taken:
    form = "ordinal" if estimator.encode == "ordinal" else "onehot"
    inner = [floats_of(edges)[1:-1] for edges in estimator.bin_edges_]
    edges, ends = ragged(inner)
    # An array has at least one number: the last is of no column.
    padded = np.append(edges, 0.0)
    return "bins", {"edges": padded, "ends": ends, "form": text(form)}


def _chi_squared(estimator: Any) -> Taken:
    interval = estimator.sample_interval
    if interval is None:
        interval = {1: 0.8, 2: 0.5, 3: 0.4}[estimator.sample_steps]
    return "chi_squared", {"steps": whole(estimator.sample_steps), "interval": single(interval)}


def _sketch(estimator: Any) -> Taken:
    return "sketch", {
        "places": np.asarray(estimator.indexHash_, np.int64),
        "signs": floats_of(estimator.bitHash_),
        "gamma": single(estimator.gamma),
        "shift": single(estimator.coef0),
        "outputs": np.arange(estimator.n_components, dtype=np.int64),
    }


KINDS: Final[dict[str, type[Part]]] = {
    "powers": Powers,
    "bins": Bins,
    "chi_squared": ChiSquared,
    "sketch": Sketch,
}
TAKERS: Final[dict[str, Taker]] = {
    "PolynomialFeatures": _polynomial,
    "KBinsDiscretizer": _bins,
    "AdditiveChi2Sampler": _chi_squared,
    "PolynomialCountSketch": _sketch,
}
