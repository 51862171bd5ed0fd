"""The engines, cheapest first: a new one is a module in `models.compilation` and a line here.

Those for hosts answer in their tenant's sandbox: they run native code that a tenant's arrays choose
and order, which may crash, and whose memory and time nobody bounds beforehand. Which one a version
has decides where it runs; a worker opens no other, and no part of another within a chain.
"""

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
from models.manifest import IN_HOSTS

NATIVE: Final = "native"  # the model's own library, where no engine is proven to agree

_GRAPH: Final = GraphEngine()
_SINGLE: Final[tuple[Engine, ...]] = (LinearEngine(), TreesEngine(), NumericEngine())
_ALL: Final[tuple[Engine, ...]] = (
    *_SINGLE,
    ChainEngine("chain", _SINGLE),
    LayersEngine(),
    ChainEngine("graph-chain", _SINGLE, last=_GRAPH),
    _GRAPH,
)
ENGINES: Final = MappingProxyType({engine.name: engine for engine in _ALL})
FOR_HOSTS: Final = MappingProxyType({name: e for name, e in ENGINES.items() if name in IN_HOSTS})
FOR_WORKERS: Final = MappingProxyType({n: e for n, e in ENGINES.items() if n not in IN_HOSTS})
