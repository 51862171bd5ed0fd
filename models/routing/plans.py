"""Routes and what came of them, as the database keeps them; and the plan that a call follows."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from models.errors import ModelsError, RouteNotFound, RouteRefused
from models.names import Reference
from models.prediction_log.terms import LogRule
from models.records import ModelRow, RouteReportRow, RouteRow
from models.register.entries import default_model, find_model, refuse_unloaded
from models.register.registry import Registry
from models.register.version_keys import TenantScope
from models.routes import Route, Shadow, choose, place, read_route
from models.routing.traffic import WINDOW_SECONDS, Role, RouteKey, Seen, Tally
from models.versions import Version

KEPT_SECONDS: Final = 86_400
COUNTED: Final = ("requests", "errors", "seconds", "rows_compared", "rows_agreeing", "dropped")


@dataclass(frozen=True, slots=True)
class Plan:
    """The versions that calls of one name go to, with everything that must be known to choose.

    Without a `route` there is one version, and nothing is observed; without a `log` nothing of
    the calls is kept. `until` is when the plan is to be made anew, in Unix time.
    """

    versions: tuple[Version, ...]
    weights: tuple[int, ...] = (1,)
    route: RouteKey | None = None
    by: str = "none"
    header: str | None = None
    shadow: Version | None = None
    shadow_share: float = 0.0
    log: LogRule | None = None
    until: float = math.inf

    @property
    def tenant_id(self) -> str:
        """The tenant whose versions these are."""
        return self.versions[0].tenant_id

    @property
    def every_version(self) -> tuple[Version, ...]:
        """The versions of the split, and the shadow."""
        return (*self.versions, self.shadow) if self.shadow else self.versions

    def choose(self, caller: str, header: Callable[[str], str | None]) -> Version:
        """The version for one call: by the caller, by a header of the call, or by chance."""
        if len(self.versions) == 1:
            return self.versions[0]
        assert self.route is not None, "only a route has several versions"
        key = (header(self.header) if self.header else None) or caller
        at = random.random() if self.by == "none" else place(self.route.model_id, key)  # noqa: S311
        return self.versions[choose(self.weights, at)]

    def wants_shadow(self) -> bool:
        """Say whether the shadow is to be asked about this call."""
        return self.shadow is not None and random.random() < self.shadow_share  # noqa: S311


@dataclass(frozen=True, slots=True)
class Kept:
    """A route as it is in force; `note` says why a version was taken out of it, if one was."""

    key: RouteKey
    route: Route
    note: str


@dataclass(frozen=True, slots=True)
class Guarded:
    """A route with bounds, and whose it is."""

    tenant_id: str
    model: str
    key: RouteKey
    route: Route


class Routing:
    """Keeps a route for each model that has one, and the counts of its versions for a day."""

    def __init__(self, registry: Registry, clock: Callable[[], float] = time.time) -> None:
        self._registry = registry
        self._clock = clock

    def show(self, session: Session, scope: TenantScope, name: str) -> Kept:
        """The route of a model; raises ModelNotFound or RouteNotFound."""
        row = session.get(RouteRow, find_model(session, scope, name).id)
        if row is None:
            raise RouteNotFound(name)
        return Kept(_key(row), _read(row), row.note)

    def set(
        self,
        session: Session,
        scope: TenantScope,
        name: str,
        route: Route,
        *,
        created_by: str,
        note: str = "",
    ) -> None:
        """Give a model a route; raises RouteRefused if a version that it names cannot serve."""
        # Locked: no version that the route names can go out of service meanwhile.
        model_id, now = find_model(session, scope, name, lock=True).id, self._clock()
        for version in route.versions:
            try:
                self._registry.resolve(session, scope, name, version)
            except ModelsError as error:
                raise RouteRefused("", f"not possible: {error}") from error
        before = session.get(RouteRow, model_id)
        session.merge(
            RouteRow(
                model_id=model_id,
                definition=orjson.dumps(route.as_json()).decode(),
                # Two changes within a millisecond are two states all the same.
                revision=max(int(now * 1000), before.revision + 1 if before else 0),
                note=note,
                created_by=created_by,
                created_at=now,
            )
        )

    def state(
        self, session: Session, scope: TenantScope, name: str, *, lock: bool = False
    ) -> tuple[object, ...] | None:
        """All that tells one state of a model's route from another; None if it has none.

        Locked, it stays in this state until the transaction ends.
        """
        row = session.get(RouteRow, find_model(session, scope, name, lock=lock).id)
        return None if row is None else (row.model_id, row.revision, row.definition, row.note)

    def delete(self, session: Session, scope: TenantScope, name: str) -> None:
        """Take a model's route away, so that its champion answers; raises RouteNotFound."""
        row = session.get(RouteRow, find_model(session, scope, name, lock=True).id)
        if row is None:
            raise RouteNotFound(name)
        session.delete(row)

    def plan(
        self, session: Session, scope: TenantScope, name: str | None, version: Reference
    ) -> Plan:
        """Whom calls of a model and version go to; raises ModelNotFound, or ModelUnloaded.

        A version of a route that has gone out of service meanwhile is left out of its split.
        """
        refuse_unloaded(session, scope, name)
        if version is None:
            found = session.execute(_route_query(scope, name)).one_or_none()
            if found is not None:
                row, model = found
                return self._divided(session, scope, model, row)
        return Plan((self._registry.resolve(session, scope, name, version),))

    def guarded(self, session: Session) -> list[Guarded]:
        """Every route that has bounds and something to take out of its split."""
        rows = session.execute(
            select(RouteRow, ModelRow.name, ModelRow.tenant_id).join(
                ModelRow, ModelRow.id == RouteRow.model_id
            )
        )
        found = [Guarded(tenant_id, model, _key(row), _read(row)) for row, model, tenant_id in rows]
        return [each for each in found if each.route.bounds and len(each.route.split) > 1]

    def write_down(
        self, session: Session, holder: str, counts: Iterable[tuple[Seen, Tally]]
    ) -> None:
        """Keep a worker's tallies; those of a window replace what it wrote of it before."""
        for seen, tally in counts:
            session.execute(_upsert(session, holder, seen, tally))

    def tallies(
        self, session: Session, key: RouteKey, *, since: float
    ) -> dict[tuple[str, Role], Tally]:
        """What all workers counted of a route since a time, by version and role."""
        sums: dict[tuple[str, Role], Tally] = {}
        rows = session.scalars(
            select(RouteReportRow).where(
                RouteReportRow.model_id == key.model_id,
                RouteReportRow.revision == key.revision,
                RouteReportRow.window > since - WINDOW_SECONDS,
            )
        )
        for row in rows:
            role: Role = "shadow" if row.role == "shadow" else "live"
            sums.setdefault((row.version_id, role), Tally()).add(_tally(row))
        return sums

    def forget_old(self, session: Session) -> None:
        """Drop counts that are older than a day."""
        oldest = self._clock() - KEPT_SECONDS
        session.execute(delete(RouteReportRow).where(RouteReportRow.window < oldest))

    def _divided(self, session: Session, scope: TenantScope, model: str, row: RouteRow) -> Plan:
        route = _read(row)
        live = [
            (found, arm.weight)
            for arm in route.split
            if arm.weight and (found := self._servable(session, scope, model, arm.version))
        ]
        if not live:
            return Plan((self._registry.resolve(session, scope, model, None),))
        shadow = route.shadow or Shadow(0, 0.0)
        return Plan(
            versions=tuple(version for version, _ in live),
            weights=tuple(weight for _, weight in live),
            route=_key(row),
            by=route.sticky,
            header=route.header,
            shadow=self._servable(session, scope, model, shadow.version) if route.shadow else None,
            shadow_share=shadow.share,
        )

    def _servable(
        self, session: Session, scope: TenantScope, model: str, version: int | str
    ) -> Version | None:
        try:
            return self._registry.resolve(session, scope, model, version)
        except ModelsError:
            return None


