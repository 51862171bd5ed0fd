"""The OpenAPI document of the whole surface: what views declare, and what holds for them all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

import flask
from flask_smorest import Api, Blueprint

from config.settings import Settings
from service.description.access import security_of
from service.description.examples import add_examples
from service.description.forms import Forms
from service.description.headers import HEADERS, headers_of
from service.description.operations import Operation, rules_of
from service.description.parameters import path_parameter
from service.description.refusals import problems_of
from service.description.request_headers import request_headers
from service.schemas import MOST_LISTED
from service.schemas.answers import ErrorSchema, MlflowErrorSchema, ProblemSchema
from service.schemas.predictions import prediction_schemas
from service.wording import Wordings

Document = dict[str, Any]
VERBS: Final = ("get", "put", "post", "delete", "patch")
OF_DIALECTS: Final = {"Error": ErrorSchema, "MlflowError": MlflowErrorSchema}


class DescribedApi(Api):  # type: ignore[misc]
    """flask-smorest, whose document says of every call what holds for all of them."""

    ERROR_SCHEMA = ProblemSchema

    def __init__(self, app: flask.Flask, settings: Settings, wordings: Wordings) -> None:
        self._wordings = wordings
        self._described: list[Blueprint] = []
        super().__init__(app, spec_kwargs=_about(settings))
        self.ma_plugin.converter.add_attribute_function(_property_names)
        for name, schema in OF_DIALECTS.items():
            self.spec.components.schema(name, schema=schema)
        for name, described in prediction_schemas(settings).items():
            self.spec.components.schema(name, described)

    def register_blueprint(self, blueprint: Blueprint) -> None:
        """Route what a blueprint holds, which is described when that is first asked for.

        To describe it takes longer than to route it, and few processes are ever asked.
        """
        self._app.extensions["flask-smorest"]["blp_name_to_api"][blueprint.name] = self
        self._app.register_blueprint(blueprint)
        self._described.append(blueprint)

    @cached_property
    def document(self) -> Document:
        """The whole document, made when it is first asked for."""
        self._describe_views()
        document: Document = self.spec.to_dict()
        forms, rules = Forms(self._wordings), rules_of(self._app)
        for path, item in document["paths"].items():
            for verb in VERBS:
                if verb in item:
                    operation = Operation.of(self._app, rules[path, verb], item[verb])
                    with self._app.test_request_context(operation.sample, method=verb):
                        _complete(operation, forms)  # some word a refusal by what was asked
            _limit_path(path, item)
        document["components"] |= {"headers": HEADERS, "responses": forms.responses()}
        return document

    def _describe_views(self) -> None:
        for blueprint in self._described:
            blueprint.register_views_in_doc(
                self, self._app, self.spec, name=blueprint.name, parameters=None
            )
            self.spec.tag({"name": blueprint.name, "description": blueprint.description})

    def _register_error_handlers(self) -> None:
        """Leave the handlers of service.faults in place."""

    def _register_etag_headers(self) -> None:
        """Have none but our own."""

    def _register_pagination_header(self) -> None:
        """Have none: the next page's address is in a Link header."""


def _complete(operation: Operation, forms: Forms) -> None:
    """Say of one operation who may call it, and everything that it may answer."""
    described = operation.described
    described["operationId"] = operation.rule.endpoint.replace(".", "-")
    described |= security_of(operation)
    failures = forms.failures(operation.sample, problems_of(operation))
    if operation.is_tagged:
        described["responses"]["304"] = {"description": "Still in a state that was named."}
    # What a view describes itself, and does not leave to the name of a status, it answers itself.
    own = {s: a for s, a in described["responses"].items() if "$ref" not in a}
    for status, answer in own.items():
        answer["headers"] = headers_of(operation, int(status)) | answer.get("headers", {})
        _limit_lists(answer)
    described["responses"] = dict(sorted((failures | own).items()))
    described.setdefault("parameters", []).extend(request_headers(operation))
    add_examples(described)


def _limit_path(path: str, item: Document) -> None:
    for parameter in item.get("parameters", ()):
        if parameter["in"] == "path":
            parameter |= path_parameter(path, parameter["name"])


def _limit_lists(answer: Document) -> None:
    for media in answer.get("content", {}).values():
        if media["schema"].get("type") == "array":
            media["schema"].setdefault("maxItems", MOST_LISTED)


def _property_names(_converter: object, field: Any, **_: Any) -> Mapping[str, Any]:
    """What members of an object may be called; apispec has no word for it."""
    known = field.metadata.get("propertyNames")
    return {"propertyNames": known} if known else {}


def _about(settings: Settings) -> Document:
    bearer = {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token after RFC 9068, verified after RFC8725. The words beside "
        "it are the permission that the token has to hold.",
    }
    basic = {"type": "http", "scheme": "basic", "description": "Of a service account (RFC 6749)."}
    schemes = {"bearer": bearer, "basic": basic}
    return {
        "info": {
            "description": "A secured, multi-tenant prediction platform.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "contact": {"name": "Whoever operates this installation", "url": settings.url},
        },
        "servers": [
            {
                "url": settings.url,
                "description": "This installation, be it for production or a test.",
                "x-internal": False,
            }
        ],
        "components": {"securitySchemes": schemes},
        "security": [{"bearer": []}],
    }
