"""Names on certificates: how they are written, matched and constrained."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from cryptography import x509

from certs.errors import NameMalformed

LABEL: Final = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
DNS_NAME: Final = re.compile(rf"(\*\.)?{LABEL}(\.{LABEL})*")
DNS_LENGTH: Final = 253
CLIENT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9@_.-]{0,56}")
# RFC 6761 and RFC 5737: names nobody can own. A constraint without any name of a kind
# would permit every name of that kind.
NO_DNS_NAME: Final = "invalid"
NO_ADDRESS: Final = "192.0.2.0/32"


def general_name(text: str) -> x509.GeneralName:
    """Read a DNS name or an IP address; raises NameMalformed."""
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(_dns_name(text))


def written(name: x509.GeneralName) -> str:
    """Write a name the way an operator would."""
    return str(name.value)


def check_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return a server's names as a certificate writes them, each once; raises NameMalformed."""
    found = tuple(dict.fromkeys(written(general_name(name)) for name in names))
    if not found:
        raise NameMalformed("", "at least one name: set SALLYPORT_SERVER_NAMES")
    return found


def check_client_name(name: str) -> str:
    """Return the name if it can be a client's, and a file's; raises NameMalformed."""
    if not CLIENT_NAME.fullmatch(name):
        raise NameMalformed(name, "1 to 57 letters, digits or any of @ _ . -, no sign first")
    return name


def hosts(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the names that are no addresses."""
    return tuple(name for name in names if isinstance(general_name(name), x509.DNSName))


def subtrees(names: Iterable[str]) -> frozenset[x509.GeneralName]:
    """Say what an authority must be permitted so that it can certify these names."""
    return frozenset(_subtree(general_name(name)) for name in names)


def closed(permitted: Iterable[x509.GeneralName]) -> frozenset[x509.GeneralName]:
    """The same subtrees, and one that nobody owns of each kind that has none."""
    found = set(permitted)
    if not any(isinstance(name, x509.DNSName) for name in found):
        found.add(x509.DNSName(NO_DNS_NAME))
    if not any(isinstance(name, x509.IPAddress) for name in found):
        found.add(x509.IPAddress(ipaddress.ip_network(NO_ADDRESS)))
    return frozenset(found)


def uncovered(wanted: Iterable[str], certified: Iterable[str]) -> list[str]:
    """The names wanted that no certified one covers (RFC 9525: one label per wildcard)."""
    patterns = {name.lower() for name in certified}
    return [name for name in wanted if not _covered(general_name(name), patterns)]


def _dns_name(text: str) -> str:
    name = text.lower()
    if len(name) > DNS_LENGTH or not DNS_NAME.fullmatch(name) or _is_number(name):
        raise NameMalformed(text, "an IP address or a DNS name (international ones as xn--...)")
    return name


def _is_number(name: str) -> bool:
    # 10.0.0 or 1.2.3.999: a misspelt address, which no client would look up as a name.
    return name.rpartition(".")[2].isdigit()


def _subtree(name: x509.GeneralName) -> x509.GeneralName:
    if isinstance(name, x509.IPAddress):
        return x509.IPAddress(ipaddress.ip_network(str(name.value)))
    return x509.DNSName(str(name.value).removeprefix("*."))


def _covered(wanted: x509.GeneralName, patterns: set[str]) -> bool:
    text = written(wanted)
    if text in patterns:
        return True
    _, dot, parent = text.partition(".")
    is_host = isinstance(wanted, x509.DNSName) and not text.startswith("*.")
    return is_host and bool(dot) and f"*.{parent}" in patterns
