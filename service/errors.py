"""What a refusal looks like over HTTP: one table from domain error to problem (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted

import auth.errors as auth_errors
import certs.errors as certs_errors
import config.errors as config_errors
import models.errors as models_errors

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

    @property
    def type(self) -> str:
        """The stable URI that names this kind of problem."""
        return URN + self.name


class ServiceError(Exception):
    """The root of the web's own errors."""


class InputMalformed(ServiceError):
    """Raised when a body, query or form does not have the required form."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__(
            "; ".join(f"{at}: {what}" if at else what for at, what in problems.items())
        )


class MediaTypeRefused(ServiceError):
    """Raised when the body's content type is not one that the endpoint reads."""

    def __init__(self, given: str, accepted: str) -> None:
        what = f"the content type {given!r} is not read here" if given else "no content type given"
        super().__init__(f"{what}; send {accepted}")


class CodingRefused(ServiceError):
    """Raised when a body is in a content coding that is not decoded here, or not whole in it."""

    def __init__(self, problem: str, accepted: tuple[str, ...]) -> None:
        self.accepted = accepted
        remedy = f"send it in one of {', '.join(accepted)}, or" if accepted else "send it"
        super().__init__(f"{problem}; {remedy} as it is")


class CredentialsMissing(ServiceError):
    """Raised when a request that needs credentials carries none."""

    def __init__(self) -> None:
        super().__init__("send an access token: Authorization: Bearer ...")


class CredentialsAmbiguous(ServiceError):
    """Raised when a request carries credentials twice, or where they may not be."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)


class ClientRefused(ServiceError):
    """Raised when a service account's identifier and secret do not match."""

    def __init__(self) -> None:
        super().__init__("the client's identifier or secret is wrong, or it expired")


class GrantUnsupported(ServiceError):
    """Raised when the token endpoint is asked for a grant that it does not give."""

    def __init__(self, grant_type: str) -> None:
        super().__init__(f"the grant type {grant_type!r} is not offered here")


class ScopeRefused(ServiceError):
    """Raised when more is asked for than the account may do."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"the scope {scope!r} is not within this account's permissions")


@dataclass(frozen=True, slots=True)
class Policy:
    """One limit as the IETF RateLimit fields describe it."""

    name: str
    quota: int
    window: float
    remaining: int
    reset: float  # seconds until some of the quota comes back


class RateLimited(ServiceError):
    """Raised when a limit is reached; carries when to come back."""

    def __init__(
        self, violated: str, retry_after: float, policies: tuple[Policy, ...] = ()
    ) -> None:
        self.violated = violated
        self.retry_after = retry_after
        self.policies = policies
        super().__init__(f"the limit {violated!r} is reached")


class TooBusy(ServiceError):
    """Raised when a bounded queue is full, or a store that must decide does not answer."""

    def __init__(self, what: str, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(f"{what}; try again in {retry_after:.0f} s")


class QuotaReached(ServiceError):
    """Raised when a tenant keeps as much as its plan lets it."""

    def __init__(self, limit: str, most: int) -> None:
        self.limit = limit
        super().__init__(
            f"the limit {limit!r} of {most} is reached; delete some, or have the limit raised"
        )


class StorageFull(ServiceError):
    """Raised when there is no room on the disk for what was sent."""

    def __init__(self) -> None:
        super().__init__("there is no room for this on the disk; nothing of it was kept")


class PreconditionFailed(ServiceError):
    """Raised when a thing is not in the state that a caller takes for granted."""

    def __init__(self) -> None:
        super().__init__("it is not as this call expects; read it again, and decide anew")


class ModelRefused(ServiceError):
    """Raised when an uploaded model was refused while its uploader waited."""

    def __init__(self, job_id: str, reason: str) -> None:
        self.job_id = job_id
        super().__init__(reason)


FAILING: Final = "failing"


class CallAbandoned(ServiceError):
    """Raised in the work for a caller who has gone; nobody hears of it."""

    def __init__(self) -> None:
        super().__init__("the caller has gone")


class NotReady(ServiceError):
    """Raised when something that predictions stand on does not answer."""

    def __init__(self, checks: Mapping[str, str]) -> None:
        self.checks = dict(checks)
        failing = ", ".join(name for name, state in checks.items() if state == FAILING)
        super().__init__(f"not ready: {failing}")


class InstanceExists(ServiceError):
    """Raised when an installation would be made where there is one."""

    def __init__(self, instance: Path) -> None:
        super().__init__(
            f"{instance} holds an installation already, which was left as it is; "
            "choose another --instance, or give --if-absent"
        )


class InstanceUnfinished(ServiceError):
    """Raised when an installation was begun by a command that was interrupted."""

    def __init__(self, instance: Path, command: str) -> None:
        super().__init__(
            f"{instance} is incomplete: `manage.py {command}` was interrupted; run it again"
        )


class RestoreRefused(ServiceError):
    """Raised when a backup would be restored over something else."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"{where} is not empty, and was left as it is; "
            "restore into an empty --instance folder and an empty database"
        )


