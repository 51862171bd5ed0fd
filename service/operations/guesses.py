"""Every guess at a password is counted before it is judged, and given back if it was right."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from auth.errors import HashingBusy
from auth.names import lookup_name
from config.counters import Charge
from service.bootstrap import Platform
from service.errors import RateLimited, TooBusy

MINUTE: Final = 60.0
HOUR: Final = 3600.0
RETRY_WHEN_DOWN: Final = 2.0


@contextmanager
def charged_guess(platform: Platform, tenant: str, username: str, address: str) -> Iterator[None]:
    """Charge one guess; a block that ends without an error gives it back.

    Charged first and refunded later: were it judged first, a thousand guesses sent at once would
    all be judged. While the counter store is down there is no login (security.md, section 4).
    """
    verdict = platform.counters.charge(_charges(platform, tenant, username, address))
    if verdict.violated is not None:
        if not verdict.shared:
            raise TooBusy("logins are closed while attempts cannot be counted", RETRY_WHEN_DOWN)
        platform.telemetry.logins.labels("limited").inc()
        raise RateLimited("login", verdict.retry_after)
    try:
        yield
    except HashingBusy:
        platform.counters.refund(verdict)  # nothing was judged
        raise
    platform.counters.refund(verdict)


def counted_address(address: str) -> str:
    """What an address counts as: of IPv6 the /64, for whoever has one address has 2^64."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False))


def _charges(platform: Platform, tenant: str, username: str, address: str) -> list[Charge]:
    settings = platform.settings
    account = (lookup_name(tenant), lookup_name(username))
    address = counted_address(address)
    return [
        _charge("login-pair", (*account, address), settings.login_attempts_per_minute, MINUTE),
        _charge("login-account", account, settings.login_account_attempts_per_hour, HOUR),
        _charge("login-address", (address,), settings.login_address_attempts_per_minute, MINUTE),
    ]


def _charge(policy: str, key: tuple[str, ...], limit: int, window: float) -> Charge:
    return Charge((policy, *key), 1, limit, window, policy, closed_when_down=True)
