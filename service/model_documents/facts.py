"""What a model's document is made from, and what each dialect adds to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from models.names import Reference
from models.requests.bounds import Bounds
from models.requests.worked import Worked
from models.signature import Signature

Described = dict[str, Any]
JSON: Final = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A version, how the caller named it, and the installation's bounds.

    Without a `reference` the document is of calls that name no version.
    """

    model: str
    number: int
    reference: Reference
    is_default: bool  # whether a call that names no model means this one
    signature: Signature
    bounds: Bounds
    worked: Worked

    def record(self) -> Described:
        """The worked row by name."""
        return dict(zip(self.signature.names, self.worked.row or (), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of one dialect: where the whole API describes it, and what it is for this model.

    `path` is the address with the model in it; `requests` are the bodies by media type. Examples
    are absent where no row was answered.
    """

    general: str
    path: str
    requests: Mapping[str, Described]
    answer: Described
    examples: Mapping[str, Any] = field(default_factory=dict)
    answered: Any = None
    parameters: tuple[Described, ...] = ()


def refer(name: str) -> Described:
    """A schema of the document, by name."""
    return {"$ref": f"#/components/schemas/{name}"}


def listed(items: Described, most: int, **more: Any) -> Described:
    """A list of 1 to `most` items."""
    return {"type": "array", "minItems": 1, "maxItems": most, "items": items} | more


def opened(described: Described) -> Described:
    """The same object with whatever members besides: they are left alone."""
    return {name: value for name, value in described.items() if name != "additionalProperties"}


def closed(properties: Mapping[str, Described], *required: str) -> Described:
    """An object of these members and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }
