"""Tenants, and how a principal comes to act within one."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from dataclasses import replace

import structlog
from sqlalchemy.orm import Session

from auth.errors import NotFound
from auth.names import PLATFORM_TENANT
from auth.permissions import Grant, Permission, Role, grants_of_role
from auth.rows import Page, everything
from auth.scope import Principal, Scope
from auth.tenants import Tenant
from models.errors import StoreUnavailable
from service.bootstrap import Platform
from service.operations import statistics
from service.operations.recording import recorded

log = structlog.get_logger("sallyport.tenants")


def operator_scope(platform: Platform, tenant: str = PLATFORM_TENANT) -> Scope:
    """The scope of whoever may run commands on this machine, within the tenant named.

    Being able to read the master key is the operator's proof; the system's user is the name.
    """
    with platform.database.read() as session:
        return operator_within(platform, session, tenant)


def operator_within(platform: Platform, session: Session, tenant: str = PLATFORM_TENANT) -> Scope:
    """The operator's scope as a transaction sees the tenants."""
    home = platform.tenants.find(session, PLATFORM_TENANT)
    target = platform.tenants.find(session, tenant)
    name = getpass.getuser()
    own = {Grant(Permission.PREDICT), Grant(Permission.PREDICTIONS_READ)}
    grants = grants_of_role(Role.OPERATOR) | own
    principal = Principal("operator", f"cli_{name}", name, home.id, home.name, grants)
    return Scope(target.id, target.name, principal)


def scope_for(platform: Platform, scope: Scope, tenant: str | None) -> Scope:
    """The principal's scope in the tenant named; to all but operators others do not exist."""
    if tenant is None or tenant == scope.tenant:
        return scope
    if not scope.allows(Permission.TENANTS):
        raise NotFound("tenant", tenant)
    with platform.database.read() as session:
        target = platform.tenants.find(session, tenant)
    return scope.within(target.id, target.name)


def every_tenant(platform: Platform, session: Session, scope: Scope) -> Iterator[Scope]:
    """The operator's scope in each tenant in turn."""
    scope.require(Permission.TENANTS)
    for tenant in everything(lambda after: platform.tenants.list(session, after=after)):
        yield scope.within(tenant.id, tenant.name)


def create_tenant(platform: Platform, scope: Scope, name: str, plan: str) -> Tenant:
    """Make a tenant with a data key of its own."""
    with recorded(platform, scope, Permission.TENANTS, "tenants.create", name) as act:
        act.details["plan"] = plan
        return platform.tenants.create(act.session, name, plan=plan)


def list_tenants(
    platform: Platform, scope: Scope, *, after: str | None = None, limit: int = 100
) -> Page[Tenant]:
    """A page of all tenants."""
    scope.require(Permission.TENANTS)
    with platform.database.read() as session:
        return platform.tenants.list(session, after=after, limit=limit)


def show_tenant(platform: Platform, scope: Scope, name: str) -> Tenant:
    """One tenant."""
    scope.require(Permission.TENANTS)
    with platform.database.read() as session:
        return platform.tenants.find(session, name)


def suspend_tenant(platform: Platform, scope: Scope, name: str) -> Tenant:
    """Refuse the tenant's tokens and logins at once."""
    with recorded(platform, scope, Permission.TENANTS, "tenants.suspend", name) as act:
        tenant = platform.tenants.suspend(act.session, name)
        act.concerns = tenant.id
    statistics.forget(platform, tenant.id)
    return tenant


def resume_tenant(platform: Platform, scope: Scope, name: str) -> Tenant:
    """Admit the tenant again."""
    with recorded(platform, scope, Permission.TENANTS, "tenants.resume", name) as act:
        tenant = platform.tenants.resume(act.session, name)
        act.concerns = tenant.id
        return tenant


def delete_tenant(platform: Platform, scope: Scope, name: str) -> Tenant:
    """Delete the tenant, its accounts, models and data key; its audit records stay."""
    with recorded(platform, scope, Permission.TENANTS, "tenants.delete", name) as act:
        tenant = platform.tenants.find(act.session, name)
        act.concerns = tenant.id
        inside = scope.within(tenant.id, tenant.name)
        platform.registry.delete_tenant(act.session, inside)
        platform.jobs.delete_tenant(act.session, inside)
        platform.gates.delete_tenant(act.session, inside)
        platform.schedules.delete_tenant(act.session, inside)
        platform.tenants.delete(act.session, name)
    platform.database.forget_deleted()
    statistics.forget(platform, tenant.id)
    _remove_files(platform, tenant)
    return replace(tenant, state="deleted")


def _remove_files(platform: Platform, tenant: Tenant) -> None:
    """Take a deleted tenant's files out of the stores; without its key they are noise anyway."""
    for place in (platform.uploads, platform.artefacts, platform.prediction_logs.files):
        try:
            place.delete_tenant(tenant.id)
        except StoreUnavailable as error:
            log.warning("files of a deleted tenant were left in the store", reason=error.problem)
