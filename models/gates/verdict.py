"""The verdict: every rule with whether it is kept, and the reason in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from models.engines import NATIVE
from models.gates.facts import Facts, Judged
from models.gates.rules import (
    INTERVAL,
    EngineRule,
    Gate,
    Margin,
    MetricRule,
    ParityRule,
    Rule,
    ServingRule,
)

LEAST_CALLS: Final = 100  # of which one in a hundred is one
REMEDY: Final = "train it with the platform, or have an admin override the gate"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a rule asks; `reason` says what was found, whether it is kept or not."""

    is_kept: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Ruling:
    """A rule, and what was found."""

    rule: Mapping[str, Any]
    findings: tuple[Finding, ...]

    @property
    def is_kept(self) -> bool:
        """Whether all that the rule asks is so."""
        return all(finding.is_kept for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate says of a version."""

    rulings: tuple[Ruling, ...]

    @property
    def passes(self) -> bool:
        """Whether every rule is kept."""
        return all(ruling.is_kept for ruling in self.rulings)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the version does not pass: all of it at once."""
        return tuple(f.reason for r in self.rulings for f in r.findings if not f.is_kept)


def judge(gate: Gate, facts: Facts) -> Verdict:
    """Hold the facts against every rule."""
    rules = zip(gate.as_json()["rules"], gate.rules, strict=True)
    return Verdict(tuple(Ruling(said, tuple(_findings(rule, facts))) for said, rule in rules))


def _findings(rule: Rule, facts: Facts) -> Iterator[Finding]:
    match rule:
        case MetricRule():
            yield from _of_metric(rule, facts)
        case ParityRule():
            problem = facts.parity
            yield Finding(
                not problem, f"parity is not exact: {problem}" if problem else "parity is exact"
            )
        case EngineRule():
            yield _of_engine(facts)
        case ServingRule(most_ms=most):
            yield _of_serving(most, facts)


def _of_engine(facts: Facts) -> Finding:
    if facts.engine == NATIVE:
        return Finding(False, "it is not compiled: its own library answers, in a host")
    return Finding(True, f"it is compiled: the engine is {facts.engine}")


def _of_serving(most: float, facts: Facts) -> Finding:
    timing = facts.timing
    if timing is None or timing.problem:
        problem = timing.problem if timing else "it was not timed"
        return Finding(False, f"its serving time is not known: {problem}")
    said = (
        f"99 % of {timing.calls} calls with a single row took at most {timing.p99_ms:.3g} ms, "
        f"where {most:g} ms are allowed"
    )
    if timing.p99_ms <= most and timing.calls < LEAST_CALLS:
        return Finding(False, f"{said}, but there was no time for the {LEAST_CALLS} calls it takes")
    return Finding(timing.p99_ms <= most, said)


def _of_metric(rule: MetricRule, facts: Facts) -> Iterator[Finding]:
    number, evaluation = facts.candidate.number, facts.candidate.evaluation
    if evaluation is None:
        yield Finding(False, f"no evaluation is on record for version {number}; {REMEDY}")
        return
    found = evaluation.metrics.get(rule.metric)
    if found is None:
        known = ", ".join(list(evaluation.metrics)[:20])
        yield Finding(False, f"the evaluation has no {rule.metric!r}; it has {known or 'none'}")
        return
    yield from _within(rule, found)
    if rule.not_below_champion is not None:
        yield _beside_champion(rule, rule.not_below_champion, found, facts)


def _within(rule: MetricRule, found: Judged) -> Iterator[Finding]:
    value, said = found.value, f"{rule.metric} on held-out rows is {found.value:.6g}"
    if rule.at_least is not None:
        yield Finding(value >= rule.at_least, f"{said}, where {rule.at_least:g} is the least")
    if rule.at_most is not None:
        yield Finding(value <= rule.at_most, f"{said}, where {rule.at_most:g} is the most")


def _beside_champion(rule: MetricRule, margin: Margin, found: Judged, facts: Facts) -> Finding:
    champion, own = facts.champion, facts.candidate.evaluation
    if champion is None or champion.number == facts.candidate.number:
        return Finding(True, f"there is no other champion whose {rule.metric} it could be below")
    its = f"{rule.metric} of the champion, version {champion.number},"
    if champion.evaluation is None or rule.metric not in champion.evaluation.metrics:
        return Finding(False, f"{its} is not on record; {REMEDY}")
    if own is None or own.target != champion.evaluation.target:
        return Finding(False, f"{its} was judged by another target, {champion.evaluation.target!r}")
    if not own.is_of_data_of(champion.evaluation):
        its += " judged on other data,"
    best = champion.evaluation.metrics[rule.metric]
    bound = _bound(rule, margin, best)
    if bound is None:
        return Finding(False, f"{its} has no interval; say a number in place of {INTERVAL!r}")
    greater = rule.measure.greater_is_better
    is_kept = found.value >= bound if greater else found.value <= bound
    side = (
        ("not below" if greater else "not above") if is_kept else ("below" if greater else "above")
    )
    allowed = f"{bound:.6g}, which its {_named(margin)} allows"
    return Finding(is_kept, f"{its} is {best.value:.6g}; {found.value:.6g} is {side} {allowed}")


def _bound(rule: MetricRule, margin: Margin, best: Judged) -> float | None:
    """The worst that the candidate may be."""
    if margin == INTERVAL:
        return best.low if rule.measure.greater_is_better else best.high
    return best.value - margin if rule.measure.greater_is_better else best.value + margin


def _named(margin: Margin) -> str:
    return INTERVAL if margin == INTERVAL else f"margin of {margin:g}"
