"""The shape of logins, tokens, passwords and second factors."""

from __future__ import annotations

from marshmallow import fields, validate

from service.schemas import AnswerSchema, StrictSchema, secret, text


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