class BackupExists(ServiceError):
    """Raised when a backup would replace a file."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} exists; choose another name, or give --overwrite")


class BackupBroken(ServiceError):
    """Raised when a file is no backup that opens here, whole and unaltered."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path} was not restored: {problem}")


class BackupDisturbed(ServiceError):
    """Raised when tenants were deleted again and again while a backup was made."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} was not made: what it should hold went away; run it again")


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
BUSY: Final = Problem(503, "busy", "Too busy for the moment")
STORAGE_FULL: Final = Problem(507, "storage-full", "There is no room for this")
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
    auth_errors.HashingBusy: Problem(503, "busy", "Too busy for the moment", tells=False),
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
    models_errors.NameRefused: INPUT,
    models_errors.ArtefactMissing: UNAVAILABLE,
    models_errors.ArtefactBroken: UNAVAILABLE,
    models_errors.MethodUnknown: INPUT,
    models_errors.RouteRefused: INPUT,
    models_errors.LogRefused: INPUT,
    models_errors.LogNotFound: NOT_FOUND,
    models_errors.SegmentLost: UNAVAILABLE,
    models_errors.RouteNotFound: NOT_FOUND,
    models_errors.VersionRetired: Problem(410, "version-retired", "The version is retired"),
    models_errors.VersionDeleted: Problem(410, "version-deleted", "The version is deleted"),
    models_errors.VersionOutdated: Problem(
        410, "version-outdated", "The version is of an earlier release"
    ),
    models_errors.ModelUnloaded: Problem(503, "model-unloaded", "The model is unloaded"),
    models_errors.VersionInUse: CONFLICT,
    models_errors.VersionPinned: CONFLICT,
    models_errors.AliasNotFound: NOT_FOUND,
    models_errors.ChampionFixed: CONFLICT,
    models_errors.NothingToRollBack: CONFLICT,
    models_errors.StoreUnavailable: UNAVAILABLE,
    models_errors.VersionBroken: Problem(503, "version-broken", "The version is not run any more"),
    models_errors.HostCrashed: Problem(503, "model-crashed", "The model ended its process"),
    models_errors.HostsUnavailable: UNAVAILABLE,
    models_errors.DeadlineExceeded: Problem(504, "model-timeout", "The model took too long"),
    models_errors.RowsRefused: Problem(422, "rows-refused", "The model takes no such rows"),
    models_errors.PredictionFailed: Problem(500, "prediction-failed", "The model failed on this"),
    OperationalError: UNAVAILABLE,
    PoolExhausted: UNAVAILABLE,
    config_errors.CounterStoreDown: UNAVAILABLE,
    certs_errors.CertificateError: CONFLICT,
}

WITH_PATH: Final = (
    models_errors.InputRefused,
    models_errors.RouteRefused,
    models_errors.LogRefused,
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
    406: Problem(406, "not-acceptable", "No representation fits what is accepted"),
    408: Problem(408, "timeout", "The request took too long to arrive"),
    413: TOO_LARGE,
    414: Problem(414, "uri-too-long", "The address is too long"),
    415: MEDIA_TYPE_REFUSED,
    416: Problem(416, "range-not-satisfiable", "The asset has no such part"),
    431: Problem(431, "headers-too-large", "The headers are too large"),
    500: INTERNAL,
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


def step(name: str) -> str:
    """A member's name as a step of a JSON pointer (RFC 6901, section 3), cut to a length."""
    return name[:64].replace("~", "~0").replace("/", "~1")
