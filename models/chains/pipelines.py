"""Stages one after another, and transformers side by side."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.chains.asking import beside, picked, staged
from models.errors import ArraysMalformed
from models.layouts import Floats, floats, integers, layout, optional
from models.parts import Part
from models.tables import Features, row_count, take

BLOCK: Final = 1024  # rows that go through a pipeline at once


class Pipeline(Part):
    """Stages, each of which transforms for the next; the last one answers."""

    LAYOUT = layout()
    CHILDREN = None

    def prepare(self) -> None:
        self.need(self.children[:-1], "transform")

    def offered(self) -> frozenset[str]:
        return self.children[-1].methods

    def respond(self, method: str, features: Features) -> NDArray[Any]:
        rows = row_count(features)
        if rows <= BLOCK:
            return self._block(method, features)
        # What is between two stages may be far wider than what came: one-hot marks, for one.
        starts = range(0, rows, BLOCK)
        return np.concatenate(
            [self._block(method, take(features, at, at + BLOCK)) for at in starts]
        )

    def _block(self, method: str, features: Features) -> NDArray[Any]:
        for stage in self.children[:-1]:
            features = staged(stage, features)
        return self.children[-1].answer(method, features)


class Selected(Part):
    """An estimator of some columns, which also transforms to these columns."""

    LAYOUT = layout()
    CHILDREN = 2

    def prepare(self) -> None:
        self.need(self.children[:1], "transform")

    def offered(self) -> frozenset[str]:
        return self.children[1].methods | {"transform"}

    def respond(self, method: str, features: Features) -> NDArray[Any]:
        if method == "transform":
            return self.children[0].answer("transform", features)
        return self.children[1].answer(method, staged(self.children[0], features))


class Union(Part):
    """Transformers of the same rows, side by side."""

    LAYOUT = layout(weights=optional(floats("parts")))
    CHILDREN = None

    def prepare(self) -> None:
        self.need(self.children, "transform")
        if len(self.arrays.get("weights", self.children)) != len(self.children):
            raise ArraysMalformed("there are not as many weights as parts")

    def transform(self, features: Features) -> NDArray[Any]:
        """The columns of each."""
        made = [part.answer("transform", features) for part in self.children]
        if "weights" in self.arrays:
            made = [one * weight for one, weight in zip(made, self.arrays["weights"], strict=True)]
        return beside(made)


class Columns(Part):
    """Transformers of some columns each, side by side."""

    LAYOUT = layout(
        places=integers("places", least=0),
        ends=integers("parts", least=1),
        columns=integers(1, least=1),
    )
    CHILDREN = "parts"

    def prepare(self) -> None:
        self.need(self.children, "transform")
        self._places = ragged_places(self.arrays, int(self.arrays["columns"][0]))

    def transform(self, features: Features) -> NDArray[Any]:
        """The columns of each."""
        parts = zip(self.children, self._places, strict=True)
        return beside([part.answer("transform", picked(features, own)) for part, own in parts])


class Same(Part):
    """The columns as they are."""

    LAYOUT = layout()

    def transform(self, features: Features) -> Any:
        """The rows themselves; texts as objects."""
        columns = getattr(features, "columns", None)
        return features if columns is None else np.column_stack(columns)


def ragged_places(arrays: Any, columns: int) -> list[NDArray[np.int64]]:
    """Lists of columns that lie one after another; raises ArraysMalformed."""
    places, ends = arrays["places"], arrays["ends"]
    if (places >= columns).any() or (np.diff(ends, prepend=0) < 1).any() or ends[-1] != len(places):
        raise ArraysMalformed("a part has columns that are not there")
    return np.split(places, ends[:-1])


def averaged(parts: list[Floats]) -> Floats:
    """The sum of parts, from the first on, over their number."""
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    total /= len(parts)
    return total
