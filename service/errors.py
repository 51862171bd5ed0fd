"""The web's own errors, and the facts that they carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final


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


class FormNotOffered(ServiceError):
    """Raised when no form that an answer may have is one that the caller accepts."""

    def __init__(self, offered: str) -> None:
        super().__init__(f"accept one of {offered}")


class BodyTooLarge(ServiceError):
    """Raised when a body has, or decodes to, more bytes than are taken."""

    def __init__(self, most: int, *, coding: str = "identity") -> None:
        self.most = most
        what = "is" if coding == "identity" else f"decodes from {coding} to"
        super().__init__(f"the body {what} more than {most} bytes")


class CodingRefused(ServiceError):
    """Raised when a body is in a content coding that is not decoded here, or not whole in it."""

    def __init__(self, problem: str, accepted: tuple[str, ...]) -> None:
        self.accepted = accepted
        remedy = f"send it in one of {', '.join(accepted)}, or" if accepted else "send it"
        super().__init__(f"{problem}; {remedy} as it is")


class CredentialsMissing(ServiceError):
    """Raised when a request that needs credentials carries none; `basic` would be some, too."""

    def __init__(self, *, basic: bool = False) -> None:
        account = "; or a service account's identifier and secret: Authorization: Basic ..."
        super().__init__(
            "send an access token: Authorization: Bearer ..." + (account if basic else "")
        )


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


def step(name: str) -> str:
    """A member's name as a step of a JSON pointer (RFC 6901, section 3), cut to a length."""
    return name[:64].replace("~", "~0").replace("/", "~1")
