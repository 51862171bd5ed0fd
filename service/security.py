"""Who is calling, and whether this endpoint is theirs: decided before any view runs.

Every view carries `@requires(...)` or `@public`; one that carries neither is refused. Access
tokens are verified by `auth.tokens`; flask-jwt-extended binds that to the request, and a verified
token is remembered under the epoch until it expires (architecture.md, invariant 3).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar, cast

import flask
import structlog
from flask import g, request
from flask_jwt_extended import JWTManager, get_current_user, verify_jwt_in_request

from auth.errors import TokenRefused
from auth.permissions import PER_MODEL, Permission
from auth.scope import Scope
from config.epoch import EpochCache
from service.bootstrap import Caller, Platform
from service.errors import ClientRefused, CredentialsAmbiguous, CredentialsMissing
from service.operations import identity
from service.spools import UPLOAD, Upload

EXTENSION: Final = "sallyport"
SCOPE: Final = "sallyport.scope"
CERTIFICATE: Final = "sallyport.client_certificate"  # set by the mutual-TLS listener alone
# RFC 9110, section 5.3: of a repeated header a server may hand over one, joined by commas.
SEVERAL: Final = re.compile(r"(bearer|basic) [^,]*,.*", re.IGNORECASE)  # one space: linear
BEARER: Final = re.compile(r"bearer +([^\s,]+) *", re.IGNORECASE)

View = TypeVar("View", bound=Callable[..., Any])
Credential = TypeVar("Credential", str, bytes)
log = structlog.get_logger("sallyport.security")


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call an endpoint: anyone, or whoever has the permission."""

    permission: Permission | None


PUBLIC: Final = Access(None)


def public(view: View) -> View:
    """Open an endpoint to everybody."""
    view.access = PUBLIC  # type: ignore[attr-defined]
    return view


def requires(permission: Permission) -> Callable[[View], View]:
    """Open an endpoint to principals that have the permission, on the model in its path if any."""

    def mark(view: View) -> View:
        view.access = Access(permission)  # type: ignore[attr-defined]
        return view

    return mark


def accepts_basic(view: View) -> View:
    """Let service accounts prove themselves to an endpoint by identifier and secret, too.

    For clients that know no tokens; elsewhere Basic credentials are none.
    """
    view.accepts_basic = True  # type: ignore[attr-defined]
    return view


def register(app: flask.Flask, platform: Platform) -> None:
    """Put authentication and authorisation in front of every endpoint of the application."""
    app.extensions[EXTENSION] = platform
    app.config.update(
        JWT_ALGORITHM=platform.settings.signing_algorithm,
        JWT_TOKEN_LOCATION=["headers"],
        JWT_DECODE_ISSUER=platform.settings.issuer,
        JWT_DECODE_AUDIENCE=platform.settings.audience,
    )
    manager = StrictJWTManager(app, platform=platform)
    manager.user_lookup_loader(lambda _header, claims: claims[SCOPE])


def current_platform() -> Platform:
    """The platform behind the application that handles this request."""
    return cast(Platform, flask.current_app.extensions[EXTENSION])  # noqa: TID251


def current_scope() -> Scope:
    """The scope of this request's principal; only behind `@requires`."""
    return cast(Scope, g.scope)


def standing_scope() -> Callable[[], Scope]:
    """What tells at any later time whose this request's credential is, and raises as it would then.

    For answers that go on while credentials run out, and accounts change.
    """
    platform, certificate = current_platform(), request.environ.get(CERTIFICATE)
    if certificate is not None:
        return partial(identity.identify_certificate, platform, certificate)
    return partial(identity.identify, platform, bearer_token() or "")


def authenticated_scope() -> Scope:
    """The caller's scope on an endpoint that is public because it takes several credentials."""
    g.scope = g.scope or _authenticate()
    return cast(Scope, g.scope)


def recognise() -> None:
    """Remember who is calling if the credential was verified before; after a change, verify anew.

    Whoever was known stays so until refused: counted by address after every change, the callers
    behind one address would be locked out by whoever makes enough changes.
    """
    platform = current_platform()
    certificate, token = request.environ.get(CERTIFICATE), bearer_token()
    g.scope = _admitted(platform, request.environ.get(UPLOAD))
    if g.scope is not None:
        return
    if certificate is None and token is not None:
        g.scope = _recognise_bearer(platform, token)
    elif certificate is None and (basic := _basic_here()) is not None:
        g.scope = _recognise_basic(platform, *basic)
    elif certificate is not None and "Authorization" not in request.headers:
        known = platform.caches.certified
        g.scope = _recognised(platform, known, certificate, identity.identify_certificate)


def recognise_credential(platform: Platform, authorization: str) -> Scope | None:
    """The scope of a bearer token or of Basic credentials, if they were verified before.

    After a change that concerns them they are verified anew.
    """
    token, basic = bearer_token(authorization), basic_credentials(authorization)
    if basic is not None:
        return _recognise_basic(platform, *basic)
    return _recognise_bearer(platform, token) if token else None


def is_remembered(platform: Platform, authorization: str) -> bool:
    """Whether the credential was ever verified, be it before a change; touches no store."""
    token, basic = bearer_token(authorization), basic_credentials(authorization)
    if basic is not None:
        key = identity.credential_key(platform, *basic)
        return platform.caches.basics.remembers(key)
    return token is not None and platform.caches.callers.remembers(token)


