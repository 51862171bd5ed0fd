"""How much a tenant may use: plans, and what was set for a tenant or a model besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth.errors import LimitRefused, NameMalformed, NotFound, PlanUnknown
from auth.permissions import MODEL_NAME
from auth.records import LimitRow, TenantRow
from auth.rows import lock_tenant
from auth.scope import Scope

DEFAULT_PLAN: Final = "standard"
MOST: Final = 10**12


@dataclass(frozen=True, slots=True)
class Limit:
    """What one limit counts, and its value in each plan."""

    unit: str
    meaning: str
    defaults: Mapping[str, int]


def _limit(unit: str, meaning: str, *, free: int, standard: int, unlimited: int) -> Limit:
    plans = {"free": free, "standard": standard, "unlimited": unlimited}
    return Limit(unit, meaning, MappingProxyType(plans))


# A standard tenant's single user may send 10,000 requests a second; beyond that one machine is
# the limit. Rows cost less than requests, so that there are a hundred times as many.
LIMITS: Final[Mapping[str, Limit]] = MappingProxyType(
    {
        "requests_per_minute": _limit(
            "requests/min", "predictions of the tenant", free=600, standard=600_000, unlimited=10**9
        ),
        "rows_per_minute": _limit(
            "rows/min", "rows of the tenant", free=60_000, standard=60_000_000, unlimited=10**12
        ),
        "user_requests_per_minute": _limit(
            "requests/min", "predictions of one user", free=300, standard=600_000, unlimited=10**9
        ),
        "user_rows_per_minute": _limit(
            "rows/min", "rows of one user", free=30_000, standard=60_000_000, unlimited=10**12
        ),
        "model_requests_per_minute": _limit(
            "requests/min", "predictions of one model", free=600, standard=600_000, unlimited=10**9
        ),
        "model_rows_per_minute": _limit(
            "rows/min", "rows of one model", free=60_000, standard=60_000_000, unlimited=10**12
        ),
        "concurrent_requests": _limit(
            "requests", "predictions at once", free=4, standard=1024, unlimited=10_000
        ),
        "rows_per_day": _limit(
            "rows/day", "rows of the tenant (UTC)", free=10**6, standard=10**10, unlimited=10**12
        ),
        "kept_versions": _limit(
            "versions", "versions that are not deleted", free=20, standard=10_000, unlimited=10**9
        ),
        "training_jobs": _limit(
            "jobs", "trainings that have not ended", free=1, standard=16, unlimited=1_000
        ),
        "training_seconds": _limit(
            "seconds", "time of one training", free=600, standard=3_600, unlimited=604_800
        ),
    }
)
PLANS: Final = ("free", "standard", "unlimited")
# With a model named, `requests_per_minute` means that model's.
MODEL_LIMITS: Final = MappingProxyType(
    {
        "requests_per_minute": "model_requests_per_minute",
        "rows_per_minute": "model_rows_per_minute",
        "model_requests_per_minute": "model_requests_per_minute",
        "model_rows_per_minute": "model_rows_per_minute",
    }
)


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """The limits in force: each of LIMITS for the tenant, and where a model has its own."""

    tenant_id: str
    plan: str
    tenant: Mapping[str, int]
    models: Mapping[str, Mapping[str, int]]

    def of(self, name: str, *, model: str | None = None) -> int:
        """One limit; for a model its own if it has one, else the tenant's for any model."""
        own = self.models.get(model, {}) if model is not None else {}
        return own.get(name, self.tenant[name])


@dataclass(frozen=True, slots=True)
class LimitSetting:
    """One line of a listing: a limit, its value, and whether it was set or is the plan's."""

    name: str
    model: str | None
    value: int
    unit: str
    is_set: bool


def check_plan(plan: str) -> str:
    """Return the plan's name; raises PlanUnknown."""
    if plan not in PLANS:
        raise PlanUnknown(plan, PLANS)
    return plan


class Plans:
    """Reads and sets the limits of tenants."""

    def effective(self, session: Session, tenant_id: str) -> TenantLimits:
        """The limits in force for a tenant; raises NotFound if it is gone."""
        plan = session.scalar(select(TenantRow.plan).where(TenantRow.id == tenant_id))
        if plan is None:
            raise NotFound("tenant", tenant_id)
        rows = session.scalars(select(LimitRow).where(LimitRow.tenant_id == tenant_id)).all()
        return _merge(tenant_id, plan, {(row.model, row.name): row.value for row in rows})

    def set(
        self, session: Session, scope: Scope, *, model: str | None = None, **values: int | None
    ) -> TenantLimits:
        """Set limits of the tenant or of one model; None returns one to the plan's default."""
        lock_tenant(session, scope.tenant_id)
        for name, value in values.items():
            stored = _checked_name(name, model)
            _store(session, (scope.tenant_id, model or "", stored), _checked_value(name, value))
            session.flush()  # a limit may be named twice, under its two names
        return self.effective(session, scope.tenant_id)

    def show(self, session: Session, scope: Scope) -> tuple[LimitSetting, ...]:
        """Every limit of the tenant, then those set for single models."""
        rows = session.scalars(
            select(LimitRow)
            .where(LimitRow.tenant_id == scope.tenant_id)
            .order_by(LimitRow.model, LimitRow.name)
        ).all()
        limits = self.effective(session, scope.tenant_id)
        changed = {row.name for row in rows if not row.model}
        return tuple(
            LimitSetting(name, None, limits.tenant[name], limit.unit, name in changed)
            for name, limit in LIMITS.items()
        ) + tuple(
            LimitSetting(row.name, row.model, row.value, LIMITS[row.name].unit, is_set=True)
            for row in rows
            if row.model
        )


def _merge(tenant_id: str, plan: str, overrides: Mapping[tuple[str, str], int]) -> TenantLimits:
    tenant = {
        name: overrides.get(("", name), limit.defaults[plan]) for name, limit in LIMITS.items()
    }
    models: dict[str, dict[str, int]] = {}
    for (model, name), value in overrides.items():
        if model:
            models.setdefault(model, {})[name] = value
    frozen = {model: MappingProxyType(own) for model, own in models.items()}
    return TenantLimits(tenant_id, plan, MappingProxyType(tenant), MappingProxyType(frozen))


def _store(session: Session, key: tuple[str, str, str], value: int | None) -> None:
    row = session.get(LimitRow, key)
    if value is None and row is not None:
        session.delete(row)
    elif value is not None and row is not None:
        row.value = value
    elif value is not None:
        tenant_id, model, name = key
        session.add(LimitRow(tenant_id=tenant_id, model=model, name=name, value=value))


def _checked_name(name: str, model: str | None) -> str:
    if model is not None and not MODEL_NAME.fullmatch(model):
        raise NameMalformed("model", model, "give a-z, 0-9, dot, hyphen, underscore; at most 63")
    known: Mapping[str, str] = MODEL_LIMITS if model is not None else {n: n for n in LIMITS}
    if name not in known:
        where = "a model" if model is not None else "a tenant"
        raise LimitRefused(name, f"{where} has {', '.join(known)}")
    return known[name]


def _checked_value(name: str, value: int | None) -> int | None:
    if value is not None and (isinstance(value, bool) or not 0 < value <= MOST):
        raise LimitRefused(name, f"{value!r} is not between 1 and {MOST}")
    return value
