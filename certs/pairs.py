"""A certificate together with its private key, which only ever move as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

PrivateKey = EllipticCurvePrivateKey | RSAPrivateKey
PEM: Final = Encoding.PEM


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate, leaf first with those that certify it, and the leaf's private key."""

    chain: tuple[x509.Certificate, ...]
    key: PrivateKey

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate of this key."""
        return self.chain[0]

    @property
    def certificate_pem(self) -> bytes:
        """The chain, leaf first, as RFC 8446 orders it."""
        return b"".join(certificate.public_bytes(PEM) for certificate in self.chain)

    @property
    def key_pem(self) -> bytes:
        """The private key, not encrypted: whoever writes it sets the file's mode."""
        return self.key.private_bytes(PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def pem(self) -> bytes:
        """Chain and key in one text, so that one rename swaps both."""
        return self.certificate_pem + self.key_pem
