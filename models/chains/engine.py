"""The engine of estimators that are made of others: nodes, each after those that it asks.

Stored are `nodes`, the engine or kind of each, `checks`, what each refuses, the `links` to the
nodes that each asks, and every node's own arrays behind its number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.chains import committees, deciding, pipelines, targets
from models.chains.asking import ANYTHING, CHECKS, Checked
from models.chains.correcting import CORRECTORS
from models.chains.makers import MAKERS_HERE
from models.chains.placing import MOST_DEPTH, MOST_NODES, Arrays, Node, Placer, unwrapped
from models.compilation import Engine, Predictor, Unsuitable
from models.errors import ArraysMalformed, EstimatorNotHeld
from models.layouts import check_layout, indices, integers, layout, texts
from models.parts import Child, Part
from models.portions import Metered

KINDS: Final[Mapping[str, type[Part]]] = MappingProxyType(
    {
        "pipeline": pipelines.Pipeline,
        "selected": pipelines.Selected,
        "union": pipelines.Union,
        "columns": pipelines.Columns,
        "soft_vote": committees.SoftVote,
        "hard_vote": committees.HardVote,
        "average": committees.Average,
        "bag": committees.Bag,
        "boosted_labels": committees.BoostedLabels,
        "boosted_numbers": committees.BoostedNumbers,
        "stack": committees.Stack,
        "each_against_rest": deciding.EachAgainstRest,
        "each_against_each": deciding.EachAgainstEach,
        "coded_labels": deciding.CodedLabels,
        "threshold": deciding.Threshold,
        "calibrated": deciding.Calibrated,
        "calibrated_mean": deciding.CalibratedMean,
        "several": targets.Several,
        "succession": targets.Succession,
        "restored": targets.Restored,
    }
)
MAKERS: Final = MappingProxyType({**MAKERS_HERE, **CORRECTORS})
LAYOUT: Final = layout(
    nodes=texts("nodes"),
    checks=texts("nodes"),
    links=indices("links", below="nodes"),  # the last is of no node
    ends=integers("nodes", least=0),
)
MULTIPLYING: Final = frozenset({"linear", "numeric"})  # of whose numbers a row meets each
OWN: Final = re.compile(r"n([0-9]{1,4})_([a-z][a-z0-9_]*)")


class ChainEngine:
    """Serves estimators whose parts other engines serve, `last` what none else does."""

    def __init__(self, name: str, engines: Sequence[Engine], *, last: Engine | None = None) -> None:
        self.name = name
        self._first, self._last = tuple(engines), last
        self._engines = {engine.name: engine for engine in (*engines, *([last] if last else []))}

    def compile(self, estimator: object) -> Arrays | Unsuitable:
        """Return the arrays of every part, or which part has none."""
        inside = unwrapped(estimator)
        name = type(inside).__name__
        if inside is estimator and name not in MAKERS:
            return Unsuitable(f"{name} is made of no parts that this engine knows", foreign=True)
        placer = Placer(self._first, self._last, MAKERS)
        try:
            with np.errstate(all="ignore"):
                placer.place(inside)
                arrays = _packed(placer.nodes)
                self.load(arrays)
        except (EstimatorNotHeld, ArraysMalformed) as error:
            return Unsuitable(error.problem)
        except (AttributeError, TypeError, ValueError, LookupError) as error:
            return Unsuitable(f"{name} is not fitted as it should be: {error}")
        return arrays

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> Predictor:
        """Open every part, each from its own arrays and the parts before it."""
        own = {name: array for name, array in arrays.items() if name in LAYOUT}
        nodes = _unpacked(own, arrays)
        opened: list[Child] = []
        depths: list[int] = []
        free: set[int] = set()
        for node in nodes:
            if not free.issuperset(node.children) or len(set(node.children)) < len(node.children):
                raise ArraysMalformed("a part is asked by two, or by one before it")
            free.difference_update(node.children)
            free.add(len(opened))
            depths.append(1 + max((depths[child] for child in node.children), default=0))
            opened.append(self._open(node, [opened[child] for child in node.children]))
        if len(free) != 1 or max(depths) > MOST_DEPTH:
            raise ArraysMalformed("the parts are not one estimator")
        return opened[-1]

    def _open(self, node: Node, children: Sequence[Child]) -> Child:
        part: Child
        met = node.arrays if node.kind in {*MULTIPLYING, *KINDS} else {}
        if node.kind in self._engines:
            if children:
                raise ArraysMalformed("a part that asks no others has some")
            part = self._engines[node.kind].load(node.arrays)
        elif node.kind in KINDS:
            part = KINDS[node.kind](node.arrays, children)
        else:
            raise ArraysMalformed("a part is of no kind that this engine knows")
        if node.check not in CHECKS:
            raise ArraysMalformed("a part refuses what no part refuses")
        metered = Metered(part, met)
        return metered if node.check == ANYTHING else Checked(metered, node.check)


def _packed(nodes: Sequence[Node]) -> dict[str, NDArray[Any]]:
    links = [child for node in nodes for child in node.children]
    packed: dict[str, NDArray[Any]] = {
        "nodes": np.array([node.kind for node in nodes]),
        "checks": np.array([node.check for node in nodes]),
        "links": np.array([*links, 0], np.int64),
        "ends": np.cumsum([len(node.children) for node in nodes], dtype=np.int64),
    }
    for at, node in enumerate(nodes):
        packed |= {f"n{at}_{name}": array for name, array in node.arrays.items()}
    return packed


def _unpacked(own: Arrays, arrays: Arrays) -> list[Node]:
    check_layout(own, LAYOUT)
    count, ends = len(own["nodes"]), own["ends"]
    if count > MOST_NODES or (np.diff(ends, prepend=0) < 0).any():
        raise ArraysMalformed("the links of the parts are not one after another")
    if ends[-1] != len(own["links"]) - 1:
        raise ArraysMalformed("there are not as many links as they say")
    inside: list[dict[str, NDArray[Any]]] = [{} for _ in range(count)]
    for name in arrays.keys() - own.keys():
        found = OWN.fullmatch(name)
        if found is None or int(found[1]) >= count:
            raise ArraysMalformed(f"{name} is of no part")
        inside[int(found[1])][found[2]] = arrays[name]
    links = np.split(own["links"], ends)[:count]
    fields = zip(own["nodes"].tolist(), inside, own["checks"].tolist(), links, strict=True)
    return [Node(kind, its, check, tuple(to.tolist())) for kind, its, check, to in fields]
