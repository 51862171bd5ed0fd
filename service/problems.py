"""What a refusal looks like over HTTP: one table from domain error to problem (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted

import auth.errors as auth_errors
import certs.errors as certs_errors
import config.errors as config_errors
import models.errors as models_errors
from service.errors import (
    BodyTooLarge,
    CallAbandoned,
    ClientRefused,
    CodingRefused,
    CredentialsAmbiguous,
    CredentialsMissing,
    FormNotOffered,
    GrantUnsupported,
    InputMalformed,
    MediaTypeRefused,
    ModelRefused,
    NotReady,
    PreconditionFailed,
    QuotaReached,
    RateLimited,
    ScopeRefused,
    StorageFull,
    TooBusy,
    step,
)

MEDIA_TYPE: Final = "application/problem+json"
URN: Final = "urn:sallyport:problem:"


@dataclass(frozen=True, slots=True)
class Problem:
    """A kind of refusal: its status, its stable name, and its title for people."""

    status: int
    name: str
    title: str
    oauth_error: str | None = None  # RFC 6749 section 5.2, RFC 6750 section 3.1
    tells: bool = True  # whether the error's own message may be shown to the caller
    at_will: bool = False  # whether callers can bring it about as often as they like

    @property
    def type(self) -> str:
        """The stable URI that names this kind of problem."""
        return URN + self.name


BAD_REQUEST: Final = Problem(400, "bad-request", "The request is malformed")
INPUT: Final = Problem(400, "invalid-input", "The input is not valid")
NOT_FOUND: Final = Problem(404, "not-found", "There is no such thing")
CONFLICT: Final = Problem(409, "conflict", "This contradicts what is there")
INTERNAL: Final = Problem(500, "internal", "Something went wrong here", tells=False)
UNAUTHENTICATED: Final = Problem(401, "unauthenticated", "Credentials are needed")
INVALID_TOKEN: Final = Problem(
    401, "invalid-token", "The access token is not valid", "invalid_token", tells=False
)
UNAVAILABLE: Final = Problem(503, "unavailable", "Not available for the moment", tells=False)
BUSY: Final = Problem(503, "busy", "Too busy for the moment", at_will=True)
STORAGE_FULL: Final = Problem(507, "storage-full", "There is no room for this")
NOT_ACCEPTABLE: Final = Problem(406, "not-acceptable", "No representation fits what is accepted")
TOO_LARGE: Final = Problem(413, "too-large", "The request is too large")
MEDIA_TYPE_REFUSED: Final = Problem(
    415, "unsupported-media-type", "The content type is not read here"
)
WRONG_CREDENTIALS: Final = Problem(
    401, "wrong-credentials", "The credentials are wrong", "invalid_grant"
)
PRECONDITION: Final = Problem(412, "precondition-failed", "It is not as was expected")
KEY_REUSED: Final = Problem(422, "idempotency-key-reused", "The key is of another request")
STILL_RUNNING: Final = Problem(409, "still-running", "The same request is still running")
ANSWER_LOST: Final = Problem(409, "answer-lost", "It was done, but its answer is lost")

TABLE: Final[Mapping[type[Exception], Problem]] = {
    InputMalformed: INPUT,
    models_errors.InputRefused: INPUT,
    models_errors.InputTooLarge: TOO_LARGE,
    MediaTypeRefused: MEDIA_TYPE_REFUSED,
    CodingRefused: MEDIA_TYPE_REFUSED,
    FormNotOffered: NOT_ACCEPTABLE,
    BodyTooLarge: TOO_LARGE,
    CredentialsMissing: UNAUTHENTICATED,
    CredentialsAmbiguous: Problem(
        400, "ambiguous-credentials", "Give credentials once", "invalid_request"
    ),
    ClientRefused: Problem(401, "invalid-client", "The client is refused", "invalid_client"),
    GrantUnsupported: Problem(
        400, "unsupported-grant-type", "This grant is not offered", "unsupported_grant_type"
    ),
    ScopeRefused: Problem(400, "invalid-scope", "More is asked than may be", "invalid_scope"),
    RateLimited: Problem(429, "rate-limited", "A limit is reached"),
    TooBusy: BUSY,
    StorageFull: STORAGE_FULL,
    CallAbandoned: BAD_REQUEST,
    QuotaReached: CONFLICT,
    PreconditionFailed: PRECONDITION,
    ModelRefused: Problem(422, "model-refused", "The model is refused"),
    NotReady: Problem(503, "not-ready", "Not ready to serve"),
    auth_errors.TokenRefused: INVALID_TOKEN,
    auth_errors.CredentialsWrong: WRONG_CREDENTIALS,
    auth_errors.OneTimeCodeWrong: WRONG_CREDENTIALS,
    auth_errors.RefreshRefused: Problem(
        401, "invalid-refresh-token", "The refresh token is not valid", "invalid_grant", tells=False
    ),
    auth_errors.PermissionMissing: Problem(
        403, "insufficient-scope", "This is not permitted", "insufficient_scope"
    ),
    auth_errors.NotFound: NOT_FOUND,
    auth_errors.GrantsExceeded: Problem(403, "grants-exceeded", "More is given than may be"),
    auth_errors.NameTaken: CONFLICT,
    auth_errors.LastAdmin: CONFLICT,
    auth_errors.PlatformTenantFixed: CONFLICT,
    auth_errors.SecondFactorConflict: CONFLICT,
    auth_errors.ScopeTooLong: CONFLICT,
    auth_errors.NameMalformed: INPUT,
    auth_errors.PasswordRefused: INPUT,
    auth_errors.RoleRefused: INPUT,
    auth_errors.PlanUnknown: INPUT,
    auth_errors.LimitRefused: INPUT,
    auth_errors.ExpiryRefused: INPUT,
    auth_errors.HashingBusy: replace(BUSY, tells=False),
    auth_errors.KeyRingEmpty: UNAVAILABLE,
    auth_errors.KeyUnusable: UNAVAILABLE,
    auth_errors.ScopeMalformed: Problem(
        400, "invalid-scope", "The scope is malformed", "invalid_scope"
    ),
    auth_errors.KeyNotReady: CONFLICT,
    auth_errors.KeyReused: KEY_REUSED,
    auth_errors.StillRunning: STILL_RUNNING,
    auth_errors.AnswerLost: ANSWER_LOST,
    auth_errors.Overtaken: CONFLICT,
    models_errors.ModelNotFound: NOT_FOUND,
    models_errors.JobNotFound: NOT_FOUND,
    models_errors.ReportNotFound: NOT_FOUND,
    models_errors.NameRefused: INPUT,
    models_errors.ArtefactMissing: UNAVAILABLE,
    models_errors.ArtefactBroken: UNAVAILABLE,
    models_errors.MethodUnknown: INPUT,
    models_errors.RouteRefused: INPUT,
    models_errors.LogRefused: INPUT,
    models_errors.LogNotFound: NOT_FOUND,
    models_errors.SegmentLost: UNAVAILABLE,
    models_errors.RouteNotFound: NOT_FOUND,
    models_errors.GateNotFound: NOT_FOUND,
    models_errors.RulesRefused: INPUT,
    models_errors.GateRefused: Problem(409, "gate-refused", "The version does not pass the gate"),
    models_errors.DriftUnknown: Problem(409, "drift-unknown", "There is nothing to compare"),
    models_errors.ScheduleNotFound: NOT_FOUND,
    models_errors.ScheduleRefused: INPUT,
    models_errors.VersionRetired: Problem(410, "version-retired", "The version is retired"),
    models_errors.VersionDeleted: Problem(410, "version-deleted", "The version is deleted"),
    models_errors.VersionOutdated: Problem(
        410, "version-outdated", "The version is of an earlier release"
    ),
    models_errors.ModelUnloaded: Problem(
        503, "model-unloaded", "The model is unloaded", at_will=True
    ),
    models_errors.VersionInUse: CONFLICT,
    models_errors.VersionPinned: CONFLICT,
    models_errors.AliasNotFound: NOT_FOUND,
    models_errors.ChampionFixed: CONFLICT,
    models_errors.NothingToRollBack: CONFLICT,
    models_errors.StoreUnavailable: UNAVAILABLE,
    models_errors.VersionBroken: Problem(
        503, "version-broken", "The version is not run any more", at_will=True
    ),
    models_errors.HostCrashed: Problem(503, "model-crashed", "The model ended its process"),
    models_errors.HostsUnavailable: UNAVAILABLE,
    models_errors.DeadlineExceeded: Problem(
        504, "model-timeout", "The model took too long", at_will=True
    ),
    models_errors.RowsRefused: Problem(422, "rows-refused", "The model takes no such rows"),
    models_errors.PredictionFailed: Problem(
        500, "prediction-failed", "The model failed on this", at_will=True
    ),
    OperationalError: UNAVAILABLE,
    PoolExhausted: UNAVAILABLE,
    config_errors.CounterStoreDown: UNAVAILABLE,
    certs_errors.CertificateError: CONFLICT,
}

WITH_PATH: Final = (
    models_errors.InputRefused,
    models_errors.RouteRefused,
    models_errors.LogRefused,
    models_errors.RulesRefused,
)
FIELDS: Final[Mapping[type[Exception], str]] = {
    auth_errors.PasswordRefused: "/password",
    auth_errors.RoleRefused: "/role",
    auth_errors.ScopeMalformed: "/scope",
    auth_errors.ExpiryRefused: "/expires_in",
    auth_errors.PlanUnknown: "/plan",
    models_errors.MethodUnknown: "/method",
}

# The platform's own statuses that no domain error stands behind (werkzeug's routing and parsing).
BY_STATUS: Final[Mapping[int, Problem]] = {
    400: BAD_REQUEST,
    401: UNAUTHENTICATED,
    404: NOT_FOUND,
    405: Problem(405, "method-not-allowed", "The method is not offered here"),
    406: NOT_ACCEPTABLE,
    408: Problem(408, "timeout", "The request took too long to arrive"),
    413: TOO_LARGE,
    414: Problem(414, "uri-too-long", "The address is too long"),
    415: MEDIA_TYPE_REFUSED,
    416: Problem(416, "range-not-satisfiable", "The asset has no such part"),
    431: Problem(431, "headers-too-large", "The headers are too large"),
    500: INTERNAL,
    501: Problem(501, "not-implemented", "There is no such method"),
    503: UNAVAILABLE,
}


def problem_of(error: Exception) -> Problem:
    """The problem that stands for the error, looked up along its class's ancestry."""
    for kind in type(error).__mro__:
        if kind in TABLE:
            return TABLE[kind]
    return INTERNAL


