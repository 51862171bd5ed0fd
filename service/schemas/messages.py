"""How the messages of other servers are described: JSON Schema, member by member.

No schema reads these bodies. Their sizes are bounded by the installation's settings, which are at
most what is said here.
"""

from __future__ import annotations

from typing import Any, Final

from models.names import MODEL_NAME, NUMBER
from service.schemas import PROSE, described

Described = dict[str, Any]
MOST: Final = 2**31 - 1
MOST_VERSIONS: Final = 100_000
ANYTHING: Final[Described] = {}


def text(description: str, most: int = 512) -> Described:
    """Words for people, or a name."""
    return {"description": description, "type": "string", "format": PROSE, "maxLength": most}


def listed(items: Described, description: str, most: int = MOST) -> Described:
    """A list of at most so many items."""
    return {"description": description, "type": "array", "maxItems": most, "items": items}


def closed(description: str, required: tuple[str, ...], **properties: Described) -> Described:
    """An object of these members and no others."""
    return {
        "description": description,
        "type": "object",
        "required": list(required),
        "properties": properties,
        "additionalProperties": False,
    }


def opened(described: Described) -> Described:
    """The same of what may have members besides, which are left alone."""
    return described | {"additionalProperties": True}


def mapped(values: Described, description: str) -> Described:
    """An object whose members may have any names."""
    return {
        "description": description,
        "type": "object",
        "additionalProperties": values,
        "maxProperties": MOST,
        "propertyNames": {"maxLength": MOST},
    }


def one_of(names: tuple[str, ...]) -> Described:
    """That exactly one of these members is there."""
    return {"oneOf": [{"required": [name]} for name in names]}


MODEL: Final[Described] = {
    "description": "The model's name.",
    "type": "string",
} | described(MODEL_NAME.pattern, 63)
VERSION: Final[Described] = {
    "description": "A version's number, as a string.",
    "type": "string",
} | described(NUMBER.pattern, 15)
