"""The OpenAPI document and an interactive page, every asset of it served from here."""

from __future__ import annotations

from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import flask
from flask_smorest import current_api

from auth.errors import PermissionMissing
from auth.permissions import Permission
from models.errors import ModelsError
from models.names import read_reference
from models.requests.worked import Worked
from models.versions import Version
from service import visiting
from service.model_documents.document import document_of
from service.model_documents.examples import worked_example
from service.model_documents.facts import Facts
from service.operations import resolution
from service.parsing import Blueprint
from service.schemas import TEXT
from service.schemas.answers import DocumentSchema
from service.schemas.models import ReferenceQuerySchema
from service.security import current_platform, current_scope, public, requires
from service.visits import NATIVE

bp = Blueprint("documentation", __name__, description="The API's own description.")

ASSETS: Final = ("swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js")
PAGE: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Sallyport API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css"></head>
<body><div id="api"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/page.js"></script></body>
</html>
"""
SCRIPT: Final = """SwaggerUIBundle({url: "/openapi.json", dom_id: "#api", deepLinking: true,
  validatorUrl: null, persistAuthorization: false});
"""
# Swagger UI sets styles from its script and embeds its icons as data: addresses.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


@bp.get("/openapi.json")
@bp.alt_response(200, schema=DocumentSchema, success=True)
@public
def openapi() -> flask.Response:
    """Give the OpenAPI 3.1 document of the whole API."""
    return flask.jsonify(current_api.document)


@bp.get("/models/<string:model>/openapi.json")
@bp.arguments(ReferenceQuerySchema, location="query")
@bp.alt_response(200, schema=DocumentSchema, success=True)
@requires(Permission.PREDICT)
def openapi_of_model(query: dict[str, Any], model: str) -> flask.Response:
    """Give the OpenAPI 3.1 document of one model: its own columns, methods and classes."""
    reference = read_reference(query.get("version"))
    plan = resolution.plan(current_platform(), current_scope(), model, reference)
    version = plan.versions[0]
    facts = Facts(
        model=model,
        number=version.number,
        reference=reference,
        is_default=_is_default(model),
        signature=version.signature,
        bounds=current_platform().bounds,
        worked=_worked(version),
    )
    return flask.jsonify(document_of(facts, current_api.document))


@bp.get("/docs")
@bp.alt_response(200, schema=TEXT, content_type="text/html", success=True)
@public
def page() -> flask.Response:
    """Show the interactive page."""
    response = flask.Response(PAGE, mimetype="text/html")
    response.headers["Content-Security-Policy"] = POLICY
    return response


@bp.get("/docs/<string:asset>")
@bp.alt_response(200, schema=TEXT, content_type="text/javascript", success=True)
@bp.alt_response(200, schema=TEXT, content_type="text/css", success=True)
@public
def asset(asset: str) -> flask.Response:
    """Serve one of the page's own scripts and styles."""
    if asset == "page.js":
        return flask.Response(SCRIPT, mimetype="text/javascript")
    if asset not in ASSETS:
        flask.abort(404)
    folder = Path(str(files("flask_swagger_ui"))) / "dist"
    return flask.send_from_directory(folder, asset, max_age=3600)


def _is_default(model: str) -> bool:
    """Whether calls that name no model are this one's."""
    with suppress(ModelsError, PermissionMissing):
        plan = resolution.plan(current_platform(), current_scope(), None, None)
        return bool(plan.versions[0].model == model)
    return False


def _worked(version: Version) -> Worked:
    """The version's worked example; made once, as it costs a prediction."""
    visit = visiting.visit_of(NATIVE)
    try:
        return visit.platform.caches.worked.fetch(
            version.id, lambda: worked_example(visit, version)
        )
    finally:
        flask.g.policies = visit.policies or flask.g.get("policies", ())
