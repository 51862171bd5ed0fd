"""Everything that a model is asked before it is trusted, and its own answers to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation import Predictor
from models.jumps import rows_at_jumps
from models.parity import Reference, refer
from models.probes import Source
from models.signature import Signature
from models.tables import Features

FEWEST_ROWS: Final = 5_000
PARTS: Final[tuple[tuple[str, int], ...]] = (
    ("within", 1_200),
    ("around", 1_200),
    ("landmarks", 2_000),
)
# Sums of numbers of very different sizes are mostly rounding; see models.parity.
WILD: Final = {"sizes": 1_000, "extremes": 240}
MISSING: Final = 600
UNKNOWN: Final = 120
A_FEW: Final = 100
TOP_UP: Final = 1_500
MOST_TOP_UPS: Final = 6
JUMPING: Final = ("predict_proba", "decision_function", "score_samples", "predict", "transform")


def labels_of(signature: Signature) -> frozenset[str]:
    """The methods whose answers name something even where they are numbers."""
    labelled = signature.task in {"classification", "clustering", "outlier"}
    return frozenset({"predict"}) if labelled else frozenset()


def ask_everything(own: Predictor, signature: Signature, source: Source, *, seed: int) -> Reference:
    """Ask a model at least 5,000 rows, or as many as its width and its domain allow."""
    methods = tuple(signature.methods)
    reference = refer(own, methods, list(_questions(own, signature, source, seed)))
    wild = [getattr(source, part)(source.fit(rows)) for part, rows in WILD.items()]
    reference = reference.with_more(refer(own, methods, wild, unsettled_by=seed))
    for step in range(MOST_TOP_UPS):
        lacking = source.fit(FEWEST_ROWS) - reference.rows
        if lacking <= 0:
            break
        rows = max(TOP_UP, lacking)
        narrower = (
            source.known(rows) if step % 3 == 2 else source.inside(rows, positive=step % 3 == 1)
        )
        reference = reference.with_more(refer(own, methods, [narrower]))
    return reference


def ask_a_little(own: Predictor, signature: Signature, source: Source) -> Reference:
    """Ask a model enough to know it again."""
    given = source.given()
    rows = [] if given is None else [given]
    rows += [getattr(source, part)(source.fit(A_FEW)) for part, _ in PARTS]
    if signature.missing:
        rows.append(source.missing(source.fit(A_FEW)))
    return refer(own, tuple(signature.methods), [*rows, source.known(A_FEW)])


def _questions(
    own: Predictor, signature: Signature, source: Source, seed: int
) -> Iterator[Features]:
    given = source.given()
    if given is not None:
        yield given
    for part, rows in PARTS:
        yield getattr(source, part)(source.fit(rows))
    jumps = _jumps(own, signature, source, seed)
    if jumps is not None:
        yield jumps
    if signature.missing:
        yield source.missing(source.fit(MISSING))
    if source.has_texts():
        yield source.unknown(source.fit(UNKNOWN))


def _jumps(own: Predictor, signature: Signature, source: Source, seed: int) -> Features | None:
    method = next((m for m in JUMPING if _is_continuous(signature, m)), None)
    if method is None:
        return None

    def ask(rows: Features) -> NDArray[Any]:
        with np.errstate(all="ignore"):
            return own.answer(method, rows)

    try:
        return rows_at_jumps(ask, source, seed=seed)
    except Exception:  # noqa: BLE001  it refuses a row; other questions count its refusals
        return None


def _is_continuous(signature: Signature, method: str) -> bool:
    output = signature.methods.get(method)
    named = method in labels_of(signature)
    return output is not None and output.dtype == "number" and not named
