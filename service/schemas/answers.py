"""The shape of what everybody may ask: keys, metadata, health, and every refusal."""

from __future__ import annotations

from marshmallow import Schema, fields

from service.schemas import AnswerSchema


class KeySetSchema(AnswerSchema):
    """A set of public keys (RFC 7517)."""

    keys = fields.List(fields.Dict(), required=True)


class MetadataSchema(AnswerSchema):
    """What OAuth 2.0 software asks about an authorization server (RFC 8414)."""

    issuer = fields.String(required=True)
    token_endpoint = fields.String(required=True)
    revocation_endpoint = fields.String(required=True)
    introspection_endpoint = fields.String(required=True)
    jwks_uri = fields.String(required=True)
    service_documentation = fields.String(required=True)
    grant_types_supported = fields.List(fields.String(), required=True)
    response_types_supported = fields.List(fields.String(), required=True)
    scopes_supported = fields.List(fields.String(), required=True)
    token_endpoint_auth_methods_supported = fields.List(fields.String(), required=True)
    revocation_endpoint_auth_methods_supported = fields.List(fields.String(), required=True)
    introspection_endpoint_auth_methods_supported = fields.List(fields.String(), required=True)


class DocumentSchema(AnswerSchema):
    """An OpenAPI document."""

    openapi = fields.String(required=True)
    info = fields.Dict(required=True)
    paths = fields.Dict(required=True)


class LiveSchema(AnswerSchema):
    """The process answers."""

    status = fields.Constant("live", required=True)


class ReadySchema(AnswerSchema):
    """Everything that predictions stand on answers."""

    status = fields.String(required=True)
    checks = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


class ProblemSchema(AnswerSchema):
    """A refusal (RFC 9457)."""

    type = fields.String(required=True, metadata={"description": "Stable name of the kind."})
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    request_id = fields.String(required=True)
    detail = fields.String()
    errors = fields.List(
        fields.Nested(Schema.from_dict({"pointer": fields.String(), "detail": fields.String()})),
        metadata={"description": "Each bad field by its path."},
    )
    error = fields.String(metadata={"description": "The OAuth 2.0 error code, where one fits."})
    error_description = fields.String()
    violated_policies = fields.List(fields.String())
    checks = fields.Dict(keys=fields.String(), values=fields.String())
    job = fields.String(metadata={"description": "The intake job that refused a model."})
