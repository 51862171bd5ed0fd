"""Aliases of a model's versions: moving one is the hot update, moving it back the rollback."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from auth.permissions import Permission
from auth.rows import Page
from auth.scope import Scope
from models.names import CHAMPION, Reference, check_alias
from models.register.aliases import Alias, Move
from models.versions import Version
from service.bootstrap import Platform
from service.operations.gates import admit, confirm
from service.operations.preconditions import ANYTHING, Expected, state_of
from service.operations.recording import Act, recorded


@dataclass(frozen=True, slots=True)
class AliasDetail:
    """An alias with where it pointed before, newest first."""

    alias: str
    version: int
    previous: int | None
    moves: tuple[Move, ...]
    state: str


def list_aliases(
    platform: Platform, scope: Scope, name: str, *, cursor: str | None = None, limit: int = 100
) -> Page[Alias]:
    """A page of a model's aliases, each with the version that a rollback would lead to."""
    scope.require(Permission.MODELS_READ, name)
    with platform.database.read() as session:
        found = platform.registry.aliases.list(session, scope, name, after=cursor, limit=limit + 1)
    return Page(found[:limit], found[limit - 1].alias if len(found) > limit else None)


def show_alias(platform: Platform, scope: Scope, name: str, alias: str) -> AliasDetail:
    """One alias with its latest moves; raises AliasNotFound."""
    scope.require(Permission.MODELS_READ, name)
    with platform.database.read() as session:
        found = platform.registry.aliases.show(session, scope, name, alias)
        moves = platform.registry.aliases.moves(session, scope, name, alias)
        state = state_of(platform.registry.aliases.state(session, scope, name, alias))
    return AliasDetail(found.alias, found.version, found.previous, moves, state)


def promote(
    platform: Platform,
    scope: Scope,
    name: str,
    alias: str,
    version: Reference,
    *,
    reason: str = "",
    override: str = "",
    expected: Expected = ANYTHING,
) -> Move:
    """Point an alias at a version that has been shown to open; every worker follows at once.

    Raises PreconditionFailed if the alias is not as expected, and GateRefused unless the version
    passes the model's gate, where one stands before the alias. An `override` says why it may be
    passed by.
    """
    check_alias(alias)
    target = proven(platform, scope, name, version)
    admission = admit(platform, scope, target, alias, override=override)
    with _moving(platform, scope, "models.promote", name) as act:
        _check(platform, act, scope, name, alias, expected)
        confirm(platform, act, scope, name, alias, admission)
        by = str(scope.principal)
        move = platform.registry.aliases.set(
            act.session, scope, name, alias, target.number, by=by, reason=reason
        )
        act.details |= _details(move)
    return move


def roll_back(
    platform: Platform,
    scope: Scope,
    name: str,
    alias: str,
    *,
    reason: str = "",
    expected: Expected = ANYTHING,
) -> Move:
    """Point an alias where it pointed before; raises NothingToRollBack or PreconditionFailed.

    A version that was champion may be it again, whatever the gate says: this is the way out when
    the new one fails. Behind another alias that the route names, a version has to pass.
    """
    scope.require(Permission.MODELS_WRITE, name)
    with platform.database.read() as session:
        before = platform.registry.aliases.before(session, scope, name, alias).servable()
    platform.executor.warm(before)
    admission = None if alias == CHAMPION else admit(platform, scope, before, alias)
    with _moving(platform, scope, "models.rollback", name) as act:
        _check(platform, act, scope, name, alias, expected)
        if admission is not None:
            confirm(platform, act, scope, name, alias, admission)
        by = str(scope.principal)
        move = platform.registry.aliases.roll_back(
            act.session, scope, name, alias, by=by, reason=reason
        )
        act.details |= _details(move)
    return move


def remove_alias(
    platform: Platform, scope: Scope, name: str, alias: str, *, expected: Expected = ANYTHING
) -> Move:
    """Remove an alias; the champion stays, and one that a route names."""
    with _moving(platform, scope, "models.remove-alias", name) as act:
        _check(platform, act, scope, name, alias, expected)
        move = platform.registry.aliases.remove(
            act.session, scope, name, alias, by=str(scope.principal)
        )
        act.details |= _details(move)
    return move


def proven(platform: Platform, scope: Scope, name: str, version: Reference) -> Version:
    """The version meant, shown to open in this process before anybody is sent to it."""
    scope.require(Permission.MODELS_WRITE, name)
    with platform.database.read() as session:
        target = platform.registry.resolve(session, scope, name, version)
    platform.executor.warm(target)
    return target


def _check(
    platform: Platform, act: Act, scope: Scope, name: str, alias: str, expected: Expected
) -> None:
    """Compare under the lock that the change needs anyway: of two that race, one comes second."""
    if expected == ANYTHING:
        return
    facts = platform.registry.aliases.state(act.session, scope, name, alias, lock=True)
    expected.check(None if facts is None else state_of(facts))


def _moving(platform: Platform, scope: Scope, action: str, name: str) -> Any:
    return recorded(platform, scope, Permission.MODELS_WRITE, action, name, model=name)


def _details(move: Move) -> dict[str, object]:
    return {
        "alias": move.alias,
        "from": move.from_number,
        "to": move.to_number,
        "reason": move.reason,
    }
