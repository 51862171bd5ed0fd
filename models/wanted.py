"""The columns that a model takes from a file: what whoever reads the file has to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.signature import Kind, Signature


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
