"""The way of a model file from its bytes to a version, as those who wait for it are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from models.manifest import Contents


class Stage(StrEnum):
    """How far an intake has come."""

    RECEIVED = "received"
    VERIFIED = "verified"
    INSPECTED = "inspected"
    COMPILED = "compiled"
    COMPARED = "compared"
    READY = "ready"


CONTENTS: Final = "contents"  # the role of the JSON text that says what an intake found out

Progress = Callable[[Stage, str], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A version that is ready to be registered: what is known about it, and its files by role."""

    contents: Contents
    blobs: Mapping[str, bytes]
