"""Models at a glance: their aliases and versions, without a manifest being read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.names import CHAMPION
from models.records import AliasRow, ModelRow, VersionRow
from models.register.entries import DELETED, State, default_model, find_model, living, state_of
from models.register.version_keys import TenantScope


@dataclass(frozen=True, slots=True)
class Listed:
    """A version among those of its model."""

    number: int
    state: State
    pinned: bool


@dataclass(frozen=True, slots=True)
class Model:
    """A model and what is registered under its name, deleted versions left out."""

    name: str
    is_default: bool
    is_loaded: bool  # an unloaded one answers nobody
    created_at: float
    aliases: dict[str, int]  # alias -> number, by alias
    versions: tuple[Listed, ...]  # oldest first

    @property
    def champion(self) -> int | None:
        """The number of the version that answers when none is named, once one may."""
        return self.aliases.get(CHAMPION)


def list_models(
    session: Session, scope: TenantScope, *, after: str | None = None, limit: int | None = None
) -> tuple[Model, ...]:
    """The models of the tenant, by name: those that follow `after`, at most `limit`."""
    query = living(select(ModelRow), scope).order_by(ModelRow.name).limit(limit)
    if after is not None:
        query = query.where(ModelRow.name > after)
    return _shown(session, scope, session.scalars(query).all())


def show_model(session: Session, scope: TenantScope, name: str) -> Model:
    """One model; raises ModelNotFound."""
    (model,) = _shown(session, scope, [find_model(session, scope, name)])
    return model


def _shown(session: Session, scope: TenantScope, rows: Sequence[ModelRow]) -> tuple[Model, ...]:
    ids = [row.id for row in rows]
    aliases, versions = _aliases(session, ids), _versions(session, ids)
    default = session.scalars(default_model(scope)).one_or_none()
    return tuple(
        Model(
            name=row.name,
            is_default=row.id == default,
            is_loaded=row.unloaded_at is None,
            created_at=row.created_at,
            aliases=aliases[row.id],
            versions=tuple(versions[row.id]),
        )
        for row in rows
    )


def _aliases(session: Session, models: list[str]) -> dict[str, dict[str, int]]:
    query = (
        select(AliasRow.model_id, AliasRow.alias, VersionRow.number)
        .join(VersionRow, VersionRow.id == AliasRow.version_id)
        .where(AliasRow.model_id.in_(models))
        .order_by(AliasRow.alias)
    )
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for model, alias, number in session.execute(query):
        found[model][alias] = number
    return found


def _versions(session: Session, models: list[str]) -> dict[str, list[Listed]]:
    is_sealed = VersionRow.sealed_key.is_not(None)
    query = (
        select(
            VersionRow.model_id, VersionRow.number, VersionRow.state, is_sealed, VersionRow.pinned
        )
        .where(VersionRow.model_id.in_(models), VersionRow.state != DELETED)
        .order_by(VersionRow.number)
    )
    found: dict[str, list[Listed]] = defaultdict(list)
    for model, number, state, sealed, pinned in session.execute(query):
        found[model].append(Listed(number, state_of(state, is_sealed=sealed), pinned))
    return found