def _key(row: RouteRow) -> RouteKey:
    return RouteKey(row.model_id, row.revision)


def _read(row: RouteRow) -> Route:
    return read_route(orjson.loads(row.definition))


def _route_query(scope: TenantScope, name: str | None) -> Any:
    query = (
        select(RouteRow, ModelRow.name)
        .join(ModelRow, ModelRow.id == RouteRow.model_id)
        .where(ModelRow.tenant_id == scope.tenant_id)
    )
    if name is None:
        return query.where(ModelRow.id == default_model(scope).scalar_subquery())
    return query.where(ModelRow.name == name)


def _upsert(session: Session, holder: str, seen: Seen, tally: Tally) -> Any:
    counted: Mapping[str, Any] = {name: getattr(tally, name) for name in COUNTED} | {
        "buckets": orjson.dumps(tally.buckets).decode()
    }
    keys = {
        "model_id": seen.route.model_id,
        "revision": seen.route.revision,
        "version_id": seen.version_id,
        "role": seen.role,
        "window": seen.window,
        "holder": holder,
    }
    on_sqlite = session.get_bind().dialect.name == "sqlite"
    insert = (sqlite.insert if on_sqlite else postgresql.insert)(RouteReportRow)
    return insert.values(keys | dict(counted)).on_conflict_do_update(
        index_elements=list(keys), set_=dict(counted)
    )


def _tally(row: RouteReportRow) -> Tally:
    counted = {name: getattr(row, name) for name in COUNTED}
    return Tally(buckets=orjson.loads(row.buckets), **counted)
