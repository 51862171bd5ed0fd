"""Signing keys and everything sealed under the master key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from auth.keys import KeyRecord, Revocation, Rotation
from auth.permissions import Permission
from auth.scope import Scope
from config.epoch import EVERYONE
from service.bootstrap import Platform
from service.operations.recording import recorded


@dataclass(frozen=True, slots=True)
class Resealed:
    """How much was sealed anew, by kind."""

    signing_keys: int
    secrets: int
    tenants: int
    second_factors: int


def published(platform: Platform) -> dict[str, Any]:
    """The public key set, as it stands in this epoch."""
    return platform.key_set()


def list_keys(platform: Platform, scope: Scope) -> tuple[KeyRecord, ...]:
    """Every signing key that ever was, newest first."""
    scope.require(Permission.KEYS)
    with platform.database.read() as session:
        return platform.keys.list(session)


def rotate(platform: Platform, scope: Scope, *, emergency: bool = False) -> Rotation:
    """Let the next key sign; raises KeyNotReady while a verifier may not know it yet."""
    action = "keys.rotate-emergency" if emergency else "keys.rotate"
    with recorded(platform, scope, Permission.KEYS, action) as act:
        act.concerns = EVERYONE
        rotation = platform.keys.rotate(act.session, emergency=emergency)
        act.subject = rotation.new
        act.details["retired"] = rotation.old
        return rotation


def revoke(platform: Platform, scope: Scope, kid: str) -> Revocation:
    """Refuse everything that the key signed, on every worker at once."""
    with recorded(platform, scope, Permission.KEYS, "keys.revoke", kid) as act:
        act.concerns = EVERYONE
        return platform.keys.revoke(act.session, kid)


def reseal(platform: Platform, scope: Scope) -> Resealed:
    """Seal everything under the first master key, so that the others may be dropped."""
    with recorded(platform, scope, Permission.KEYS, "keys.reseal") as act:
        session = act.session
        result = Resealed(
            signing_keys=platform.keys.reseal(session),
            secrets=platform.secrets.reseal(session),
            tenants=platform.tenants.reseal(session),
            second_factors=platform.otp.reseal(session),
        )
        platform.authority.reseal()
        return result
