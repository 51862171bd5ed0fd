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
