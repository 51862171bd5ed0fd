"""The shape of what goes in and out: a strict base and one schema per message."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from marshmallow import RAISE, Schema, fields, post_dump, validate

from auth.permissions import Role

NAME: Final = validate.Regexp(
    r"\A[a-z0-9][a-z0-9_.-]{0,62}\Z", error="not a name: a-z, 0-9, _ . -, at most 63"
)
ROLES: Final = validate.OneOf([role.value for role in Role])
FIRST_DAY: Final = validate.Range(min=date(2000, 1, 1), error="not a day since 2000-01-01")


class StrictSchema(Schema):
    """Refuses what it does not declare; keeps the declared order."""

    class Meta:
        unknown = RAISE


class AnswerSchema(Schema):
    """Leaves out what is not there, instead of saying null."""

    @post_dump
    def leave_out(self, members: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Drop absent members."""
        return {name: member for name, member in members.items() if member is not None}


def text(most: int, description: str, **options: Any) -> fields.String:
    """A string of 1 to `most` characters."""
    return fields.String(
        validate=validate.Length(min=1, max=most),
        metadata={"description": description},
        **options,
    )


def secret(description: str, **options: Any) -> fields.String:
    """A password or the like: read, never written."""
    return text(1024, description, load_only=True, **options)


class LoginSchema(StrictSchema):
    """What a person logs in with."""

    tenant = text(64, "The tenant's name.", required=True)
    username = text(256, "The user's name within the tenant.", required=True)
    password = secret("The user's password.", required=True)
    otp = text(32, "One-time code or recovery code, where a second factor is enrolled.")


class TokenSchema(AnswerSchema):
    """An access token and what belongs to it (RFC 6749, section 5.1)."""

    access_token = fields.String(required=True)
    refresh_token = fields.String(metadata={"description": "Absent for client_credentials."})
    token_type = fields.Constant("Bearer", required=True)
    expires_in = fields.Integer(required=True, metadata={"description": "Seconds."})
    scope = fields.String(required=True)


class RefreshSchema(StrictSchema):
    """The refresh token to exchange for a new pair."""

    refresh_token = text(256, "The latest refresh token of the session.", required=True)


class GrantSchema(StrictSchema):
    """The form of the OAuth 2.0 token endpoint (RFC 6749)."""

    grant_type = text(64, "client_credentials or refresh_token.", required=True)
    client_id = text(64, "The service account, unless sent as Basic credentials.")
    client_secret = secret("Its secret, unless sent as Basic credentials.")
    refresh_token = text(256, "For the grant refresh_token.")
    scope = text(4096, "A part of what the account may do; all of it by default.")


class TokenReferenceSchema(StrictSchema):
    """The form of revocation (RFC 7009) and introspection (RFC 7662)."""

    token = text(4096, "The token in question.", required=True)
    token_type_hint = text(32, "access_token or refresh_token.")
    client_id = text(64, "The service account, unless sent as Basic credentials.")
    client_secret = secret("Its secret, unless sent as Basic credentials.")


class IntrospectionSchema(AnswerSchema):
    """What a token is (RFC 7662, section 2.2); only `active` when it is not valid."""

    active = fields.Boolean(required=True)
    scope = fields.String()
    client_id = fields.String()
    username = fields.String()
    token_type = fields.String()
    exp = fields.Integer()
    iat = fields.Integer()
    nbf = fields.Integer()
    sub = fields.String()
    aud = fields.String()
    iss = fields.String()
    jti = fields.String()
    tenant = fields.String()


class PasswordChangeSchema(StrictSchema):
    """The old password and the new one."""

    password = secret("The present password.", required=True)
    new_password = secret("The new password.", required=True)


class OtpChangeSchema(StrictSchema):
    """One step of enrolling or removing the second factor."""

    action = fields.String(
        required=True,
        validate=validate.OneOf(["enrol", "confirm", "remove"]),
        metadata={"description": "enrol gives a secret, confirm proves it, remove ends it."},
    )
    password = secret("The present password.", required=True)
    otp = text(32, "A code of the authenticator; needed to confirm and to remove.")


class OtpSchema(AnswerSchema):
    """The state of the second factor after a step."""

    enrolled = fields.Boolean(required=True)
    secret = fields.String(metadata={"description": "Base32; shown once, by enrol."})
    uri = fields.String(metadata={"description": "otpauth: address for the authenticator."})
    recovery_codes = fields.List(fields.String(), metadata={"description": "Shown once."})


# A number, a text, or null where the model takes missing values.
CELL: Final = {"type": ["number", "string", "null"]}


class PredictRequestSchema(StrictSchema):
    """Rows to predict, given once: as features, records or columns."""

    features = fields.Raw(
        metadata={
            "description": "Rows in the order of the model's columns, or one row.",
            "oneOf": [
                {"type": "array", "items": CELL, "minItems": 1},
                {
                    "type": "array",
                    "minItems": 1,
                    "items": {"type": "array", "items": CELL, "minItems": 1},
                },
            ],
        },
    )
    records = fields.Raw(
        metadata={
            "description": "Rows as objects, by the names of the columns.",
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "additionalProperties": CELL},
        }
    )
    columns = fields.Raw(
        metadata={
            "description": "A list of values for each column, by its name.",
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"type": "array", "items": CELL, "minItems": 1},
        }
    )
    method = text(32, "A method of the model, such as predict_proba; its first by default.")
    model = text(63, "The model's name; the tenant's default model by default.")
    version = fields.Raw(
        metadata={
            "description": "Version number or alias; the champion by default.",
            "type": ["integer", "string"],
        }
    )


