"""Gates: what a version has to be before it may answer calls that name no version.

Whatever would make a version answer by default asks here: a move of the champion, or of an alias
that the model's route divides calls by; a route; a first version. What was judged is compared
again in the transaction of the change, so that no other change slips in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from auth.permissions import Permission
from auth.scope import Scope
from models.errors import (
    ArtefactMissing,
    GateRefused,
    ModelNotFound,
    ModelsError,
    RouteNotFound,
    VersionDeleted,
)
from models.gates.facts import Evaluation, Facts, Standing, Timing, parity_of
from models.gates.kept import KeptGate
from models.gates.rules import read_gate
from models.gates.timing import probe_rows, timing_of
from models.gates.verdict import Verdict, judge
from models.manifest import EVALUATION, REFERENCE
from models.names import CHAMPION, Reference
from models.versions import Version
from service.bootstrap import Platform
from service.errors import PreconditionFailed
from service.operations.preconditions import ANYTHING, Expected, state_of
from service.operations.recording import Act, recorded
from service.operations.version_files import read_file

Question = tuple[int, int | None]  # the gate's revision, and who is champion


@dataclass(frozen=True, slots=True)
class GateView:
    """A model's gate as it is in force."""

    model: str
    rules: list[dict[str, Any]]
    created_by: str
    created_at: float
    state: str


@dataclass(frozen=True, slots=True)
class RulingView:
    """A rule, whether it is kept, and what was found."""

    rule: Mapping[str, Any]
    passes: bool
    found: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What a model's gate says of a version; `reasons` are why it does not pass."""

    model: str
    version: int
    passes: bool
    reasons: tuple[str, ...]
    rules: tuple[RulingView, ...]


@dataclass(frozen=True, slots=True)
class Admission:
    """That a version may answer by default: what was asked to find out, if there is a gate."""

    question: Question | None
    details: Mapping[str, object]


def show_gate(platform: Platform, scope: Scope, name: str) -> GateView:
    """A model's gate; raises GateNotFound."""
    scope.require(Permission.MODELS_READ, name)
    with platform.database.read() as session:
        return _view(name, platform.gates.show(session, scope, name))


def set_gate(
    platform: Platform,
    scope: Scope,
    name: str,
    definition: object,
    *,
    expected: Expected = ANYTHING,
) -> GateView:
    """Ask this of every version that is to be champion from now on; raises RulesRefused.

    The model need not be there yet. Who is champion already stays so.
    """
    gate = read_gate(definition)
    with _recorded(platform, scope, "models.gate.set", name) as act:
        _check(platform, act.session, scope, name, expected)
        by = str(scope.principal)
        kept = platform.gates.set(act.session, scope, name, gate, created_by=by)
        act.details["rules"] = gate.as_json()["rules"]
    return _view(name, kept)


def remove_gate(
    platform: Platform, scope: Scope, name: str, *, expected: Expected = ANYTHING
) -> GateView:
    """Let every version of a model be champion; raises GateNotFound."""
    with _recorded(platform, scope, "models.gate.delete", name) as act:
        _check(platform, act.session, scope, name, expected)
        kept = platform.gates.delete(act.session, scope, name)
        act.details["rules"] = kept.gate.as_json()["rules"]
    return _view(name, kept)


def check_gate(
    platform: Platform, scope: Scope, name: str, version: Reference = None
) -> GateVerdict:
    """What the gate says of a version, without moving anything; raises GateNotFound.

    It may take seconds of computing time, so that only those may ask who may promote.
    """
    scope.require(Permission.MODELS_WRITE, name)
    with platform.database.read() as session:
        kept = platform.gates.show(session, scope, name)
        target = platform.registry.resolve(session, scope, name, version)
        champion = _champion(platform, session, scope, name)
    verdict, _ = _judge(platform, kept, target, champion)
    rulings = (
        RulingView(each.rule, each.is_kept, tuple(f.reason for f in each.findings))
        for each in verdict.rulings
    )
    return GateVerdict(name, target.number, verdict.passes, verdict.reasons, tuple(rulings))


def admit(
    platform: Platform, scope: Scope, target: Version, alias: str | None, *, override: str = ""
) -> Admission:
    """See that a version may answer by default, through an alias or the model's route.

    Raises GateRefused with every reason, which is put on record. With an `override`, which says
    why, the version is admitted all the same: by whoever may change the gate.
    """
    name = target.model
    if override:
        scope.require(Permission.MODELS_GATE, name)
    with platform.database.read() as session:
        kept = _in_the_way(platform, session, scope, name, alias)
        champion = _champion(platform, session, scope, name)
    if kept is None:
        return Admission(None, {})
    verdict, facts = _judge(platform, kept, target, champion)
    details = _details(kept, verdict, facts)
    if not verdict.passes and not override:
        _record_refusal(platform, scope, name, details)
        raise GateRefused(name, target.number, verdict.reasons)
    if not verdict.passes:
        details["override"] = override
    return Admission((kept.revision, champion.number if champion else None), {"gate": details})


