"""The engines, cheapest first: a new one is a module in `models.compilation` and a line here.

Those for hosts answer in their tenant's sandbox: they run native code that a tenant's arrays choose
and order, which may crash, and whose memory and time nobody bounds beforehand. Which one a version
has decides where it runs; a worker opens no other, and no part of another within a chain.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from numpy.typing import NDArray

from models.chains.engine import ChainEngine
from models.compilation import Engine, Unsuitable
from models.compilation.graph.engine import GraphEngine
from models.compilation.layers import LayersEngine
from models.compilation.linear import LinearEngine
from models.compilation.numeric.engine import NumericEngine
from models.compilation.trees import TreesEngine
from models.manifest import IN_HOSTS
from models.portions import Metered, Portioned

MULTIPLYING: Final = frozenset({"layers", "linear", "numeric"})  # a row meets all their numbers
NATIVE: Final = "native"  # the model's own library, where no engine is proven to agree


class InPortions:
    """An engine for workers, which refuses what needs too much for one row."""

    def __init__(self, engine: Engine) -> None:
        self.name = engine.name
        self._engine = engine

    def compile(self, estimator: object) -> Mapping[str, NDArray[Any]] | Unsuitable:
        """Return the arrays that answer like the estimator, or why there are none."""
        return self._engine.compile(estimator)

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> Portioned:
        """Open arrays; raises ArraysMalformed."""
        met = arrays if self.name in MULTIPLYING else {}
        return Portioned(Metered(self._engine.load(arrays), met))


_GRAPH: Final = GraphEngine()
_SINGLE: Final[tuple[Engine, ...]] = (LinearEngine(), TreesEngine(), NumericEngine())
_ALL: Final[tuple[Engine, ...]] = (
    *_SINGLE,
    ChainEngine("chain", _SINGLE),
    LayersEngine(),
    ChainEngine("graph-chain", _SINGLE, last=_GRAPH),
    _GRAPH,
)
FOR_WORKERS: Final = MappingProxyType(
    {e.name: InPortions(e) for e in _ALL if e.name not in IN_HOSTS}
)
ENGINES: Final[Mapping[str, Engine]] = MappingProxyType(
    {e.name: e if e.name in IN_HOSTS else FOR_WORKERS[e.name] for e in _ALL}
)
FOR_HOSTS: Final = MappingProxyType({name: e for name, e in ENGINES.items() if name in IN_HOSTS})
