"""Logging in and what follows: tokens, their end, passwords, the second factor."""

from __future__ import annotations

from typing import Any, Final

import flask

from auth.permissions import Permission
from auth.scope import Scope
from service.errors import ClientRefused, CredentialsAmbiguous, GrantUnsupported, InputMalformed
from service.limits import client_address
from service.operations import accounts, identity, sessions
from service.parsing import Blueprint
from service.schemas.accounts import (
    GrantSchema,
    IntrospectionSchema,
    LoginSchema,
    OtpChangeSchema,
    OtpSchema,
    PasswordChangeSchema,
    RefreshSchema,
    TokenReferenceSchema,
    TokenSchema,
)
from service.security import (
    CERTIFICATE,
    authenticated_scope,
    basic_credentials,
    current_platform,
    current_scope,
    public,
    requires,
)

bp = Blueprint("auth", __name__, url_prefix="/auth", description="Tokens and accounts.")

Members = dict[str, Any]
CLIENT: Final[list[dict[str, list[str]]]] = [
    {"basic": []},
    {},
]  # or in the form, where OpenAPI knows no credentials


@bp.post("/login")
@public
@bp.arguments(LoginSchema)
@bp.response(200, TokenSchema)
@bp.alt_response(401, "UNAUTHORIZED")
@bp.alt_response(503, "SERVICE_UNAVAILABLE")
def login(body: Members) -> sessions.Tokens:
    """Exchange a tenant, username and password for a token pair."""
    return sessions.login(current_platform(), **body, address=client_address())


@bp.post("/refresh")
@public
@bp.arguments(RefreshSchema)
@bp.response(200, TokenSchema)
@bp.alt_response(401, "UNAUTHORIZED")
def refresh(body: Members) -> sessions.Tokens:
    """Exchange a refresh token for a new pair; the old one is spent."""
    return sessions.refresh(current_platform(), body["refresh_token"])


@bp.post("/logout")
@requires(Permission.ACCOUNT)
@bp.response(204)
def logout() -> None:
    """End the session: its access and refresh tokens are refused from now on."""
    sessions.logout(current_platform(), current_scope())


@bp.post("/token")
@bp.doc(security=CLIENT)
@public
@bp.arguments(GrantSchema, location="form")
@bp.response(200, TokenSchema)
@bp.alt_response(401, "UNAUTHORIZED")
def token(form: Members) -> sessions.Tokens:
    """Give a service account a token, or refresh one (OAuth 2.0, RFC 6749)."""
    client = _client(form)
    if form["grant_type"] == "refresh_token":
        return sessions.refresh(current_platform(), _required(form, "refresh_token"))
    if form["grant_type"] != "client_credentials":
        raise GrantUnsupported(form["grant_type"])
    if client is None:
        raise ClientRefused
    return sessions.grant(current_platform(), client, form.get("scope"))


@bp.post("/revoke")
@bp.doc(security=CLIENT)
@bp.alt_response(200, success=True, description="The token is not valid any more.")
@bp.alt_response(401, "UNAUTHORIZED")
@public
@bp.arguments(TokenReferenceSchema, location="form")
def revoke(form: Members) -> flask.Response:
    """End a token (RFC 7009): whoever holds it may, a service account must prove itself."""
    sessions.revoke(current_platform(), form["token"], _client(form))
    return flask.Response(mimetype="text/plain")


@bp.post("/introspect")
@bp.doc(security=[{"bearer": []}, *CLIENT])
@public
@bp.arguments(TokenReferenceSchema, location="form")
@bp.response(200, IntrospectionSchema)
@bp.alt_response(401, "UNAUTHORIZED")
def introspect(form: Members) -> Members:
    """Tell the caller what a token of its own is (RFC 7662)."""
    scope = _client(form) or authenticated_scope()
    return sessions.introspect(current_platform(), scope, form["token"])


@bp.post("/password")
@requires(Permission.ACCOUNT)
@bp.arguments(PasswordChangeSchema)
@bp.response(204)
def password(body: Members) -> None:
    """Change one's own password; every session of the user ends."""
    accounts.change_password(current_platform(), current_scope(), client_address(), **body)


@bp.post("/otp")
@requires(Permission.ACCOUNT)
@bp.arguments(OtpChangeSchema)
@bp.response(200, OtpSchema)
@bp.alt_response(409, "CONFLICT")
def otp(body: Members) -> accounts.OtpState:
    """Enrol, confirm or remove one's own second factor."""
    return accounts.change_otp(current_platform(), current_scope(), client_address(), **body)


def _client(form: Members) -> Scope | None:
    """The service account whose credentials the request carries, if it carries any."""
    basic, named = basic_credentials(), "client_id" in form or "client_secret" in form
    request = flask.request
    if named and ("Authorization" in request.headers or CERTIFICATE in request.environ):
        raise CredentialsAmbiguous("send credentials once: a certificate, the header or the form")
    credentials = (form.get("client_id", ""), form.get("client_secret", "")) if named else basic
    return identity.identify_client(current_platform(), *credentials) if credentials else None


def _required(form: Members, name: str) -> str:
    if name not in form:
        raise InputMalformed({f"/{name}": "missing"})
    return str(form[name])
