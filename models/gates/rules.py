"""The rules of a gate: what a version has to be before it may become champion.

    {"rules": [{"metric": "f1:malignant", "at_least": 0.9},
               {"metric": "f1_macro", "not_below_champion": "interval"},
               {"metric": "rmse", "at_most": 3.0},
               {"parity": "exact"}, {"serving_p99_ms": 1.0}, {"engine": "compiled"}]}

Every rule is one of these forms, and has its members and no others.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

from config.prose import one_line
from models.errors import RulesRefused
from models.training.measures import MEASURES, Measure, measure_of

MOST_RULES: Final = 32
MOST_NAME: Final = 200
MOST_MS: Final = 60_000.0
INTERVAL: Final = "interval"
EXACT: Final = "exact"
COMPILED: Final = "compiled"

Margin = float | Literal["interval"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricRule:
    """A metric on the held-out rows: within bounds, and not worse than the champion's.

    `not_below_champion` is by how much it may be worse, or `interval`: by the champion's interval.
    """

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    not_below_champion: Margin | None = None

    @property
    def measure(self) -> Measure:
        """Which way is better, and what it is called."""
        found = measure_of(self.metric)
        assert found is not None, "it was looked up when the rule was read"
        return found


@dataclass(frozen=True, slots=True)
class ParityRule:
    """The engine's answers are those of the model's own library, to the last bit."""


@dataclass(frozen=True, slots=True)
class ServingRule:
    """Of calls with a single row, 99 % are answered within so many milliseconds."""

    most_ms: float


@dataclass(frozen=True, slots=True)
class EngineRule:
    """The version is compiled, so that no library has to be started for it."""


Rule = MetricRule | ParityRule | ServingRule | EngineRule


@dataclass(frozen=True, slots=True)
class Gate:
    """All rules of a model; a version passes if it keeps every one."""

    rules: tuple[Rule, ...]

    def as_json(self) -> dict[str, Any]:
        """The gate as plain JSON types; `read_gate` reads it again."""
        return {"rules": [_as_json(rule) for rule in self.rules]}

    @property
    def serving(self) -> tuple[ServingRule, ...]:
        """The rules for which a version has to be timed."""
        return tuple(rule for rule in self.rules if isinstance(rule, ServingRule))


def parse_gate(text: str) -> Gate:
    """Read the TOML of a gate; raises RulesRefused."""
    try:
        return read_gate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RulesRefused("", f"no TOML: {error}") from error


def read_gate(definition: object) -> Gate:
    """Read the members of a gate; raises RulesRefused for one that is unknown or unfit."""
    if not isinstance(definition, Mapping) or set(definition) != {"rules"}:
        raise RulesRefused("", 'not an object with the one member "rules"')
    rules = definition["rules"]
    if not isinstance(rules, list) or not 1 <= len(rules) <= MOST_RULES:
        raise RulesRefused("/rules", f"a list of 1 to {MOST_RULES} rules is wanted")
    return Gate(tuple(_rule(rule, f"/rules/{at}") for at, rule in enumerate(rules)))


def _rule(said: object, path: str) -> Rule:
    if not isinstance(said, Mapping) or not all(isinstance(name, str) for name in said):
        raise RulesRefused(path, "an object is wanted")
    found = [name for name in _READERS if name in said]
    if len(found) != 1:
        raise RulesRefused(path, f"a rule has one of the members {', '.join(_READERS)}")
    (kind,) = found
    known = {kind, *_BESIDE.get(kind, ())}
    for name in said:
        if name not in known:
            raise RulesRefused(path, f"{one_line(name, 80)!r} is unknown beside {kind!r}")
    return _READERS[kind](said, path)


def _metric(said: Mapping[str, Any], path: str) -> Rule:
    name = said["metric"]
    measure = measure_of(name) if isinstance(name, str) and len(name) <= MOST_NAME else None
    if measure is None:
        raise RulesRefused(f"{path}/metric", f"no metric; known are {_known_metrics()}")
    rule = MetricRule(
        metric=name,
        at_least=_bound(said, "at_least", path),
        at_most=_bound(said, "at_most", path),
        not_below_champion=_margin(said, path),
    )
    if rule.at_least is rule.at_most is rule.not_below_champion is None:
        raise RulesRefused(path, f"it says nothing of {name!r}; add {', '.join(_BESIDE['metric'])}")
    _refuse_wrong_way(rule, measure, path)
    return rule


def _refuse_wrong_way(rule: MetricRule, measure: Measure, path: str) -> None:
    """A floor for an error, or a ceiling for a success, was meant the other way round."""
    if measure.greater_is_better and rule.at_most is not None:
        raise RulesRefused(f"{path}/at_most", f"more of {rule.metric!r} is better; say at_least")
    if not measure.greater_is_better and rule.at_least is not None:
        raise RulesRefused(f"{path}/at_least", f"less of {rule.metric!r} is better; say at_most")


def _margin(said: Mapping[str, Any], path: str) -> Margin | None:
    if said.get("not_below_champion") == INTERVAL:
        return INTERVAL
    margin = _bound(said, "not_below_champion", path)
    if margin is not None and margin < 0:
        raise RulesRefused(f"{path}/not_below_champion", f'"{INTERVAL}", or a number from 0')
    return margin


def _bound(said: Mapping[str, Any], name: str, path: str) -> float | None:
    if name not in said:
        return None
    value = said[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RulesRefused(f"{path}/{name}", "a number is wanted")
    return float(value)


def _parity(said: Mapping[str, Any], path: str) -> Rule:
    if said["parity"] != EXACT:
        raise RulesRefused(f"{path}/parity", f'the one kind is "{EXACT}"')
    return ParityRule()


def _serving(said: Mapping[str, Any], path: str) -> Rule:
    most = _bound(said, "serving_p99_ms", path)
    if most is None or not 0 < most <= MOST_MS:
        raise RulesRefused(f"{path}/serving_p99_ms", f"more than 0, at most {MOST_MS:g}")
    return ServingRule(most)


def _engine(said: Mapping[str, Any], path: str) -> Rule:
    if said["engine"] != COMPILED:
        raise RulesRefused(f"{path}/engine", f'the one kind is "{COMPILED}"')
    return EngineRule()


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any], str], Rule]]] = MappingProxyType(
    {"metric": _metric, "parity": _parity, "serving_p99_ms": _serving, "engine": _engine}
)
_BESIDE: Final = MappingProxyType({"metric": ("at_least", "at_most", "not_below_champion")})


def _known_metrics() -> str:
    return ", ".join(f"{n}:CLASS" if m.per_class else n for n, m in MEASURES.items())


def _as_json(rule: Rule) -> dict[str, Any]:
    match rule:
        case ParityRule():
            return {"parity": EXACT}
        case EngineRule():
            return {"engine": COMPILED}
        case ServingRule(most_ms=most):
            return {"serving_p99_ms": most}
        case MetricRule():
            members = {name: getattr(rule, name) for name in ("metric", *_BESIDE["metric"])}
            return {name: value for name, value in members.items() if value is not None}
