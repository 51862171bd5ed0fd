"""The engines, cheapest first: a new one is a module in `models.compilation` and a line here."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from models.compilation import Engine
from models.compilation.linear import LinearEngine

NATIVE: Final = "native"  # the model's own library, where no engine is proven to agree

_ALL: Final[tuple[Engine, ...]] = (LinearEngine(),)
ENGINES: Final = MappingProxyType({engine.name: engine for engine in _ALL})
