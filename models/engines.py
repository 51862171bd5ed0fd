"""The engines, cheapest first: a new one is a module in `models.compilation` and a line here."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from models.chains.engine import ChainEngine
from models.compilation import Engine
from models.compilation.graph.engine import GraphEngine
from models.compilation.layers import LayersEngine
from models.compilation.linear import LinearEngine
from models.compilation.numeric.engine import NumericEngine
from models.compilation.trees import TreesEngine

NATIVE: Final = "native"  # the model's own library, where no engine is proven to agree

_GRAPH: Final = GraphEngine()
_SINGLE: Final[tuple[Engine, ...]] = (LinearEngine(), TreesEngine(), NumericEngine())
_ALL: Final[tuple[Engine, ...]] = (
    *_SINGLE,
    ChainEngine(_SINGLE, last=_GRAPH),
    _GRAPH,
    LayersEngine(),
)
ENGINES: Final = MappingProxyType({engine.name: engine for engine in _ALL})
