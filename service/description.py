"""The OpenAPI document: what all operations have in common, read off the rules that they obey."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import flask
from apispec import BasePlugin
from flask_smorest import Api
from werkzeug.routing import Rule

from config.settings import Settings
from service.errors import MEDIA_TYPE
from service.schemas.answers import ProblemSchema
from service.security import access_of

OF_BODIES: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
)


class ProblemApi(Api):  # type: ignore[misc]
    """flask-smorest with our error form in place of its own."""

    ERROR_SCHEMA = ProblemSchema

    def __init__(self, app: flask.Flask, settings: Settings) -> None:
        plugin = AccessPlugin(app)
        super().__init__(app, spec_kwargs={**_about(settings), "extra_plugins": [plugin]})

    def _register_error_handlers(self) -> None:
        """Leave the handlers of service.faults in place."""

    def _register_responses(self) -> None:
        """Describe every refusal as a problem document; its own are described as plain JSON."""
        named = [(status.name, status.phrase) for status in HTTPStatus]
        for name, phrase in [*named, ("DEFAULT_ERROR", "A refusal or a fault.")]:
            content = {MEDIA_TYPE: {"schema": self.ERROR_SCHEMA}}
            response = {"description": phrase, "content": content}
            self.spec.components.response(name, response, lazy=True)


class AccessPlugin(BasePlugin):
    """Says of each operation who may call it, and which refusals its rules lead to."""

    def __init__(self, app: flask.Flask) -> None:
        self._app = app

    def operation_helper(
        self,
        path: str | None = None,
        operations: dict[str, Any] | None = None,
        *,
        rule: Rule | None = None,
        **_: Any,
    ) -> None:
        """Complete the operations of one path."""
        assert rule is not None, "every path comes from the URL map"
        access = access_of(self._app, rule.endpoint)
        for operation in (operations or {}).values():
            operation.setdefault("operationId", rule.endpoint.replace(".", "-"))
            if access is None or access.permission is None:
                operation.setdefault("security", [])
            else:
                operation["x-permission"] = str(access.permission)
            for status in _refusals(rule, operation):
                operation["responses"].setdefault(status.value, status.name)


def _refusals(rule: Rule, operation: dict[str, Any]) -> list[HTTPStatus]:
    refusals = [HTTPStatus.TOO_MANY_REQUESTS]
    if "security" not in operation:
        refusals += [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN]
    if rule.arguments:
        refusals.append(HTTPStatus.NOT_FOUND)
    return [*refusals, *OF_BODIES] if "requestBody" in operation else refusals


def _about(settings: Settings) -> dict[str, Any]:
    bearer = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    basic = {"type": "http", "scheme": "basic", "description": "Of a service account."}
    return {
        "info": {
            "description": "A secured, multi-tenant prediction platform.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": settings.url}],
        "components": {"securitySchemes": {"bearer": bearer, "basic": basic}},
        "security": [{"bearer": []}],
    }
