"""Takes an estimator apart into nodes: what an engine answers, and what is made of such nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from numpy.typing import NDArray

from models.chains.asking import ANYTHING, CHECKS, FINITE, MISSING
from models.compilation import Engine, Unsuitable
from models.errors import EstimatorNotHeld

MOST_NODES: Final = 2000
MOST_DEPTH: Final = 24
# Of these the fitted estimator within answers, and nothing else has a say.
WRAPPERS: Final[Mapping[str, str]] = {
    "FrozenEstimator": "estimator",
    "GaussianProcessClassifier": "base_estimator_",
    "GridSearchCV": "best_estimator_",
    "HalvingGridSearchCV": "best_estimator_",
    "HalvingRandomSearchCV": "best_estimator_",
    "RANSACRegressor": "estimator_",
    "RandomizedSearchCV": "best_estimator_",
    "SelfTrainingClassifier": "estimator_",
}
# They look at no number themselves.
UNCHECKED: Final = frozenset({"DummyClassifier", "DummyRegressor", "_ConstantPredictor"})

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Node:
    """One part: its engine or kind, its arrays, what it refuses, and the parts that it asks."""

    kind: str
    arrays: Arrays
    check: str = ANYTHING
    children: tuple[int, ...] = ()


Made = tuple[str, Arrays, Sequence[int]]
Maker = Callable[[Any, "Placer"], Made]


@dataclass(slots=True)
class Placer:
    """Places an estimator's parts before itself, and refuses what it cannot take apart.

    `engines` are asked first; what none takes is taken apart, and what has no parts is left to
    the `last` engine, if there is one.
    """

    engines: Sequence[Engine]
    last: Engine | None
    makers: Mapping[str, Maker]
    nodes: list[Node] = field(default_factory=list)
    depth: int = 0
    sparse: bool = False  # whether what is placed is given sparse rows by the estimator before it

    def place(self, estimator: Any) -> int:
        """Return the place of an estimator's node; raises EstimatorNotHeld."""
        estimator = unwrapped(estimator)
        self.depth += 1
        if len(self.nodes) >= MOST_NODES or self.depth > MOST_DEPTH:
            raise EstimatorNotHeld("it has too many parts")
        name = type(estimator).__name__
        maker = self.makers.get(name) if is_sklearn(estimator) else None
        engines = self.engines if maker or not self.last else (*self.engines, self.last)
        reasons: list[str] = []
        node = self._leaf(estimator, engines, reasons)
        if node is None and maker is not None:
            node = self._composite(maker, estimator)
        if node is None:
            raise EstimatorNotHeld(
                f"a part of it is a {name}: {'; '.join(reasons) or 'no engine is for it'}"
            )
        self.depth -= 1
        return self.add(node)

    def add(self, node: Node) -> int:
        """Put a node behind the others."""
        self.nodes.append(node)
        return len(self.nodes) - 1

    def _leaf(self, estimator: Any, engines: Sequence[Engine], reasons: list[str]) -> Node | None:
        for engine in engines:
            arrays = engine.compile(estimator)
            if not isinstance(arrays, Unsuitable):
                return Node(engine.name, arrays, self._check(estimator))
            if not arrays.foreign:
                reasons.append(f"{engine.name}: {arrays.reason}")
        return None

    def _check(self, estimator: Any) -> str:
        check = check_of(estimator)
        # Trees take missing numbers in dense rows, and refuse them in sparse ones.
        return FINITE if self.sparse and check == MISSING else check

    def _composite(self, maker: Maker, estimator: Any) -> Node:
        kind, arrays, children = maker(estimator, self)
        return Node(kind, arrays, ANYTHING, tuple(children))


def is_sklearn(estimator: object) -> bool:
    """Whether scikit-learn's own code answers."""
    return type(estimator).__module__.startswith("sklearn.")


def unwrapped(estimator: Any) -> Any:
    """The fitted estimator within wrappers that only pass calls on."""
    for _ in range(MOST_DEPTH):
        inside = WRAPPERS.get(type(estimator).__name__) if is_sklearn(estimator) else None
        if inside is None:
            return estimator
        estimator = getattr(estimator, inside)
    raise EstimatorNotHeld("it is wrapped too often")


def makes_sparse(estimator: Any) -> bool:
    """Whether what an estimator transforms to may be sparse."""
    name = type(estimator).__name__
    if name == "Pipeline":
        return makes_sparse(estimator.steps[-1][1])
    if name == "FeatureUnion":
        return any(makes_sparse(part) for _, part in estimator.transformer_list)
    if name == "KBinsDiscretizer":
        return bool(estimator.encode == "onehot")
    output = getattr(estimator, "sparse_output_", getattr(estimator, "sparse_output", False))
    return bool(output)


def check_of(estimator: Any) -> str:
    """Which numbers an estimator refuses when it is asked."""
    name = type(estimator).__name__
    if name in UNCHECKED or (name == "FunctionTransformer" and not estimator.validate):
        return ANYTHING
    tags = getattr(estimator, "__sklearn_tags__", None)
    missing = bool(tags().input_tags.allow_nan) if tags is not None else True
    check = MISSING if missing else FINITE
    assert check in CHECKS
    return check
