"""The one table of who may do what, and the grammar of scopes.

A scope (RFC 6749, section 3.3) is a space-separated list of grants. A grant is a permission,
optionally narrowed to one model: `predict` or `predict:linear`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from auth.errors import ScopeMalformed


class Permission(StrEnum):
    """What may be permitted; the values are the words of a scope."""

    ACCOUNT = "account"  # one's own password, second factor and sessions
    PREDICT = "predict"
    PREDICTIONS_READ = "predictions.read"  # what was logged of predictions
    MODELS_READ = "models.read"
    MODELS_WRITE = "models.write"
    MODELS_PICKLE = "models.pickle"  # formats whose opening runs what their author put in
    MODELS_GATE = "models.gate"  # what a champion has to be, and who is one all the same
    TRAINING = "training"  # have models trained on tables of one's own
    USERS = "users"
    CLIENTS = "clients"
    LIMITS_READ = "limits.read"
    LIMITS_WRITE = "limits.write"
    USAGE = "usage"
    AUDIT = "audit"
    TENANTS = "tenants"
    KEYS = "keys"
    METRICS = "metrics"


class Role(StrEnum):
    """A named set of permissions that a user has."""

    OPERATOR = "operator"
    ADMIN = "admin"
    DEVELOPER = "developer"
    CALLER = "caller"
    AUDITOR = "auditor"


P = Permission
PERMISSIONS: Final = MappingProxyType(
    {
        # The operator runs the platform and sees no tenant's predictions.
        Role.OPERATOR: frozenset(P) - {P.PREDICT, P.PREDICTIONS_READ},
        Role.ADMIN: frozenset(
            {
                P.ACCOUNT,
                P.PREDICT,
                P.PREDICTIONS_READ,
                P.MODELS_READ,
                P.MODELS_WRITE,
                P.MODELS_PICKLE,
                P.MODELS_GATE,
                P.TRAINING,
                P.USERS,
                P.CLIENTS,
                P.LIMITS_READ,
                P.USAGE,
                P.AUDIT,
            }
        ),
        Role.DEVELOPER: frozenset(
            {
                P.ACCOUNT,
                P.PREDICT,
                P.MODELS_READ,
                P.MODELS_WRITE,
                P.TRAINING,
                P.LIMITS_READ,
                P.USAGE,
            }
        ),
        Role.CALLER: frozenset({P.ACCOUNT, P.PREDICT, P.MODELS_READ}),
        Role.AUDITOR: frozenset({P.ACCOUNT, P.MODELS_READ, P.LIMITS_READ, P.USAGE, P.AUDIT}),
    }
)
PER_MODEL: Final = frozenset(
    {
        P.PREDICT,
        P.PREDICTIONS_READ,
        P.MODELS_READ,
        P.MODELS_WRITE,
        P.MODELS_PICKLE,
        P.MODELS_GATE,
        P.TRAINING,
    }
)
MODEL_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """A permission, on every model or on the one named."""

    permission: Permission
    model: str | None = None

    def __str__(self) -> str:
        return f"{self.permission}:{self.model}" if self.model else str(self.permission)

    def covers(self, other: Grant) -> bool:
        """Say whether whoever holds this grant may be given the other."""
        return self.permission == other.permission and self.model in (None, other.model)


Grants = frozenset[Grant]


def grants_of_role(role: Role) -> Grants:
    """Everything the role may do."""
    return frozenset(Grant(permission) for permission in PERMISSIONS[role])


def parse_scope(text: str) -> Grants:
    """Read a scope string; raises ScopeMalformed naming the word that is no grant."""
    return frozenset(_parse_grant(word) for word in text.split())


def format_scope(grants: Iterable[Grant]) -> str:
    """Write grants as a scope string, in a fixed order."""
    return " ".join(sorted(str(grant) for grant in grants))


def narrow(held: Grants, wanted: Grants) -> Grants:
    """What both allow: every grant of one that the other covers.

    `predict` narrowed to what `predict:linear` holds is `predict:linear`.
    """
    return _covered(held, wanted) | _covered(wanted, held)


def _covered(broad: Grants, fine: Grants) -> Grants:
    return frozenset(grant for grant in fine if any(own.covers(grant) for own in broad))


def _parse_grant(word: str) -> Grant:
    name, separator, model = word.partition(":")
    try:
        permission = Permission(name)
    except ValueError:
        raise ScopeMalformed(word) from None
    if separator and (permission not in PER_MODEL or not MODEL_NAME.fullmatch(model)):
        raise ScopeMalformed(word)
    return Grant(permission, model or None)
