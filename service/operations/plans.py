"""The limits of a tenant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from auth.errors import LimitRefused
from auth.permissions import Permission
from auth.plans import LIMITS, MODEL_LIMITS, TenantLimits
from auth.rows import lock_tenant
from auth.scope import Scope
from service.bootstrap import Platform
from service.operations.preconditions import ANYTHING, Expected, state_of
from service.operations.recording import recorded


@dataclass(frozen=True, slots=True)
class LimitsView:
    """The limits in force, of the tenant and where a model has its own."""

    tenant: str
    plan: str
    limits: Mapping[str, int]
    models: Mapping[str, Mapping[str, int]]

    @property
    def state(self) -> str:
        """A word for these limits; others have another."""
        own = {model: sorted(limits.items()) for model, limits in self.models.items()}
        return state_of(self.tenant, self.plan, sorted(self.limits.items()), sorted(own.items()))


def show_limits(platform: Platform, scope: Scope) -> LimitsView:
    """The limits in force for the scope's tenant."""
    scope.require(Permission.LIMITS_READ)
    with platform.database.read() as session:
        return _view(scope, platform.plans.effective(session, scope.tenant_id))


def set_limits(
    platform: Platform,
    scope: Scope,
    *,
    values: Mapping[str, int | None],
    model: str | None = None,
    expected: Expected = ANYTHING,
) -> LimitsView:
    """Set limits of the tenant or of one model; None goes back to the plan's.

    Raises PreconditionFailed if the limits are not as expected.
    """
    unknown = next((name for name in values if name not in {**LIMITS, **MODEL_LIMITS}), None)
    if unknown is not None:
        raise LimitRefused(unknown, f"the limits are {', '.join(LIMITS)}")
    with recorded(platform, scope, Permission.LIMITS_WRITE, "limits.set", scope.tenant) as act:
        act.details |= {"model": model, "limits": dict(values)}
        lock_tenant(act.session, scope.tenant_id)  # of two that race, one comes second
        expected.check(_view(scope, platform.plans.effective(act.session, scope.tenant_id)).state)
        return _view(scope, platform.plans.set(act.session, scope, model=model, **values))


def set_plan(platform: Platform, scope: Scope, plan: str) -> LimitsView:
    """Move the tenant to another plan."""
    with recorded(platform, scope, Permission.LIMITS_WRITE, "limits.plan", scope.tenant) as act:
        act.details["plan"] = plan
        platform.tenants.set_plan(act.session, scope.tenant, plan)
        return _view(scope, platform.plans.effective(act.session, scope.tenant_id))


def _view(scope: Scope, limits: TenantLimits) -> LimitsView:
    models = {model: dict(own) for model, own in limits.models.items()}
    return LimitsView(scope.tenant, limits.plan, dict(limits.tenant), models)