class PredictionSchema(AnswerSchema):
    """One answer per row, with the model and version that gave it."""

    prediction = fields.List(fields.Raw(), required=True)
    model = fields.String(required=True)
    version = fields.Integer(required=True)


class ColumnSchema(AnswerSchema):
    """One input column of a model."""

    name = fields.String(required=True)
    type = fields.String(required=True)


class ModelSchema(AnswerSchema):
    """A model as its members see it."""

    name = fields.String(required=True)
    default = fields.Boolean(required=True)
    champion = fields.Integer(required=True)
    versions = fields.List(fields.Integer(), required=True)


class ModelDetailSchema(ModelSchema):
    """A model with what its champion takes and gives."""

    task = fields.String(required=True)
    engine = fields.String(required=True)
    inputs = fields.List(fields.Nested(ColumnSchema), required=True)
    classes = fields.List(fields.Raw(), metadata={"description": "Of a classifier."})


class PageSchema(StrictSchema):
    """Where a listing goes on."""

    cursor = text(256, "`next` of the page before.")
    limit = fields.Integer(load_default=100, validate=validate.Range(min=1, max=1000))


class TenantQuerySchema(StrictSchema):
    """Which tenant an operator means; everybody else means the own one."""

    tenant = text(64, "Another tenant's name; operators only.")


class TenantPageSchema(PageSchema, TenantQuerySchema):
    """A page of one tenant's listing."""


class UserSchema(AnswerSchema):
    """A user as administrators see it."""

    username = fields.String(required=True)
    role = fields.String(required=True)
    scope = fields.String(allow_none=True)
    state = fields.String(required=True)
    otp = fields.Boolean(metadata={"description": "Whether a second factor is enrolled."})
    created_at = fields.Float(metadata={"description": "Unix seconds."})
    password = fields.String(metadata={"description": "Generated; shown once."})


class NewUserSchema(StrictSchema):
    """A user to create; a password is generated unless given."""

    username = text(128, "Unique within the tenant.", required=True)
    role = fields.String(required=True, validate=ROLES)
    scope = text(4096, "Narrows the role, for example `predict:linear`.")
    password = secret("At least 15 characters; generated by default.")


class UserChangeSchema(StrictSchema):
    """What may be changed of a user."""

    state = fields.String(validate=validate.OneOf(["active", "disabled"]))
    role = fields.String(validate=ROLES)
    scope = text(4096, "Narrows the role; null lifts the narrowing.", allow_none=True)


class ClientSchema(AnswerSchema):
    """A service account as administrators see it."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    scope = fields.String(required=True)
    state = fields.String(required=True)
    expires_at = fields.Float(allow_none=True, metadata={"description": "Unix seconds."})
    created_at = fields.Float(metadata={"description": "Unix seconds."})
    secret = fields.String(metadata={"description": "Shown once."})


class NewClientSchema(StrictSchema):
    """A service account to create."""

    name = text(128, "Unique within the tenant.", required=True)
    scope = text(4096, "What it may do, for example `predict:linear`.", required=True)
    expires_in = fields.Integer(
        strict=True,
        validate=validate.Range(min=60, max=10 * 366 * 86_400),
        metadata={"description": "Seconds until it ends by itself."},
    )


class LimitsSchema(AnswerSchema):
    """The limits in force, by name."""

    tenant = fields.String(required=True)
    plan = fields.String(required=True)
    limits = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    models = fields.Dict(
        keys=fields.String(), values=fields.Dict(keys=fields.String(), values=fields.Integer())
    )


class LimitsChangeSchema(StrictSchema):
    """Limits to set; null goes back to the plan's."""

    model = fields.String(validate=NAME)
    limits = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(allow_none=True, strict=True),
        required=True,
    )


class UsageQuerySchema(TenantQuerySchema):
    """Which days, and by what the sums are grouped."""

    since = fields.Date(
        validate=FIRST_DAY, metadata={"description": "First day, UTC; 30 days ago by default."}
    )
    until = fields.Date(
        validate=FIRST_DAY, metadata={"description": "Last day, UTC; today by default."}
    )
    by = fields.String(
        load_default="model",
        validate=validate.OneOf(["tenant", "user", "model", "day"]),
    )


class UsageSchema(AnswerSchema):
    """What was consumed."""

    key = fields.String(required=True)
    requests = fields.Integer(required=True)
    rows = fields.Integer(required=True)
    compute_ms = fields.Float(required=True)


class AuditSchema(AnswerSchema):
    """One audit record."""

    sequence = fields.Integer(required=True)
    at = fields.Float(required=True, metadata={"description": "Unix seconds."})
    actor = fields.String(required=True)
    action = fields.String(required=True)
    subject = fields.String(required=True)
    outcome = fields.String(required=True)
    details = fields.Dict(required=True)


TEXT: Final = {"type": "string"}


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
