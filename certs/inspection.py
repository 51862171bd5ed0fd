"""What a certificate says, and whether it still serves."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.names import written

Source = Literal["local", "imported"]
DAY: Final = 86400.0


@dataclass(frozen=True, slots=True)
class Description:
    """The server certificate in use. Times are Unix seconds, numbers hexadecimal."""

    subject: str
    names: tuple[str, ...]
    issuer: str
    serial: str
    fingerprint: str
    key: str
    not_before: float
    not_after: float
    days_left: float
    source: Source
    authority_fingerprint: str


def describe(
    certificate: x509.Certificate, authority: x509.Certificate, *, source: Source, now: float
) -> Description:
    """Say of a certificate what an operator asks."""
    return Description(
        subject=certificate.subject.rfc4514_string(),
        names=names_of(certificate),
        issuer=certificate.issuer.rfc4514_string(),
        serial=serial_of(certificate),
        fingerprint=fingerprint(certificate),
        key=key_kind(certificate),
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        days_left=round((certificate.not_valid_after_utc.timestamp() - now) / DAY, 2),
        source=source,
        authority_fingerprint=fingerprint(authority),
    )


def public_key_digest(certificate_der: bytes) -> str:
    """SHA-256 of the SubjectPublicKeyInfo, in hexadecimal: who a client certificate speaks for.

    The key is encoded anew, so that another encoding of one key (RFC 5480's compressed points)
    is still one principal.
    """
    return _key_digest(x509.load_der_x509_certificate(certificate_der))


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the whole certificate, in hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def serial_of(certificate: x509.Certificate) -> str:
    """The serial number in hexadecimal, as `revoke` takes it."""
    return f"{certificate.serial_number:x}"


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names and addresses that a client compares; the common name is none of them."""
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    kinds = (x509.DNSName, x509.IPAddress)
    return tuple(written(name) for name in san if isinstance(name, kinds))


def key_kind(certificate: x509.Certificate) -> str:
    """The kind and size of the public key, such as `RSA 3072` or `EC secp256r1`."""
    key = certificate.public_key()
    if isinstance(key, EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    if isinstance(key, RSAPublicKey):
        return f"RSA {key.key_size}"
    return type(key).__name__.removesuffix("PublicKey")


def needs_renewal(certificate: x509.Certificate, *, now: float) -> bool:
    """Say whether less than a third of the lifetime is left."""
    return runs_out(
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
        now=now,
    )


def runs_out(start: float, end: float, *, now: float) -> bool:
    """Say whether less than a third of the span is left."""
    return end - now < (end - start) / 3


def _key_digest(certificate: x509.Certificate) -> str:
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()
