"""A certificate and key from outside, checked before they replace anything."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.contexts import server_context
from certs.errors import CertificateRefused
from certs.inspection import key_kind, names_of
from certs.names import uncovered
from certs.pairs import Pair, PrivateKey

MOST_BYTES: Final = 256 * 1024
MOST_CERTIFICATES: Final = 8
# What browsers and every TLS stack we serve with take: granian's does no P-521, no RSA beyond
# 4096 bits and no small exponent, browsers no Ed25519.
LEAST_RSA_BITS: Final = 2048
MOST_RSA_BITS: Final = 4096
LEAST_RSA_EXPONENT: Final = 65537
CURVES: Final = (ec.SECP256R1, ec.SECP384R1)
WEAK_HASHES: Final = (hashes.MD5, hashes.SHA1)
UNREADABLE: Final = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
Extension = TypeVar("Extension", bound=x509.ExtensionType)


def read_pair(certificate_pem: bytes, key_pem: bytes, passphrase: bytes | None) -> Pair:
    """Read what an operator handed in; raises CertificateRefused."""
    chain = _read_chain(certificate_pem)
    key = _read_key(key_pem, passphrase)
    if key.public_key() != chain[0].public_key():
        raise CertificateRefused(
            "the key is not the key of the first certificate",
            "Give the key that the certificate was requested with, and the leaf first",
        )
    return Pair(chain, key)


def check_pair(pair: Pair, *, names: Iterable[str], now: float) -> None:
    """Raise CertificateRefused unless the pair can serve these names now."""
    moment = datetime.fromtimestamp(now, UTC)
    _check_leaf(pair.leaf)
    _check_key(pair.key)
    for certificate in pair.chain:
        _check_times(certificate, moment)
        _check_hash(certificate)
    for certificate, issuer in pairwise(pair.chain):
        _check_issued(certificate, issuer)
    _check_names(pair.leaf, names)


def check_loads(path: Path) -> None:
    """Raise CertificateRefused unless the TLS stack takes the file."""
    try:
        server_context("intermediate", path)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise CertificateRefused(
            f"the TLS stack does not take the certificate: {error}", "Have it issued anew"
        ) from error


def _read_chain(pem: bytes) -> tuple[x509.Certificate, ...]:
    try:
        chain = x509.load_pem_x509_certificates(pem[:MOST_BYTES])
        for certificate in chain:
            _read_whole(certificate)
    except UNREADABLE as error:
        raise CertificateRefused(
            f"the certificate file is not readable as PEM: {error}",
            "Give a file with BEGIN CERTIFICATE, leaf first (fullchain.pem)",
        ) from error
    if len(chain) > MOST_CERTIFICATES:
        raise CertificateRefused(
            f"the file holds {len(chain)} certificates, at most {MOST_CERTIFICATES} make a chain",
            "Give the leaf and the certificates between it and the root",
        )
    return tuple(chain)


def _read_whole(certificate: x509.Certificate) -> None:
    """Read every part that is used later: the library is lazy, and objects only then."""
    certificate.public_key()
    _ = certificate.extensions
    _ = certificate.signature_hash_algorithm
    _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    _ = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()


def _read_key(pem: bytes, passphrase: bytes | None) -> PrivateKey:
    try:
        key = load_pem_private_key(pem[:MOST_BYTES], passphrase)
    except TypeError as error:  # encrypted without a passphrase, or the reverse
        remedy = "Leave the passphrase out" if passphrase else "Give its passphrase"
        raise CertificateRefused(f"the key: {error}", remedy) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateRefused(
            "the key is not readable as PEM, or the passphrase is wrong",
            "Give a file with BEGIN PRIVATE KEY and, if it is encrypted, its passphrase",
        ) from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise CertificateRefused(
            f"the key is of the kind {type(key).__name__.removesuffix('PrivateKey')}, "
            "which browsers do not take",
            "Use P-256 or P-384, or RSA",
        )
    return key


def _check_key(key: PrivateKey) -> None:
    if isinstance(key, rsa.RSAPrivateKey):
        exponent = key.public_key().public_numbers().e
        good = LEAST_RSA_BITS <= key.key_size <= MOST_RSA_BITS and exponent >= LEAST_RSA_EXPONENT
        found = f"RSA of {key.key_size} bits with the exponent {exponent}"
    else:
        good = isinstance(key.curve, CURVES)
        found = f"on the curve {key.curve.name}"
    if not good:
        raise CertificateRefused(
            f"the key is {found}",
            f"Use P-256 or P-384, or RSA of {LEAST_RSA_BITS} to {MOST_RSA_BITS} bits",
        )


def _check_leaf(leaf: x509.Certificate) -> None:
    if _is_authority(leaf):
        raise CertificateRefused(
            "the first certificate is an authority's, not a server's", "Put the leaf first"
        )
    usage = _extension(leaf, x509.ExtendedKeyUsage)
    if usage and ExtendedKeyUsageOID.SERVER_AUTH not in usage:
        raise CertificateRefused(
            "the certificate is not for servers (no serverAuth)", "Have it issued for a TLS server"
        )
    key_usage = _extension(leaf, x509.KeyUsage)
    if key_usage and not key_usage.digital_signature:
        raise CertificateRefused(
            "the certificate's key may not sign (no digitalSignature)",
            "Have it issued for a TLS server",
        )


def _check_times(certificate: x509.Certificate, moment: datetime) -> None:
    subject = certificate.subject.rfc4514_string()
    if moment >= certificate.not_valid_after_utc:
        raise CertificateRefused(
            f"the certificate of {subject} expired on {certificate.not_valid_after_utc:%F %T} UTC",
            "Renew it where it came from",
        )
    if moment < certificate.not_valid_before_utc:
        raise CertificateRefused(
            f"the certificate of {subject} is not valid before "
            f"{certificate.not_valid_before_utc:%F %T} UTC",
            "Check this machine's clock, or import it then",
        )


def _check_hash(certificate: x509.Certificate) -> None:
    if isinstance(certificate.signature_hash_algorithm, WEAK_HASHES):
        raise CertificateRefused(
            f"the certificate of {certificate.subject.rfc4514_string()} is signed with "
            f"{certificate.signature_hash_algorithm.name}",
            "Have it signed with SHA-256 or better",
        )


def _check_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise CertificateRefused(
            f"the chain is broken: {issuer.subject.rfc4514_string()} ({key_kind(issuer)}) did not "
            f"sign {certificate.subject.rfc4514_string()}",
            "Give the chain in order: the leaf, then each one's issuer",
        ) from error
    if not _is_authority(issuer):
        raise CertificateRefused(
            f"{issuer.subject.rfc4514_string()} is in the chain but is no authority",
            "Give the certificates between the leaf and the root only",
        )


def _check_names(leaf: x509.Certificate, names: Iterable[str]) -> None:
    missing = uncovered(names, names_of(leaf))
    if missing:
        raise CertificateRefused(
            f"the certificate does not cover {', '.join(missing)}",
            "Have it issued for these names, or set SALLYPORT_SERVER_NAMES to those it has: "
            f"{','.join(names_of(leaf)) or 'none'}",
        )


def _is_authority(certificate: x509.Certificate) -> bool:
    constraints = _extension(certificate, x509.BasicConstraints)
    return bool(constraints and constraints.ca)


def _extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
