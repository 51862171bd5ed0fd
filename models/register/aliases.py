"""Aliases: movable names for versions, and where each has pointed before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from models.errors import AliasNotFound, ChampionFixed, NothingToRollBack, VersionInUse
from models.names import ALIAS, CHAMPION, Reference, check_alias
from models.records import AliasMoveRow, AliasRow, ModelRow, VersionRow
from models.register.entries import Entry, Reader, find_model, route_names
from models.register.version_keys import TenantScope

MOST_MOVES: Final = 100


@dataclass(frozen=True, slots=True)
class Move:
    """An alias pointed elsewhere: from no version when it was made, to none when it was removed."""

    model: str
    alias: str
    from_number: int | None
    to_number: int | None
    moved_by: str
    moved_at: float
    reason: str
    is_rollback: bool


@dataclass(frozen=True, slots=True)
class Alias:
    """An alias, and where a rollback would lead, if there is such a version."""

    alias: str
    version: int
    previous: int | None


class Aliases:
    """Moves names between versions that may be served, and remembers every move.

    A rollback takes the last move back that was not taken back yet: after 1, 2, 3 it leads to 2,
    and a second one to 1.
    """

    def __init__(self, reader: Reader, clock: Callable[[], float]) -> None:
        self._reader = reader
        self._clock = clock

    def set(
        self,
        session: Session,
        scope: TenantScope,
        name: str,
        alias: str,
        version: Reference,
        *,
        by: str,
        reason: str = "",
    ) -> Move:
        """Point an alias at a version; raises unless the version may be served."""
        check_alias(alias)
        model = find_model(session, scope, name, lock=True)
        row, entry = self._reader.find(session, scope, name, version)
        entry.servable()
        return self.point(session, model, alias, row, by=by, reason=reason)

    def point(
        self,
        session: Session,
        model: ModelRow,
        alias: str,
        row: VersionRow,
        *,
        by: str,
        reason: str = "",
        is_rollback: bool = False,
    ) -> Move:
        """Point an alias at a version that is known to be servable, in a model that is locked."""
        before = _number(session, model, alias)
        session.merge(AliasRow(model_id=model.id, alias=alias, version_id=row.id))
        move = self._move(model, alias, before, row.number, by, reason, is_rollback=is_rollback)
        return _recorded(session, model.name, move)

    def before(self, session: Session, scope: TenantScope, name: str, alias: str) -> Entry:
        """Where a rollback would lead; raises AliasNotFound or NothingToRollBack."""
        model = find_model(session, scope, name)
        move = self._last(session, model, alias)
        return self._reader.find(session, scope, name, move.from_number)[1]

    def roll_back(
        self,
        session: Session,
        scope: TenantScope,
        name: str,
        alias: str,
        *,
        by: str,
        reason: str = "",
    ) -> Move:
        """Point an alias where it pointed before; raises unless that version may be served."""
        model = find_model(session, scope, name, lock=True)
        last = self._last(session, model, alias)
        row, entry = self._reader.find(session, scope, name, last.from_number)
        entry.servable()
        last.is_undone = True
        return self.point(session, model, alias, row, by=by, reason=reason, is_rollback=True)

    def remove(
        self, session: Session, scope: TenantScope, name: str, alias: str, *, by: str
    ) -> Move:
        """Remove an alias that is not the champion and that no route names."""
        model = find_model(session, scope, name, lock=True)
        before = _number(session, model, alias)
        if before is None:
            raise AliasNotFound(name, alias)
        if alias == CHAMPION:
            raise ChampionFixed(name)
        if route_names(session, model.id, alias):
            raise VersionInUse(name, before, ("the route",))
        return self.drop(session, model, alias, before, by=by)

    def drop(
        self,
        session: Session,
        model: ModelRow,
        alias: str,
        number: int,
        *,
        by: str,
        reason: str = "",
    ) -> Move:
        """Remove any alias, the champion too; nothing from before can be rolled back to."""
        session.delete(session.get_one(AliasRow, (model.id, alias)))
        session.execute(
            update(AliasMoveRow)
            .where(AliasMoveRow.model_id == model.id, AliasMoveRow.alias == alias)
            .values(is_undone=True)
        )
        return _recorded(session, model.name, self._move(model, alias, number, None, by, reason))

    def list(
        self,
        session: Session,
        scope: TenantScope,
        name: str,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> tuple[Alias, ...]:
        """The aliases of a model, by name: those that follow `after`, at most `limit`."""
        model = find_model(session, scope, name)
        query = _pointing(model.id).limit(limit)
        if after is not None:
            query = query.where(AliasRow.alias > after)
        return tuple(
            Alias(row.alias, row.number, _previous(session, model, row.alias))
            for row in session.execute(query)
        )

    def show(self, session: Session, scope: TenantScope, name: str, alias: str) -> Alias:
        """One alias of a model; raises AliasNotFound."""
        model = find_model(session, scope, name)
        number = _number(session, model, alias)
        if number is None:
            raise AliasNotFound(name, alias)
        return Alias(alias, number, _previous(session, model, alias))

    def state(
        self, session: Session, scope: TenantScope, name: str, alias: str, *, lock: bool = False
    ) -> tuple[object, ...] | None:
        """All that tells one state of an alias from another; None if there is no such alias.

        Locked, it stays in this state until the transaction ends.
        """
        model = find_model(session, scope, name, lock=lock)
        number = _number(session, model, alias)
        if number is None:
            return None
        moves = select(func.max(AliasMoveRow.id)).where(
            AliasMoveRow.model_id == model.id, AliasMoveRow.alias == alias
        )
        return model.id, alias, number, _previous(session, model, alias), session.scalar(moves)

    def moves(
        self, session: Session, scope: TenantScope, name: str, alias: str | None = None
    ) -> tuple[Move, ...]:
        """The latest moves of a model's aliases, or of one, newest first."""
        model = find_model(session, scope, name)
        query = select(AliasMoveRow).where(AliasMoveRow.model_id == model.id)
        if alias is not None:
            query = query.where(AliasMoveRow.alias == alias)
        rows = session.scalars(query.order_by(AliasMoveRow.id.desc()).limit(MOST_MOVES))
        return tuple(_read(name, row) for row in rows)

    def _last(self, session: Session, model: ModelRow, alias: str) -> AliasMoveRow:
        """The last move that a rollback may take back."""
        if _number(session, model, alias) is None:
            raise AliasNotFound(model.name, alias)
        found = _undoable(session, model, alias)
        if found is None:
            raise NothingToRollBack(model.name, alias)
        return found

    def _move(
        self,
        model: ModelRow,
        alias: str,
        before: int | None,
        after: int | None,
        by: str,
        reason: str,
        *,
        is_rollback: bool = False,
    ) -> AliasMoveRow:
        return AliasMoveRow(
            model_id=model.id,
            alias=alias,
            from_number=before,
            to_number=after,
            moved_by=by,
            moved_at=self._clock(),
            reason=reason,
            is_rollback=is_rollback,
            is_undone=False,
        )


