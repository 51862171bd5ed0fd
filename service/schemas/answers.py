"""The shape of what everybody may ask: keys, metadata, health, and every refusal."""

from __future__ import annotations

from typing import Any, Final

from marshmallow import fields

from auth.permissions import Permission
from service.problems import URN
from service.schemas import (
    AnswerSchema,
    address,
    anything,
    choice,
    prose,
    several,
    spelled,
    text,
    whole,
)

REQUEST_ID: Final = r"[0-9a-f]{16,32}"
METHODS: Final = ["client_secret_basic", "client_secret_post"]
MOST_FAULTS: Final = 100


class KeySetSchema(AnswerSchema):
    """A set of public keys (RFC 7517)."""

    keys = several(anything("A public key.", most=20), "All that may be met.", required=True)


def _words(known: list[str], description: str) -> fields.List[Any]:
    return several(choice(known, "One of them."), description, most=len(known), required=True)


class MetadataSchema(AnswerSchema):
    """What OAuth 2.0 software asks about an authorization server (RFC 8414)."""

    issuer = address("Who makes the tokens.", required=True)
    token_endpoint = address("Gives tokens.", required=True)
    revocation_endpoint = address("Ends tokens.", required=True)
    introspection_endpoint = address("Tells what a token is.", required=True)
    jwks_uri = address("The public keys.", required=True)
    service_documentation = address("A page for people.", required=True)
    grant_types_supported = _words(["client_credentials", "refresh_token"], "Grants.")
    response_types_supported = several(
        text(64, "None: nobody is redirected."), "Empty.", most=1, required=True
    )
    scopes_supported = _words([str(permission) for permission in Permission], "Permissions.")
    token_endpoint_auth_methods_supported = _words(METHODS, "How accounts prove themselves.")
    revocation_endpoint_auth_methods_supported = _words(METHODS, "The same.")
    introspection_endpoint_auth_methods_supported = _words(METHODS, "The same.")


class DocumentSchema(AnswerSchema):
    """An OpenAPI document."""

    openapi = spelled(r"3\.1\.[0-9]+", 16, "The version of OpenAPI.", required=True)
    info = anything("What it describes.", required=True)
    jsonSchemaDialect = address("The dialect of its schemas.")  # noqa: N815
    servers = several(anything("A server."), "Where the API is.", required=True)
    security = several(anything("A way to identify oneself."), "What most calls need.")
    tags = several(anything("A group of calls."), "How calls are grouped.")
    paths = anything("Every call.", required=True)
    components = anything("What calls have in common.", required=True)


class LiveSchema(AnswerSchema):
    """The process answers."""

    status = fields.Constant("live", required=True, metadata={"type": "string", "enum": ["live"]})


def _checks(description: str, **options: Any) -> fields.Dict:
    metadata = {"description": description, "maxProperties": 100}
    state = text(64, "ok or failing; of the sandbox its level.")
    return fields.Dict(keys=fields.String(), values=state, metadata=metadata, **options)


class ReadySchema(AnswerSchema):
    """Everything that predictions stand on answers."""

    status = choice(["ready"], "Always ready; else the answer is a problem.", required=True)
    checks = _checks("What was looked at.", required=True)


class FaultSchema(AnswerSchema):
    """What is wrong with one field."""

    pointer = prose("The field's path (RFC 6901); empty for the whole.", most=2048)
    detail = prose("What is wrong with it.")


class ProblemSchema(AnswerSchema):
    """A refusal (RFC 9457)."""

    type = spelled(f"{URN}[a-z-]+", 100, "Stable name of the kind.", required=True)
    title = prose("The kind, for people.", most=200, required=True)
    status = whole("The HTTP status.", least=400, most=599, required=True)
    request_id = spelled(REQUEST_ID, 32, "As the log has it.", required=True)
    detail = prose("What is wrong here, and what to do about it.")
    errors = several(fields.Nested(FaultSchema), "Each bad field by its path.", most=MOST_FAULTS)
    error = spelled(r"[a-z_]+", 64, "The OAuth 2.0 error code, where one fits.")
    error_description = prose("The title once more, where there is an `error`.", most=200)
    violated_policies = several(
        spelled(r"[a-z_]+", 64, "A limit."), "The limits that are reached.", most=20
    )
    checks = _checks("What is not ready.")
    job = spelled(r"job_[0-9a-f]+", 64, "The intake job that refused a model.")


class ErrorSchema(AnswerSchema):
    """A refusal as clients of the Open Inference Protocol and of TF Serving know it."""

    error = prose("What is wrong, and what to do about it.", required=True)


class MlflowErrorSchema(AnswerSchema):
    """A refusal as clients of MLflow know it."""

    error_code = spelled(r"[A-Z_]+", 64, "Stable name of the kind.", required=True)
    message = prose("What is wrong, and what to do about it.", required=True)
