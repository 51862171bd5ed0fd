"""Whose a request is, judged by its head: before its body is read, and before Flask sees it."""

from __future__ import annotations

from contextlib import suppress
from itertools import chain
from typing import Final

from auth.errors import TokenRefused
from auth.scope import Scope
from service import charging, security
from service.bootstrap import Platform
from service.errors import ClientRefused
from service.operations import identity
from service.wsgi import Request

FORWARDED: Final = "x-forwarded-for"


def known_caller(platform: Platform, asked: Request) -> Scope | None:
    """Whose a request is if that was verified in this epoch; touches no store but the epoch."""
    if asked.certificate is None:
        return security.known_scope(platform, asked.header("authorization") or "")
    known = platform.caches.certified.get(asked.certificate)
    return known.scope if known else None


def introduce(platform: Platform, asked: Request) -> None:
    """Verify the credential of a request, so that its caller is known from now on.

    Whoever brings none, or one that was never verified, is counted by address for it; raises
    RateLimited. Of two credentials neither is verified: such a request is refused.
    """
    values = list(asked.every("authorization"))
    with suppress(TokenRefused, ClientRefused):
        if asked.certificate is not None:
            if not platform.caches.certified.remembers(asked.certificate):
                charging.charge_address(platform, address_of(platform, asked))
            identity.identify_certificate(platform, asked.certificate)
        elif len(values) != 1 or security.recognise_credential(platform, values[0]) is None:
            charging.charge_address(platform, address_of(platform, asked))
            _identify(platform, values)


def address_of(platform: Platform, asked: Request) -> str:
    """From where a request comes: what the outermost trusted proxy saw, as ProxyFix has it."""
    trusted = platform.settings.trusted_proxies
    lines = (line.split(",") for line in asked.every(FORWARDED))
    hops = [hop.strip() for hop in chain.from_iterable(lines)]
    return hops[-trusted] if 0 < trusted <= len(hops) else asked.client[0]


def _identify(platform: Platform, values: list[str]) -> None:
    given = values[0] if len(values) == 1 else ""
    token, basic = security.bearer_token(given), security.basic_credentials(given)
    if token is not None:
        identity.identify(platform, token)
    elif basic is not None:
        identity.identify_basic(platform, *basic)