def numbers(session: Session, model_id: str) -> dict[str, int]:
    """The model's aliases with the numbers of the versions that they point at."""
    return {row.alias: row.number for row in session.execute(_pointing(model_id))}


def _number(session: Session, model: ModelRow, alias: str) -> int | None:
    if not ALIAS.fullmatch(alias):
        return None  # a text that no alias has, and that a database may not take
    found = session.execute(_pointing(model.id).where(AliasRow.alias == alias)).one_or_none()
    return None if found is None else int(found.number)


def _pointing(model_id: str) -> Select[str, int]:
    query = select(AliasRow.alias, VersionRow.number)
    joined = query.join(VersionRow, VersionRow.id == AliasRow.version_id)
    return joined.where(AliasRow.model_id == model_id).order_by(AliasRow.alias)


def _undoable(session: Session, model: ModelRow, alias: str) -> AliasMoveRow | None:
    moves = select(AliasMoveRow).where(
        AliasMoveRow.model_id == model.id,
        AliasMoveRow.alias == alias,
        AliasMoveRow.is_rollback.is_(False),
        AliasMoveRow.is_undone.is_(False),
        AliasMoveRow.from_number.is_not(None),
        AliasMoveRow.to_number.is_not(None),
    )
    return session.scalars(moves.order_by(AliasMoveRow.id.desc()).limit(1)).one_or_none()


def _previous(session: Session, model: ModelRow, alias: str) -> int | None:
    move = _undoable(session, model, alias)
    return None if move is None else move.from_number


def _recorded(session: Session, model: str, row: AliasMoveRow) -> Move:
    if row.from_number != row.to_number:  # else it points where it did: nothing to take back
        session.add(row)
    session.flush()
    return _read(model, row)


def _read(model: str, row: AliasMoveRow) -> Move:
    return Move(
        model=model,
        alias=row.alias,
        from_number=row.from_number,
        to_number=row.to_number,
        moved_by=row.moved_by,
        moved_at=row.moved_at,
        reason=row.reason,
        is_rollback=row.is_rollback,
    )
