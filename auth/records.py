"""The tables of who: tenants, accounts, sessions, keys, plans, usage, audit.

Identifiers are random and never reused; times are Unix seconds. Every table that belongs to a
tenant carries `tenant_id`, and the modules beside this one read it only through a Scope.
"""

from __future__ import annotations

import secrets

from sqlalchemy import (
    BigInteger,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base


def new_id(kind: str) -> str:
    """A random identifier of 96 bits such as `usr_4f1c...`; `kind` says what it names."""
    return f"{kind}_{secrets.token_hex(12)}"


def _tenant_key() -> Mapped[str]:
    return mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), index=True)


class TenantRow(Base):
    """A customer: the wall between everything below it."""

    __tablename__ = "tenants"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    state: Mapped[str] = mapped_column(String(16))  # active, suspended
    plan: Mapped[str] = mapped_column(String(32))
    data_key: Mapped[bytes] = mapped_column(LargeBinary)  # sealed; deleting it deletes the data
    created_at: Mapped[float] = mapped_column(Double)


class UserRow(Base):
    """A person of one tenant."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("tenant_id", "username"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant_id: Mapped[str] = _tenant_key()
    username: Mapped[str] = mapped_column(String(128))
    role: Mapped[str] = mapped_column(String(16))
    scope: Mapped[str | None] = mapped_column(Text)  # narrows the role, e.g. `predict:linear`
    state: Mapped[str] = mapped_column(String(16))  # active, disabled
    password_hash: Mapped[str] = mapped_column(Text)
    password_changed_at: Mapped[float] = mapped_column(Double)
    otp_secret: Mapped[bytes | None] = mapped_column(LargeBinary)  # sealed
    otp_confirmed: Mapped[bool] = mapped_column(default=False)
    otp_last_step: Mapped[int] = mapped_column(BigInteger, default=0)  # a code works once
    created_at: Mapped[float] = mapped_column(Double)


class RecoveryCodeRow(Base):
    """A one-time code that replaces a lost second factor, stored as a hash."""

    __tablename__ = "recovery_codes"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    digest: Mapped[str] = mapped_column(String(64))


class ClientRow(Base):
    """A service account: an identifier, a hashed secret, scopes and an expiry."""

    __tablename__ = "clients"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant_id: Mapped[str] = _tenant_key()
    name: Mapped[str] = mapped_column(String(128))
    scope: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))  # active, revoked
    secret_digest: Mapped[str] = mapped_column(String(64))  # SHA-256: the secret has 256 bits
    certificate_digest: Mapped[str | None] = mapped_column(String(64), unique=True)  # of the SPKI
    expires_at: Mapped[float | None] = mapped_column(Double)
    created_at: Mapped[float] = mapped_column(Double)


class SessionRow(Base):
    """A login and the family of refresh tokens that descends from it."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant_id: Mapped[str] = _tenant_key()
    subject_id: Mapped[str] = mapped_column(String(40), index=True)  # a user or a client
    scope: Mapped[str] = mapped_column(Text)
    created_at: Mapped[float] = mapped_column(Double)
    expires_at: Mapped[float] = mapped_column(Double, index=True)
    ended_at: Mapped[float | None] = mapped_column(Double)


class RefreshTokenRow(Base):
    """One refresh token of a session, stored as a hash and used once."""

    __tablename__ = "refresh_tokens"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    session_id: Mapped[str] = mapped_column(
        ForeignKey("sessions.id", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[float] = mapped_column(Double)
    used_at: Mapped[float | None] = mapped_column(Double)


class RevokedTokenRow(Base):
    """An access token refused before its time, remembered until it would have expired."""

    __tablename__ = "revoked_tokens"

    jti: Mapped[str] = mapped_column(String(40), primary_key=True)
    expires_at: Mapped[float] = mapped_column(Double, index=True)


class SigningKeyRow(Base):
    """A signing key pair in one state of its life; the private half is sealed, then destroyed."""

    __tablename__ = "signing_keys"
    __table_args__ = (
        # Two rotations at once cannot both leave an active key.
        Index(
            "uq_signing_keys_one_active",
            "purpose",
            unique=True,
            sqlite_where=text("state = 'active'"),
            postgresql_where=text("state = 'active'"),
        ),
    )

    kid: Mapped[str] = mapped_column(String(64), primary_key=True)  # RFC 7638 thumbprint
    purpose: Mapped[str] = mapped_column(String(16))
    algorithm: Mapped[str] = mapped_column(String(8))
    state: Mapped[str] = mapped_column(String(8))  # next, active, retired, gone, revoked
    public_jwk: Mapped[str] = mapped_column(Text)
    private_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[float] = mapped_column(Double)
    signs_from: Mapped[float] = mapped_column(Double)  # published long enough from here on
    activated_at: Mapped[float | None] = mapped_column(Double)
    retired_at: Mapped[float | None] = mapped_column(Double)
    verifies_until: Mapped[float | None] = mapped_column(Double)
    revoked_at: Mapped[float | None] = mapped_column(Double)


class SealedSecretRow(Base):
    """A secret of the platform itself (the audit chain's key, the artefact key), sealed."""

    __tablename__ = "sealed_secrets"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


class LimitRow(Base):
    """One limit set for a tenant, or for one model of it, over the plan's default."""

    __tablename__ = "limits"

    tenant_id: Mapped[str] = mapped_column(
        ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True
    )
    model: Mapped[str] = mapped_column(String(64), primary_key=True)  # empty: the whole tenant
    name: Mapped[str] = mapped_column(String(48), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


class UsageRow(Base):
    """What one principal consumed of one model on one day (UTC), as one counter store saw it.

    A counter store holds running totals; writing a total again changes nothing, so that a crash
    between the two stores neither loses nor doubles.
    """

    __tablename__ = "usage"

    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    subject_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    model: Mapped[str] = mapped_column(String(64), primary_key=True)
    source: Mapped[str] = mapped_column(String(40), primary_key=True)  # the counter store
    requests: Mapped[int] = mapped_column(BigInteger)
    rows: Mapped[int] = mapped_column(BigInteger)
    compute_us: Mapped[int] = mapped_column(BigInteger)


class IdempotencyRow(Base):
    """A request that gave an idempotency key, and once it is known, what was answered."""

    __tablename__ = "idempotency_keys"

    tenant_id: Mapped[str] = mapped_column(
        ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True
    )
    principal_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)  # a keyed hash, as the next
    fingerprint: Mapped[str] = mapped_column(String(64))
    holder: Mapped[str] = mapped_column(String(32))  # which request works on it
    lease_until: Mapped[float] = mapped_column(Double)
    has_acted: Mapped[bool] = mapped_column()  # committed with what the request changed
    status: Mapped[int | None] = mapped_column()
    answer: Mapped[bytes | None] = mapped_column(LargeBinary)  # sealed: it may hold a secret
    created_at: Mapped[float] = mapped_column(Double)
    expires_at: Mapped[float] = mapped_column(Double, index=True)


class AuditRow(Base):
    """One link of the audit chain. Never updated, never deleted, not even with its tenant."""

    __tablename__ = "audit"

    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[float] = mapped_column(Double)
    tenant_id: Mapped[str | None] = mapped_column(String(40), index=True)
    actor: Mapped[str] = mapped_column(String(255))
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(255))
    outcome: Mapped[str] = mapped_column(String(16))  # done, refused
    details: Mapped[str] = mapped_column(Text)
    link: Mapped[str] = mapped_column(String(64))  # HMAC-SHA-256 over this record and the last link
