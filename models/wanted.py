"""The columns that a model takes from a file: what whoever reads the file has to know of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from models.signature import Kind, Signature

# How pandas calls an index that it writes beside the columns.
INDEX: Final = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """The columns of a model in their order; `named` says whether it knows them by these names."""

    names: tuple[str, ...]
    named: bool
    kinds: tuple[Kind, ...]
    missing: bool

    @classmethod
    def of(cls, signature: Signature) -> Wanted:
        """What the signature says of them."""
        return cls(
            names=signature.names,
            named=signature.feature_names is not None,
            kinds=signature.column_kinds,
            missing=signature.missing,
        )

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.kinds)

    @property
    def numbers_alone(self) -> bool:
        """Whether rows are a matrix of numbers."""
        return "text" not in self.kinds

    def places(self, given: Sequence[str]) -> list[int] | None:
        """Where each of them stands among columns of these names; None if that is not known.

        It is by name where both have names, else by place.
        """
        found = {name: place for place, name in enumerate(given)}
        if len(found) < len(given) or len(given) != self.count:
            return None
        if found.keys() == set(self.names):
            return [found[name] for name in self.names]
        return None if self.named and not are_numbers(given) else list(range(self.count))

    def as_json(self) -> dict[str, Any]:
        """The columns as plain JSON types."""
        return {
            "names": list(self.names),
            "named": self.named,
            "kinds": list(self.kinds),
            "missing": self.missing,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Wanted:
        """Read what `as_json` wrote."""
        return cls(
            names=tuple(value["names"]),
            named=value["named"],
            kinds=tuple(value["kinds"]),
            missing=value["missing"],
        )


def are_numbers(given: Sequence[str]) -> bool:
    """Whether columns have the names that pandas gives to those without any."""
    return list(given) == [str(number) for number in range(len(given))]


def without_index(given: Sequence[str]) -> list[int]:
    """The places of columns that are none of a data frame's index."""
    return [place for place, name in enumerate(given) if not INDEX.fullmatch(name)]