def confirm(
    platform: Platform, act: Act, scope: Scope, name: str, alias: str | None, given: Admission
) -> None:
    """Say in the record what the gate said; raises PreconditionFailed if it is another by now."""
    platform.registry.aliases.state(act.session, scope, name, CHAMPION, lock=True)
    kept = _in_the_way(platform, act.session, scope, name, alias, lock=True)
    question: Question | None = None
    if kept is not None:
        champion = _champion(platform, act.session, scope, name)
        question = (kept.revision, champion.number if champion else None)
    if question != given.question:
        raise PreconditionFailed
    act.details |= given.details


def _in_the_way(
    platform: Platform,
    session: Session,
    scope: Scope,
    name: str,
    alias: str | None,
    *,
    lock: bool = False,
) -> KeptGate | None:
    """The gate that stands between a version and an alias, or None for a route's."""
    if alias not in (None, CHAMPION) and alias not in _divided(platform, session, scope, name):
        return None
    return platform.gates.find(session, scope, name, lock=lock)


def _divided(platform: Platform, session: Session, scope: Scope, name: str) -> Iterable[int | str]:
    """What a model's route divides calls by; not its shadow, whose answers nobody gets."""
    try:
        return [arm.version for arm in platform.routing.show(session, scope, name).route.split]
    except RouteNotFound:
        return []


def _champion(platform: Platform, session: Session, scope: Scope, name: str) -> Version | None:
    try:
        return platform.registry.find(session, scope, name, CHAMPION).version
    except ModelNotFound:
        return None


def _judge(
    platform: Platform, kept: KeptGate, target: Version, champion: Version | None
) -> tuple[Verdict, Facts]:
    contents = target.manifest.contents
    facts = Facts(
        candidate=_standing(platform, target),
        champion=None if champion is None else _standing(platform, champion),
        engine=contents.engine,
        parity=parity_of(contents),
        timing=_timed(platform, target) if kept.gate.serving else None,
    )
    return judge(kept.gate, facts), facts


def _standing(platform: Platform, version: Version) -> Standing:
    return Standing(number=version.number, evaluation=_evaluation(platform, version))


def _timed(platform: Platform, target: Version) -> Timing:
    rows = probe_rows(target.signature, _file(platform, target, REFERENCE))
    try:
        platform.executor.warm(target)
    except ModelsError as error:
        return Timing(0, 0.0, f"it does not open: {error}")
    return timing_of(platform.executor, target, rows)


def _evaluation(platform: Platform, version: Version) -> Evaluation | None:
    text = _file(platform, version, EVALUATION)
    return None if text is None else Evaluation.read(text)


def _file(platform: Platform, version: Version, role: str) -> bytes | None:
    """A file that not every version has; of a deleted one nothing is left."""
    try:
        return read_file(platform, version, role)
    except (ArtefactMissing, ModelNotFound, VersionDeleted):
        return None


def _details(kept: KeptGate, verdict: Verdict, facts: Facts) -> dict[str, object]:
    """What the record says: the rules, what was found of each, and whether that was enough."""
    found = [finding.reason for ruling in verdict.rulings for finding in ruling.findings]
    return {
        "rules": kept.gate.as_json()["rules"],
        "version": facts.candidate.number,
        "passes": verdict.passes,
        "facts": found,
        "reasons": list(verdict.reasons),
    }


def _record_refusal(
    platform: Platform, scope: Scope, name: str, details: dict[str, object]
) -> None:
    with platform.database.write() as session:
        platform.audit.append(
            session,
            actor=str(scope.principal),
            tenant_id=scope.tenant_id,
            action="models.promote",
            subject=name,
            outcome="refused",
            details={"gate": details},
        )


def _check(
    platform: Platform, session: Session, scope: Scope, name: str, expected: Expected
) -> None:
    """Compare under the lock that the change needs anyway: of two that race, one comes second."""
    if expected != ANYTHING:
        kept = platform.gates.find(session, scope, name, lock=True)
        expected.check(None if kept is None else _state(name, kept))


def _recorded(platform: Platform, scope: Scope, action: str, name: str) -> Any:
    return recorded(platform, scope, Permission.MODELS_GATE, action, name, model=name)


def _view(name: str, kept: KeptGate) -> GateView:
    rules = kept.gate.as_json()["rules"]
    return GateView(name, rules, kept.created_by, kept.created_at, _state(name, kept))


def _state(name: str, kept: KeptGate) -> str:
    return state_of("gate", name, kept.revision)
