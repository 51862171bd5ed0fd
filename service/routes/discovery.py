"""What other software reads to find its way: keys and endpoints (RFC 7517, RFC 8414)."""

from __future__ import annotations

from typing import Any

import flask

from auth.permissions import Permission
from service.operations import keys
from service.parsing import Blueprint
from service.schemas.answers import KeySetSchema, MetadataSchema
from service.security import current_platform, public

bp = Blueprint("discovery", __name__, url_prefix="/.well-known", description="Discovery.")


@bp.get("/jwks.json")
@bp.alt_response(200, schema=KeySetSchema, success=True)
@public
def jwks() -> flask.Response:
    """Publish the verification keys; the max-age is the one that rotation waits for."""
    platform = current_platform()
    response = flask.jsonify(keys.published(platform))
    response.headers["Cache-Control"] = f"public, max-age={platform.settings.jwks_max_age}"
    return response


@bp.get("/oauth-authorization-server")
@bp.response(200, MetadataSchema)
@public
def metadata() -> dict[str, Any]:
    """Describe the token endpoints to OAuth 2.0 software."""
    settings = current_platform().settings
    methods = ["client_secret_basic", "client_secret_post"]
    return {
        "issuer": settings.issuer,
        "token_endpoint": f"{settings.url}/auth/token",
        "revocation_endpoint": f"{settings.url}/auth/revoke",
        "introspection_endpoint": f"{settings.url}/auth/introspect",
        "jwks_uri": f"{settings.url}/.well-known/jwks.json",
        "service_documentation": f"{settings.url}/docs",
        "grant_types_supported": ["client_credentials", "refresh_token"],
        "response_types_supported": [],
        "scopes_supported": [str(permission) for permission in Permission],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": methods,
    }
