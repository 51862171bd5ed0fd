"""Administration of a tenant: users, service accounts, limits, usage, audit.

Everybody administers the own tenant; an operator names another with `?tenant=`.
"""

from __future__ import annotations

from typing import Any

from auth.permissions import Permission
from auth.scope import Scope
from service.conditional import expected, heeds_conditions, is_tagged, shown
from service.operations import accounts, audit, clients, plans, tenants, usage
from service.pages import linked, paging
from service.parsing import Blueprint
from service.schemas import TenantPageSchema, TenantQuerySchema
from service.schemas.administration import (
    AuditSchema,
    ClientSchema,
    LimitsChangeSchema,
    LimitsSchema,
    NewClientSchema,
    NewUserSchema,
    UsageQuerySchema,
    UsageSchema,
    UserChangeSchema,
    UserSchema,
)
from service.security import current_platform, current_scope, requires

bp = Blueprint("admin", __name__, url_prefix="/admin", description="A tenant's administration.")

Members = dict[str, Any]


@bp.get("/users")
@requires(Permission.USERS)
@bp.arguments(TenantPageSchema, location="query")
@bp.response(200, UserSchema(many=True))
def list_users(query: Members) -> Any:
    """List the tenant's users, a page at a time."""
    page = accounts.list_users(current_platform(), _scope(query), **_paging(query))
    return linked(page)


@bp.post("/users")
@requires(Permission.USERS)
@bp.arguments(TenantQuerySchema, location="query")
@bp.arguments(NewUserSchema)
@bp.response(201, UserSchema)
@bp.alt_response(409, "CONFLICT")
def create_user(query: Members, body: Members) -> accounts.UserView:
    """Create a user; a generated password is in the answer, once."""
    narrowing = body.pop("scope", None)
    return accounts.create_user(current_platform(), _scope(query), narrowing=narrowing, **body)


@bp.get("/users/<string:username>")
@requires(Permission.USERS)
@bp.arguments(TenantQuerySchema, location="query")
@bp.response(200, UserSchema)
def show_user(query: Members, username: str) -> accounts.UserView:
    """Show one user."""
    return accounts.show_user(current_platform(), _scope(query), username)


@bp.patch("/users/<string:username>")
@requires(Permission.USERS)
@bp.arguments(TenantQuerySchema, location="query")
@bp.arguments(UserChangeSchema)
@bp.response(200, UserSchema)
@bp.alt_response(409, "CONFLICT")
def change_user(query: Members, body: Members, username: str) -> accounts.UserView:
    """Change a user's role or its narrowing, or disable or enable the account."""
    if "scope" in body:
        body["narrowing"] = body.pop("scope") or ""
    return accounts.change_user(current_platform(), _scope(query), username, **body)


@bp.post("/users/<string:username>/reset-password")
@requires(Permission.USERS)
@bp.arguments(TenantQuerySchema, location="query")
@bp.response(200, UserSchema)
def reset_password(query: Members, username: str) -> accounts.UserView:
    """Give the user a new generated password, once in the answer; its sessions end."""
    return accounts.reset_password(current_platform(), _scope(query), username)


@bp.get("/clients")
@requires(Permission.CLIENTS)
@bp.arguments(TenantPageSchema, location="query")
@bp.response(200, ClientSchema(many=True))
def list_clients(query: Members) -> Any:
    """List the tenant's service accounts, a page at a time."""
    return linked(clients.list_clients(current_platform(), _scope(query), **_paging(query)))


@bp.post("/clients")
@requires(Permission.CLIENTS)
@bp.arguments(TenantQuerySchema, location="query")
@bp.arguments(NewClientSchema)
@bp.response(201, ClientSchema)
@bp.alt_response(409, "CONFLICT")
def create_client(query: Members, body: Members) -> clients.ClientView:
    """Create a service account; its secret is in the answer, once."""
    grants = body.pop("scope")
    return clients.create_client(current_platform(), _scope(query), grants=grants, **body)


@bp.delete("/clients/<string:client_id>")
@requires(Permission.CLIENTS)
@bp.arguments(TenantQuerySchema, location="query")
@bp.response(204)
def revoke_client(query: Members, client_id: str) -> None:
    """Revoke a service account and its tokens at once."""
    clients.revoke_client(current_platform(), _scope(query), client_id)


@bp.get("/limits")
@is_tagged
@requires(Permission.LIMITS_READ)
@bp.arguments(TenantQuerySchema, location="query")
@bp.response(200, LimitsSchema)
def show_limits(query: Members) -> plans.LimitsView:
    """Show the limits in force for the tenant and its models."""
    limits = plans.show_limits(current_platform(), _scope(query))
    shown(limits.state)
    return limits


@bp.patch("/limits")
@heeds_conditions
@requires(Permission.LIMITS_WRITE)
@bp.arguments(TenantQuerySchema, location="query")
@bp.arguments(LimitsChangeSchema)
@bp.response(200, LimitsSchema)
def set_limits(query: Members, body: Members) -> plans.LimitsView:
    """Set limits of a tenant or of one model; for operators."""
    return plans.set_limits(
        current_platform(),
        _scope(query),
        model=body.get("model"),
        values=body["limits"],
        expected=expected(),
    )


@bp.get("/usage")
@requires(Permission.USAGE)
@bp.arguments(UsageQuerySchema, location="query")
@bp.response(200, UsageSchema(many=True))
def show_usage(query: Members) -> Any:
    """Show what the tenant consumed, a page at a time: requests, rows and compute time."""
    page = usage.list_usage(
        current_platform(),
        _scope(query),
        since=query.get("since"),
        until=query.get("until"),
        by=query["by"],
        **_paging(query),
    )
    return linked(page)


@bp.get("/audit")
@requires(Permission.AUDIT)
@bp.arguments(TenantPageSchema, location="query")
@bp.response(200, AuditSchema(many=True))
def list_audit(query: Members) -> Any:
    """List the tenant's audit records, the newest first, a page at a time."""
    return linked(audit.list_records(current_platform(), _scope(query), **_paging(query)))


def _scope(query: Members) -> Scope:
    return tenants.scope_for(current_platform(), current_scope(), query.get("tenant"))


def _paging(query: Members) -> Members:
    found = paging(query)
    return {"cursor": found.get("cursor"), "limit": found["limit"]}
