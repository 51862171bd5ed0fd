"""What may be wrong with who is asking. No module below `service` knows a status code."""

from __future__ import annotations


class AuthError(Exception):
    """The root of this package's errors."""


class ScopeMalformed(AuthError):
    """Raised when a word of a scope is no known grant."""

    def __init__(self, word: str) -> None:
        self.word = word
        super().__init__(f"{word!r} is no grant; say for example 'predict' or 'predict:linear'")


class PermissionMissing(AuthError):
    """Raised when the principal lacks the permission that an operation needs."""

    def __init__(self, permission: str, model: str | None = None) -> None:
        self.permission = permission
        self.model = model
        where = f" on the model {model!r}" if model else ""
        super().__init__(f"this needs the permission {str(permission)!r}{where}")


class NotFound(AuthError):
    """Raised when the scope holds no such thing; another tenant's thing looks the same."""

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name
        super().__init__(f"there is no {kind} {name!r}")


class NameTaken(AuthError):
    """Raised when a name that must be unique is in use."""

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name
        super().__init__(f"a {kind} named {name!r} exists already")


class NameMalformed(AuthError):
    """Raised when a name has characters or a length that names may not have."""

    def __init__(self, kind: str, name: str, rule: str) -> None:
        self.kind = kind
        self.name = name
        super().__init__(f"{name!r} is no name for a {kind}: {rule}")


class PasswordRefused(AuthError):
    """Raised when a chosen password is too short, too long, too common or names its owner."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"this password is refused: {reason}")


class CredentialsWrong(AuthError):
    """Raised when a login fails, whichever part of it was wrong."""

    def __init__(self) -> None:
        super().__init__("the tenant, username, password or one-time code is wrong")


class TokenRefused(AuthError):
    """Raised when an access token is not one that this platform would accept now."""

    def __init__(self, reason: str) -> None:
        self.reason = reason  # for the log; the caller learns only that it is invalid
        super().__init__(f"token refused: {reason}")


class RefreshRefused(AuthError):
    """Raised when a refresh token is unknown, expired, used before, or of an ended session."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"refresh token refused: {reason}")


class KeyNotReady(AuthError):
    """Raised when the next signing key has not been published long enough to sign."""

    def __init__(self, kid: str, seconds: float) -> None:
        self.kid = kid
        self.seconds = seconds
        super().__init__(
            f"key {kid} may sign in {seconds:.0f} s, when no verifier can still hold a key set "
            "without it; wait, or use --emergency"
        )


class AuditBroken(AuthError):
    """Raised when the audit chain does not verify."""

    def __init__(self, sequence: int, problem: str) -> None:
        self.sequence = sequence
        self.problem = problem
        super().__init__(f"the audit chain breaks at record {sequence}: {problem}")


class HashingBusy(AuthError):
    """Raised when more logins wait for a password hash than the gate lets wait."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        super().__init__(
            f"too many logins wait for the password hash; try again in {seconds} s, "
            "or raise SALLYPORT_HASHING_PARALLEL or SALLYPORT_HASHING_QUEUE"
        )


class OneTimeCodeWrong(AuthError):
    """Raised when a code that should confirm a second factor is wrong or was used."""

    def __init__(self) -> None:
        super().__init__("the one-time code is wrong or was used; wait for the next one")


class SecondFactorConflict(AuthError):
    """Raised when a second factor is in no state to be enrolled, confirmed or removed."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"the second factor stays as it is: {problem}")


class GrantsExceeded(AuthError):
    """Raised when somebody would be given more than the giver, the role or the tenant has."""

    def __init__(self, grants: str, ceiling: str) -> None:
        self.grants = grants
        super().__init__(f"{grants!r} cannot be given: it exceeds {ceiling}")


class RoleRefused(AuthError):
    """Raised when a tenant has no such role."""

    def __init__(self, role: str, tenant: str, allowed: tuple[str, ...]) -> None:
        self.role = role
        self.tenant = tenant
        super().__init__(
            f"the tenant {tenant!r} has no role {str(role)!r}; choose one of {', '.join(allowed)}"
        )