def describe(problem: Problem, error: Exception | None, request_id: str) -> dict[str, Any]:
    """The members of the problem document; a problem that does not tell shows no message."""
    body: dict[str, Any] = {
        "type": problem.type,
        "title": problem.title,
        "status": problem.status,
        "request_id": request_id,
    }
    if error is not None and problem.tells:
        body["detail"] = str(error)
        body |= _facts(error)
    if problem.oauth_error:
        body["error"] = problem.oauth_error
        body["error_description"] = problem.title  # RFC 6749: ASCII without quotes
    return body


def _facts(error: Exception) -> dict[str, Any]:
    if isinstance(error, InputMalformed):
        pairs = error.problems.items()
        return {"errors": [{"pointer": where, "detail": what} for where, what in pairs]}
    if isinstance(error, WITH_PATH):
        return {"errors": [{"pointer": error.path, "detail": error.problem}]}
    if isinstance(error, RateLimited):
        return {"violated_policies": [error.violated]}
    if isinstance(error, NotReady):
        return {"checks": error.checks}
    if isinstance(error, models_errors.GateRefused):
        return {"reasons": list(error.reasons)}
    if isinstance(error, ModelRefused):
        return {"job": error.job_id}
    where = _field(error)
    return {} if where is None else {"errors": [{"pointer": where, "detail": str(error)}]}


def _field(error: Exception) -> str | None:
    """The field that an error of the inside is about, as the requests call it."""
    if isinstance(error, auth_errors.NameMalformed):
        return {"user": "/username", "model": "/model"}.get(error.kind, "/name")
    if isinstance(error, models_errors.NameRefused):
        return "/alias" if error.kind == "an alias" else "/model"
    if isinstance(error, auth_errors.LimitRefused):
        return f"/limits/{step(error.name)}"
    return FIELDS.get(type(error))