def known_scope(platform: Platform, authorization: str) -> Scope | None:
    """The scope of a credential that was verified in this epoch, if it was."""
    token, basic = bearer_token(authorization), basic_credentials(authorization)
    if basic is not None:
        known = platform.caches.basics.get(identity.credential_key(platform, *basic))
    else:
        known = platform.caches.callers.get(token) if token else None
    return known.scope if known else None


def _recognise_bearer(platform: Platform, token: str) -> Scope | None:
    return _recognised(platform, platform.caches.callers, token, identity.identify)


def _recognise_basic(platform: Platform, client_id: str, secret: str) -> Scope | None:
    key = identity.credential_key(platform, client_id, secret)
    known = platform.caches.basics
    return _recognised(
        platform, known, key, lambda *_: identity.identify_basic(platform, client_id, secret)
    )


def takes_basic() -> bool:
    """Whether the endpoint of this request takes Basic credentials beside tokens."""
    view = flask.current_app.view_functions.get(request.endpoint or "")  # noqa: TID251
    return getattr(view, "accepts_basic", False)


def _basic_here() -> tuple[str, str] | None:
    """The Basic credentials of the request, where its endpoint takes them."""
    return basic_credentials() if takes_basic() else None


def _admitted(platform: Platform, upload: Upload | None) -> Scope | None:
    """Who was admitted with this upload, if nothing that concerns them changed meanwhile.

    A token that ran out while the body arrived is as good as it was when the request was made.
    """
    if upload is None:
        return None
    if upload.admission is None:
        upload.seen = platform.epoch.current()
        return None
    scope = upload.admission.scope
    return scope if platform.epoch.newest(scope.tenant_id) <= upload.seen else None


def _recognised(
    platform: Platform,
    known: EpochCache[Credential, Caller],
    credential: Credential,
    identify: Callable[[Platform, Credential], Scope],
) -> Scope | None:
    caller = known.get(credential)
    if caller is not None:
        return caller.scope
    if not known.remembers(credential):
        return None
    try:
        return identify(platform, credential)
    except (TokenRefused, ClientRefused):
        known.forget(credential)  # from now on it counts as a stranger's
        return None


def authorise() -> None:
    """Let the request through to its view, or refuse it."""
    if request.endpoint is None:
        return  # 404 and 405 are the router's to say
    access = access_of(flask.current_app, request.endpoint)  # noqa: TID251
    if access is None:
        log.error("endpoint without an access rule", endpoint=request.endpoint)
        flask.abort(404)
    _refuse_ambiguity()
    if access.permission is None:
        return
    g.scope = g.scope or _authenticate()
    require(g.scope, access.permission, (request.view_args or {}).get("model"))


def access_of(app: flask.Flask, endpoint: str) -> Access | None:
    """The access rule that the endpoint's view carries."""
    return getattr(app.view_functions.get(endpoint), "access", None)


def basic_credentials(authorization: str | None = None) -> tuple[str, str] | None:
    """The identifier and secret of Basic credentials (RFC 7617), by default the request's."""
    if authorization is None:
        authorization = request.headers.get("Authorization", "")
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(rest.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    name, separator, word = decoded.partition(":")
    return (name, word) if separator else None


def bearer_token(authorization: str | None = None) -> str | None:
    """The bearer token of an Authorization header, by default the request's; any case."""
    if authorization is None:
        authorization = request.headers.get("Authorization", "")
    match = BEARER.fullmatch(authorization)
    return match[1] if match else None


def require(scope: Scope, permission: Permission, model: str | None) -> None:
    """Raise PermissionMissing unless the scope has the permission, on the model if one is named."""
    # Without a model in the path the operation checks the one that the body names.
    held = {grant.permission for grant in scope.principal.grants}
    if permission in PER_MODEL and model is None and permission in held:
        return
    scope.require(permission, model)


def _authenticate() -> Scope:
    certificate = request.environ.get(CERTIFICATE)
    if certificate is not None:
        return identity.identify_certificate(current_platform(), certificate)
    basic = _basic_here()
    if basic is not None:
        return identity.identify_basic(current_platform(), *basic)
    token = bearer_token()
    if token is None:
        raise CredentialsMissing(basic=takes_basic())
    request.environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"  # as flask-jwt-extended spells it
    verify_jwt_in_request(locations=["headers"])
    return cast(Scope, get_current_user())


def _refuse_ambiguity() -> None:
    # RFC 6750, section 5.3: addresses end up in logs and histories.
    if "access_token" in request.args:
        raise CredentialsAmbiguous("a token may not be part of the address")
    if SEVERAL.fullmatch(request.headers.get("Authorization", "")):
        raise CredentialsAmbiguous("send one Authorization header")
    if CERTIFICATE in request.environ and "Authorization" in request.headers:
        raise CredentialsAmbiguous("send a client certificate or an Authorization header, not both")


class StrictJWTManager(JWTManager):
    """flask-jwt-extended with our reader of tokens in place of its own.

    Its own asks for header and key separately, accepts tokens without `exp` or `jti`, and answers
    500 when a key is missing (security.md, section 1). tests/service/test_security.py pins the
    method that this replaces.
    """

    def __init__(self, app: flask.Flask, *, platform: Platform) -> None:
        self._platform = platform
        super().__init__(app)

    def _decode_jwt_from_config(
        self, encoded_token: str, csrf_value: str | None = None, allow_expired: object = None
    ) -> dict[str, Any]:
        scope = identity.identify(self._platform, encoded_token)
        return {"sub": scope.principal.id, "type": "access", SCOPE: scope}
