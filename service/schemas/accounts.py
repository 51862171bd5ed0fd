"""The shape of logins, tokens, passwords and second factors."""

from __future__ import annotations

from marshmallow import fields, validate

from service.schemas import (
    AnswerSchema,
    StrictSchema,
    choice,
    opaque,
    prose,
    scope,
    secret,
    several,
    spelled,
    text,
    whole,
)

# RFC 6750, section 2.1: what a bearer token is written with.
WRITTEN = r"[A-Za-z0-9._~+/=-]+"


class LoginSchema(StrictSchema):
    """What a person logs in with."""

    tenant = text(64, "The tenant's name.", required=True)
    username = text(256, "The user's name within the tenant.", required=True)
    password = secret("The user's password.", required=True)
    otp = text(32, "One-time code or recovery code, where a second factor is enrolled.")


class TokenSchema(AnswerSchema):
    """An access token and what belongs to it (RFC 6749, section 5.1)."""

    access_token = spelled(WRITTEN, 8192, "To be sent with every call.", required=True)
    refresh_token = spelled(WRITTEN, 256, "Absent for client_credentials.")
    token_type = fields.Constant(
        "Bearer", required=True, metadata={"type": "string", "enum": ["Bearer"]}
    )
    expires_in = whole("Seconds.", required=True)
    scope = scope("What the token permits.", required=True)


class RefreshSchema(StrictSchema):
    """The refresh token to exchange for a new pair."""

    refresh_token = opaque(256, "The latest refresh token of the session.", required=True)


class GrantSchema(StrictSchema):
    """The form of the OAuth 2.0 token endpoint (RFC 6749)."""

    grant_type = fields.String(
        required=True,
        validate=validate.Length(min=1, max=64),
        metadata={
            "description": "What is exchanged for a token.",
            "enum": ["client_credentials", "refresh_token"],
        },
    )
    client_id = text(64, "The service account, unless sent as Basic credentials.")
    client_secret = secret("Its secret, unless sent as Basic credentials.")
    refresh_token = opaque(256, "For the grant refresh_token.")
    scope = scope("A part of what the account may do; all of it by default.")


class TokenReferenceSchema(StrictSchema):
    """The form of revocation (RFC 7009) and introspection (RFC 7662)."""

    token = opaque(4096, "The token in question.", required=True)
    token_type_hint = text(32, "access_token or refresh_token.")
    client_id = text(64, "The service account, unless sent as Basic credentials.")
    client_secret = secret("Its secret, unless sent as Basic credentials.")


class IntrospectionSchema(AnswerSchema):
    """What a token is (RFC 7662, section 2.2); only `active` when it is not valid."""

    active = fields.Boolean(required=True)
    scope = scope("What the token permits.")
    client_id = text(128, "The service account, or the user's name.")
    username = text(256, "The user's name.")
    token_type = choice(["Bearer"], "How it is sent.")
    exp = whole("When it ends, in Unix seconds.")
    iat = whole("When it was made, in Unix seconds.")
    nbf = whole("When it begins, in Unix seconds.")
    sub = text(128, "Whose it is, for ever.")
    aud = text(2048, "For whom it was made.")
    iss = text(2048, "Who made it.")
    jti = text(128, "Its own name.")
    tenant = text(64, "The tenant's name.")


class PasswordChangeSchema(StrictSchema):
    """The old password and the new one."""

    password = secret("The present password.", required=True)
    new_password = secret("The new password.", required=True)


class OtpChangeSchema(StrictSchema):
    """One step of enrolling or removing the second factor."""

    action = choice(
        ["enrol", "confirm", "remove"],
        "enrol gives a secret, confirm proves it, remove ends it.",
        required=True,
    )
    password = secret("The present password.", required=True)
    otp = text(32, "A code of the authenticator; needed to confirm and to remove.")


class OtpSchema(AnswerSchema):
    """The state of the second factor after a step."""

    enrolled = fields.Boolean(required=True)
    secret = spelled(r"[A-Z2-7]+", 64, "Base32; shown once, by enrol.")
    uri = prose("otpauth: address for the authenticator.", most=2048)
    recovery_codes = several(
        spelled(r"[a-z2-7]{4}(?:-[a-z2-7]{4}){3}", 19, "Good for one login."),
        "Shown once.",
        most=10,
    )
