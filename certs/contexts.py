"""TLS as Mozilla's server-side guidelines state it (version 5.7), in Python's ssl.

Every option that matters is written out, also where it equals the interpreter's default.
Not settable here: the key-exchange groups, for which Python has no list before 3.15.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final, Literal

Profile = Literal["modern", "intermediate"]

OLDEST: Final = {
    "modern": ssl.TLSVersion.TLSv1_3,
    "intermediate": ssl.TLSVersion.TLSv1_2,
}
# The TLS 1.2 suites; TLS 1.3's three are always there. No DHE: its groups are often weak.
SUITES: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
# Level 2 refuses RSA below 2048 bits and SHA-1 signatures, whatever the distribution's default.
CIPHERS: Final = ":".join((*SUITES, "@SECLEVEL=2"))


def server_context(
    profile: Profile,
    cert_path: Path,
    client_ca: Path | None = None,
    crl: Path | None = None,
    *,
    client: Literal["required", "optional"] = "required",
) -> ssl.SSLContext:
    """Make a server's context from one PEM file that holds chain and key.

    With `client_ca`, clients show a certificate of that authority (`optional`: may show one);
    with `crl` as well, one that is not on the list.
    """
    # SSLContext, not create_default_context: that one obeys SSLKEYLOGFILE.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _set_protocol(context, OLDEST[profile])
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE  # every suite is good: the client knows
    # Without resumption, a revoked client cannot come back on an old session.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.post_handshake_auth = False
    context.load_cert_chain(cert_path)
    context.verify_mode = ssl.CERT_NONE
    if client_ca:
        _ask_for_certificate(context, client_ca, crl, client)
    return context


def client_context(ca: Path, *, pair: Path | None = None) -> ssl.SSLContext:
    """Make a client's context that trusts one authority, and may show its own certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _set_protocol(context, ssl.TLSVersion.TLSv1_2)
    context.check_hostname = True
    context.hostname_checks_common_name = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_STRICT
    context.post_handshake_auth = False
    context.load_verify_locations(cafile=ca)
    if pair:
        context.load_cert_chain(pair)
    return context


def _set_protocol(context: ssl.SSLContext, oldest: ssl.TLSVersion) -> None:
    context.minimum_version = oldest
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION  # CRIME
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_SINGLE_ECDH_USE
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # a truncated stream is an error


def _ask_for_certificate(
    context: ssl.SSLContext, client_ca: Path, crl: Path | None, client: str
) -> None:
    context.verify_mode = ssl.CERT_REQUIRED if client == "required" else ssl.CERT_OPTIONAL
    context.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cafile=client_ca)
    if crl:
        context.load_verify_locations(cafile=crl)
        # An expired list refuses everyone: Authority.renew keeps it fresh.
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
