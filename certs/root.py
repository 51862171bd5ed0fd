"""The authority at rest: its certificate, its sealed key and its list of revocations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from certs.errors import AuthorityDamaged, SerialMalformed
from certs.files import PRIVATE, PUBLIC, replace
from certs.inspection import runs_out
from certs.issuing import Issuer, found_authority, new_key, revocation
from config.sealing import Sealer

CONTEXT: Final = {"purpose": "ca", "algorithm": "ES256"}
SERIAL: Final = re.compile(r"[0-9a-f]{1,40}")
RESTORE: Final = "Restore it from a backup"


class Root:
    """Reads and writes an authority in its folder; the caller holds the folder's lock.

    The certificate is written last: while it is absent the authority is only being founded,
    once it is there a missing key or list is damage and never replaced by an empty one.
    """

    def __init__(self, folder: Path, *, sealer: Sealer, days: int) -> None:
        self.certificate_file = folder / "ca.pem"
        self.key_file = folder / "ca.key.sealed"
        self.list_file = folder / "crl.pem"
        self._sealer = sealer
        self._days = days

    def open(self, names: Iterable[str], *, now: float) -> Issuer:
        """Return the authority, founded on the first call."""
        if not self.certificate_file.exists():
            return self._found(names, now)
        issuer = Issuer(self.certificate(), self._read_key())
        if issuer.key.public_key() != issuer.certificate.public_key():
            raise AuthorityDamaged(self.key_file, "it is the key of another authority", RESTORE)
        return issuer

    def certificate(self) -> x509.Certificate:
        """Return the authority's certificate."""
        try:
            return x509.load_pem_x509_certificate(self.certificate_file.read_bytes())
        except ValueError as error:
            raise AuthorityDamaged(
                self.certificate_file, "it is no certificate", RESTORE
            ) from error

    def renew(self, issuer: Issuer, names: Iterable[str], *, now: float) -> Issuer:
        """Certify the same authority anew, for these names too and for its full span."""
        renewed = issuer.renewed(names, now=now)
        self._write_certificate(renewed)
        return renewed

    def reseal(self) -> None:
        """Seal the key under the first master key."""
        replace(self.key_file, self._sealer.reseal(self._read_sealed(), CONTEXT), mode=PRIVATE)

    def revoke(self, issuer: Issuer, serial: str, *, now: float) -> None:
        """Put a certificate on the list; raises SerialMalformed."""
        number = _parse_serial(serial)
        current = self._read_list(issuer)
        if current.get_revoked_certificate_by_serial_number(number) is None:
            self._write_list(issuer, [*current, revocation(number, now=now)], now)

    def refresh_list(self, issuer: Issuer, *, now: float) -> None:
        """Sign the list again when less than a third of its span is left."""
        current = self._read_list(issuer)
        end = current.next_update_utc
        if end is None or runs_out(current.last_update_utc.timestamp(), end.timestamp(), now=now):
            self._write_list(issuer, list(current), now)

    def _found(self, names: Iterable[str], now: float) -> Issuer:
        key = self._read_key() if self.key_file.exists() else self._make_key()
        issuer = found_authority(key, names, now=now)
        if not self.list_file.exists():
            self._write_list(issuer, [], now)
        self._write_certificate(issuer)
        return issuer

    def _make_key(self) -> EllipticCurvePrivateKey:
        key = new_key()
        plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        replace(self.key_file, self._sealer.seal(plain, CONTEXT), mode=PRIVATE)
        return key

    def _read_key(self) -> EllipticCurvePrivateKey:
        key = load_der_private_key(self._sealer.open(self._read_sealed(), CONTEXT), None)
        if not isinstance(key, EllipticCurvePrivateKey):
            raise AuthorityDamaged(self.key_file, "it holds another kind of key", RESTORE)
        return key

    def _read_sealed(self) -> bytes:
        try:
            return self.key_file.read_bytes()
        except FileNotFoundError as error:
            raise AuthorityDamaged(
                self.key_file,
                "the authority's key is missing",
                f"{RESTORE}; or move the whole folder away and run manage.py certs renew, "
                "which founds an authority that every client must be given anew",
            ) from error

    def _write_certificate(self, issuer: Issuer) -> None:
        pem = issuer.certificate.public_bytes(Encoding.PEM)
        replace(self.certificate_file, pem, mode=PUBLIC)

    def _read_list(self, issuer: Issuer) -> x509.CertificateRevocationList:
        try:
            revoked = x509.load_pem_x509_crl(self.list_file.read_bytes())
            genuine = revoked.is_signature_valid(issuer.key.public_key())
        except (FileNotFoundError, ValueError, TypeError):
            genuine = False
        if not genuine:  # an empty list in its place would let revoked clients in
            raise AuthorityDamaged(
                self.list_file, "the list of revocations is missing or altered", RESTORE
            )
        return revoked

    def _write_list(
        self, issuer: Issuer, entries: list[x509.RevokedCertificate], now: float
    ) -> None:
        # Its number only has to rise with each list (RFC 5280, 5.2.3).
        number = self._list_number() + 1
        revoked = issuer.list_revoked(entries, number=number, days=self._days, now=now)
        replace(self.list_file, revoked.public_bytes(Encoding.PEM), mode=PUBLIC)

    def _list_number(self) -> int:
        if not self.list_file.exists():
            return 0
        revoked = x509.load_pem_x509_crl(self.list_file.read_bytes())
        return revoked.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def _parse_serial(text: str) -> int:
    digits = text.strip().lower().replace(":", "").removeprefix("0x")
    if not SERIAL.fullmatch(digits) or not int(digits, 16):
        raise SerialMalformed(text)
    return int(digits, 16)
