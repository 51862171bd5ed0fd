"""The signature that somebody states of a model, and whether the model's own fits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from models.errors import FormatRefused, SignatureRefused
from models.signature import Kind, Signature

# MLflow's types of columns, and of tensors (numpy's), that a model here can take.
KINDS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(("boolean", "integer", "long", "float", "double"), "number"),
    **dict.fromkeys(("bool", "float16", "float32", "float64"), "number"),
    **dict.fromkeys((f"{u}int{bits}" for u in ("", "u") for bits in (8, 16, 32, 64)), "number"),
    **dict.fromkeys(("string", "str", "object"), "text"),
}
MOST_COLUMNS: Final = 1_000_000
MOST_NAME: Final = 2_000
MOST_TOLD: Final = 600
UNKNOWN: Final = "its signature is not what MLflow writes"


@dataclass(frozen=True, slots=True)
class WantedColumn:
    """One column; one that is not required may be missing."""

    name: str | None
    type: str
    required: bool = True

    def __str__(self) -> str:
        return f"{self.name or '-'}: {self.type}{'' if self.required else ', optional'}"


@dataclass(frozen=True, slots=True)
class WantedSignature:
    """The columns that a model is said to take, in their order."""

    columns: tuple[WantedColumn, ...]

    @property
    def names(self) -> tuple[str, ...] | None:
        """Their names, if every one has one."""
        names = tuple(column.name for column in self.columns if column.name is not None)
        return names if len(names) == len(self.columns) else None

    def __str__(self) -> str:
        return "; ".join(map(str, self.columns))

    def adopted(self, found: Signature) -> Signature:
        """The model's own signature, with these names if it has none, and what may be left out.

        Raises SignatureRefused, which shows both, where they contradict each other.
        """
        problem = self._contradiction(found)
        if problem is not None:
            raise SignatureRefused(problem, _cut(str(self)), _cut(_described(found)))
        if found.missing:
            pairs = enumerate(self._pairs(found))
            found = replace(
                found, required=frozenset(at for at, (said, *_) in pairs if said.required)
            )
        if found.feature_names is None and self.names is not None:
            return replace(found, feature_names=self.names)
        return found

    def _contradiction(self, found: Signature) -> str | None:
        if len(self.columns) != found.columns:
            return f"{len(self.columns)} columns are stated, the model takes {found.columns}"
        names = self.names
        if names is not None and len(set(names)) != len(names):
            return "a name is stated twice"
        if found.feature_names and names is not None and set(found.feature_names) != set(names):
            return "the names are others"
        for column, own, kind in self._pairs(found):
            wanted = KINDS.get(column.type)
            if wanted is None:
                return f"{own} is stated as {column.type}, which no model here takes"
            if wanted != kind:
                return f"{own} is stated as {column.type}, the model takes a {kind}"
        if not found.missing and not all(column.required for column in self.columns):
            return "a value may be missing as is stated, which the model does not take"
        return None

    def _pairs(self, found: Signature) -> list[tuple[WantedColumn, str, Kind]]:
        """Each column that is stated with the model's own: by name, or by position."""
        stated = self.columns
        if found.feature_names and self.names is not None:
            by_name = dict(zip(self.names, stated, strict=True))
            stated = tuple(by_name[name] for name in found.feature_names)
        kinds = found.column_kinds
        return [(stated[at], found.column(at), kinds[at]) for at in range(found.columns)]


def read_signature(said: Any) -> WantedSignature | None:
    """The inputs of an MLflow signature; None if there is none; raises FormatRefused."""
    if type(said) is not dict or type(text := said.get("inputs")) is not str:
        return None
    try:
        inputs = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if text in ("null", "~", ""):
            return None
        raise FormatRefused(UNKNOWN) from error
    if inputs is None:
        return None
    if type(inputs) is not list or not inputs:
        raise FormatRefused(UNKNOWN)
    columns = tuple(column for each in inputs for column in _columns(each, alone=len(inputs) == 1))
    if len(columns) > MOST_COLUMNS:
        raise FormatRefused(UNKNOWN)
    return WantedSignature(columns)


def _columns(said: Any, *, alone: bool) -> Sequence[WantedColumn]:
    match said:
        case {"type": "tensor", "tensor-spec": {"dtype": str(dtype), "shape": list(shape)}}:
            return _tensor(said.get("name"), dtype, shape, alone=alone)
        case {"type": str(kind)} if kind != "tensor":
            name, required = said.get("name"), said.get("required", True)
            if not _is_name(name) or type(required) is not bool:
                raise FormatRefused(UNKNOWN)
            return (WantedColumn(name, kind[:40], required),)
    raise FormatRefused(UNKNOWN)


def _tensor(name: Any, dtype: str, shape: list[Any], *, alone: bool) -> Sequence[WantedColumn]:
    """The columns of a tensor: many without names if it is the only one, else one by its name."""
    if not _is_name(name) or not all(type(size) is int for size in shape):
        raise FormatRefused(UNKNOWN)
    match shape:
        case [-1, int(count)] if alone and 0 < count <= MOST_COLUMNS:
            return [WantedColumn(None, dtype[:40])] * count
        case [-1] | [-1, 1]:
            return (WantedColumn(name, dtype[:40]),)
    raise FormatRefused(f"its signature has a tensor of the shape {shape}"[:200])


def _is_name(name: Any) -> bool:
    return name is None or (type(name) is str and 0 < len(name) <= MOST_NAME)


def _described(found: Signature) -> str:
    columns = zip(range(found.columns), found.column_kinds, strict=True)
    missing = " (values may be missing)" if found.missing else ""
    return "; ".join(f"{found.column(at)}: {kind}" for at, kind in columns) + missing


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TOLD else f"{text[:MOST_TOLD]} ..."
