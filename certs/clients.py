"""A client's certificate and key, handed to the operator once and kept nowhere here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from certs.files import PRIVATE, PUBLIC, create
from certs.inspection import public_key_digest, serial_of
from certs.pairs import Pair


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What a client presents, and the digest by which the platform knows it."""

    name: str
    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    serial: str
    public_key_digest: str
    not_after: float

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write NAME.pem and NAME.key (0600), neither of which may exist; return both."""
        certificate, key = folder / f"{self.name}.pem", folder / f"{self.name}.key"
        create(key, self.key_pem, mode=PRIVATE)
        create(certificate, self.certificate_pem, mode=PUBLIC)
        return certificate, key


def hand_out(name: str, pair: Pair) -> ClientCertificate:
    """Put a pair into the form that the operator is given."""
    return ClientCertificate(
        name=name,
        certificate_pem=pair.certificate_pem,
        key_pem=pair.key_pem,
        serial=serial_of(pair.leaf),
        public_key_digest=public_key_digest(pair.leaf.public_bytes(Encoding.DER)),
        not_after=pair.leaf.not_valid_after_utc.timestamp(),
    )