class LastAdmin(AuthError):
    """Raised when a change would leave a tenant without anybody who can administer it."""

    def __init__(self, username: str) -> None:
        self.username = username
        super().__init__(
            f"{username!r} is the last one who can administer this tenant; appoint another first"
        )


class PlatformTenantFixed(AuthError):
    """Raised when the operators' own tenant would be suspended or deleted."""

    def __init__(self) -> None:
        super().__init__("the operators' own tenant can be neither suspended nor deleted")


class PlanUnknown(AuthError):
    """Raised when no plan has this name."""

    def __init__(self, plan: str, known: tuple[str, ...]) -> None:
        self.plan = plan
        super().__init__(f"there is no plan {plan!r}; choose one of {', '.join(known)}")


class LimitRefused(AuthError):
    """Raised when a limit has an unknown name or a value that no limit may have."""

    def __init__(self, name: str, problem: str) -> None:
        self.name = name
        self.problem = problem
        super().__init__(f"the limit {name!r} is refused: {problem}")


class ExpiryRefused(AuthError):
    """Raised when a service account would expire before it exists."""

    def __init__(self, expires_at: float) -> None:
        self.expires_at = expires_at
        super().__init__("a service account must expire in the future, or never")


class AuditHeadMalformed(AuthError):
    """Raised when a text is no head of the audit chain."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"{text!r} is no audit head; give COUNT:LINK as `audit verify` prints it")


class AuditDetailRefused(AuthError):
    """Raised when a detail of an audit record looks like a secret, by its name or by its form."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(
            f"the audit detail {path!r} looks like a secret; record an identifier instead"
        )


class ScopeTooLong(AuthError):
    """Raised when the grants of a principal do not fit into an access token."""

    def __init__(self, grants: int, limit: int) -> None:
        self.grants = grants
        self.limit = limit
        super().__init__(
            f"{grants} grants make a token of more than {limit} bytes; "
            "grant a permission on every model instead of on each"
        )


class SecretMissing(AuthError):
    """Raised when a secret of the platform is new and the transaction only reads."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"the secret {name!r} does not exist yet; make it in a write transaction")


class KeyRingEmpty(AuthError):
    """Raised when no key signs, because the key ring was never prepared."""

    def __init__(self, purpose: str) -> None:
        self.purpose = purpose
        super().__init__(f"there is no signing key for {purpose}; run: manage.py init")


class KeyUnusable(AuthError):
    """Raised when a stored key does not open, or is not the key that its name says."""

    def __init__(self, kid: str, problem: str) -> None:
        self.kid = kid
        self.problem = problem
        super().__init__(
            f"signing key {kid} {problem}; give back the SALLYPORT_MASTER_KEY and SALLYPORT_URL "
            f"that it was made with, or run: manage.py keys revoke {kid}"
        )


class KeyNotActive(TokenRefused):
    """Raised when a token is good but its key was not yet signing when the verifiers were read.

    The signature is genuine, so whoever holds cached verifiers reads them anew, once.
    """

    def __init__(self, kid: str) -> None:
        self.kid = kid
        super().__init__("its key does not sign yet")


class KeyReused(AuthError):
    """Raised when an idempotency key comes with another request than the first time."""

    def __init__(self) -> None:
        super().__init__(
            "this idempotency key was given with another request; make a new key for a new request"
        )


class StillRunning(AuthError):
    """Raised when a request with the same idempotency key has no answer yet."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__("a request with this idempotency key is still running; try again later")


class AnswerLost(AuthError):
    """Raised when a request with the same idempotency key did its work, and then was cut off."""

    def __init__(self) -> None:
        super().__init__(
            "the request with this idempotency key was carried out, but its answer is lost; "
            "look at what it changed, and make a new key for a new request"
        )


class KeysExhausted(AuthError):
    """Raised when a principal holds as many idempotency keys as may be."""

    def __init__(self, most: int, seconds: float) -> None:
        self.most = most
        self.seconds = seconds
        super().__init__(f"{most} idempotency keys are kept for this account; wait for one to end")


class Overtaken(AuthError):
    """Raised when a request took so long that another one has taken its idempotency key over."""

    def __init__(self) -> None:
        super().__init__(
            "this took too long: another request has taken over its idempotency key; "
            "nothing was changed here"
        )
