"""An authority outside of ours, such as ACME reaches: root, intermediate and any leaf."""

from __future__ import annotations

import functools
import ipaddress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@functools.cache
def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """An RSA key, made once: it is slow."""
    return rsa.generate_private_key(65537, bits)


def p256() -> ec.EllipticCurvePrivateKey:
    """A P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Leaf:
    """What a certificate is to say; the defaults are good."""

    key: Key = field(default_factory=p256)
    names: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")
    start: float = -1.0
    end: float = 60.0
    is_authority: bool = False
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH
    signs: bool = True

    def but(self, **changes: object) -> Leaf:
        """The same, altered."""
        return replace(self, **changes)  # type: ignore[arg-type]


class Outside:
    """Root and intermediate; `now` is the time that days are counted from."""

    def __init__(self, now: float) -> None:
        self.now = datetime.fromtimestamp(now, UTC)
        self.root_key, self.intermediate_key = p256(), p256()
        authority = Leaf(names=(), is_authority=True, start=-100, end=1000)
        self.root = self._sign(authority.but(key=self.root_key), "Root", "Root", self.root_key)
        self.intermediate = self._sign(
            authority.but(key=self.intermediate_key), "Intermediate", "Root", self.root_key
        )

    def leaf(self, leaf: Leaf) -> x509.Certificate:
        """Certify."""
        return self._sign(leaf, "Leaf", "Intermediate", self.intermediate_key)

    def fullchain(self, leaf: Leaf) -> bytes:
        """The leaf and the intermediate, as ACME clients write them."""
        return pem(self.leaf(leaf), self.intermediate)

    def _sign(self, leaf: Leaf, subject: str, issuer: str, key: Key) -> x509.Certificate:
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "encipher_only", "decipher_only"), False
        )  # fmt: skip
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name(issuer))
            .public_key(leaf.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now + timedelta(days=leaf.start))
            .not_valid_after(self.now + timedelta(days=leaf.end))
            .add_extension(x509.BasicConstraints(leaf.is_authority, None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=leaf.signs,
                    key_cert_sign=leaf.is_authority,
                    crl_sign=leaf.is_authority,
                    **usage,
                ),
                critical=True,
            )
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(leaf.key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()),
                critical=False,
            )
        )
        if not leaf.is_authority:
            builder = builder.add_extension(x509.ExtendedKeyUsage([leaf.usage]), critical=False)
        if leaf.names:
            names = [_general(name) for name in leaf.names]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(key, hashes.SHA256())


def pem(*certificates: x509.Certificate) -> bytes:
    """Certificates as one text."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def key_pem(key: Key, *, passphrase: bytes | None = None) -> bytes:
    """A private key as text."""
    how: KeySerializationEncryption = NoEncryption()
    if passphrase:
        how = BestAvailableEncryption(passphrase)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Outside {common}")])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
