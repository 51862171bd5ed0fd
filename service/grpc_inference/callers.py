"""Who calls: by the `authorization` metadata, exactly as by the header of that name over HTTP.

Known callers are charged for what they ask, refused or not; strangers are counted by address
before anything of theirs is verified (service.limits).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from auth.scope import Scope
from service import charging, security
from service.bootstrap import Platform
from service.errors import CredentialsAmbiguous, CredentialsMissing
from service.operations import identity

AUTHORIZATION: Final = "authorization"
FORWARDED: Final = "x-forwarded-for"


class Metadata:
    """What a client sent before its messages; names are lower-case (HTTP/2)."""

    def __init__(self, pairs: Iterable[tuple[str, str | bytes]]) -> None:
        self._texts = [(name, value) for name, value in pairs if isinstance(value, str)]

    def first(self, name: str) -> str | None:
        """The first value of a name, whatever its case."""
        return next(iter(self.every(name)), None)

    def every(self, name: str) -> list[str]:
        """All values of a name."""
        wanted = name.lower()
        return [value for key, value in self._texts if key == wanted]


@dataclass(frozen=True, slots=True)
class Credential:
    """What a call's metadata claim, and from where."""

    values: tuple[str, ...]
    address: str

    def known(self, platform: Platform) -> Scope | None:
        """Whose it is, if that was verified in this epoch; touches no store but the epoch."""
        return security.known_scope(platform, self.values[0]) if len(self.values) == 1 else None

    def is_strange(self, platform: Platform) -> bool:
        """Whether it is none, or none that was ever verified; touches no store."""
        return len(self.values) != 1 or not security.is_remembered(platform, self.values[0])

    def enter(self, platform: Platform) -> Scope | None:
        """Whose it is, if that was ever verified and still holds; else counts the address.

        Raises RateLimited if that has called too often.
        """
        one = len(self.values) == 1
        scope = security.recognise_credential(platform, self.values[0]) if one else None
        if scope is None:
            charging.charge_address(platform, self.address)
        return scope

    def identify(self, platform: Platform) -> Scope:
        """Whose it is; raises what is wrong with it."""
        if len(self.values) > 1 or any(security.SEVERAL.fullmatch(each) for each in self.values):
            raise CredentialsAmbiguous("send the authorization metadata once")
        given = self.values[0] if self.values else ""
        token, basic = security.bearer_token(given), security.basic_credentials(given)
        if token is not None:
            return identity.identify(platform, token)
        if basic is not None:
            return identity.identify_basic(platform, *basic)
        raise CredentialsMissing


def credential_of(metadata: Metadata, peer: str, *, trusted_proxies: int) -> Credential:
    """The credential in a call's metadata."""
    address = _forwarded(metadata, trusted_proxies) or address_of(peer)
    return Credential(tuple(metadata.every(AUTHORIZATION)), address)


def address_of(peer: str) -> str:
    """The address in gRPC's name of a peer, as in `ipv6:%5B::1%5D:50051`."""
    scheme, _, rest = unquote(peer).partition(":")
    if scheme not in ("ipv4", "ipv6"):
        return "unknown"
    return rest.rpartition(":")[0].strip("[]")


def _forwarded(metadata: Metadata, trusted: int) -> str | None:
    """The address that the outermost of the trusted proxies saw, as werkzeug's ProxyFix has it."""
    hops = [hop.strip() for value in metadata.every(FORWARDED) for hop in value.split(",")]
    return hops[-trusted] if 0 < trusted <= len(hops) else None
