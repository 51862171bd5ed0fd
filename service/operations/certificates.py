"""The server's certificate, and the clients that the local authority vouches for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from auth.permissions import Permission
from auth.scope import Scope
from certs.authority import Renewal
from certs.errors import CertificateRefused
from certs.inspection import Description, public_key_digest
from service.bootstrap import Platform
from service.operations.recording import recorded


@dataclass(frozen=True, slots=True)
class IssuedClient:
    """A client certificate as it was handed out."""

    name: str
    certificate: str
    key: str
    serial: str
    public_key_digest: str
    not_after: float


def show(platform: Platform, scope: Scope) -> Description:
    """The server certificate in use; raises CertificateMissing."""
    scope.require(Permission.TENANTS)
    return platform.authority.describe()


def for_grpc(platform: Platform) -> bytes:
    """Chain and key as gRPC serves with them, which its clients must be able to verify (PEM).

    Raises CertificateMissing. They are as old as the server certificate at most: take them again
    when that has changed.
    """
    pair = platform.authority.issue_for_hosts()
    return platform.authority.server_file.read_bytes() if pair is None else pair.pem


def renew(platform: Platform, scope: Scope, *, force: bool = False) -> Renewal:
    """Replace the server certificate if its time has come, or at once by force."""
    with recorded(platform, scope, Permission.TENANTS, "certs.renew") as act:
        renewal = platform.authority.renew(force=force)
        act.subject = renewal.certificate.serial
        act.details |= {"renewed": renewal.renewed, "reason": renewal.reason}
        return renewal


def import_pair(
    platform: Platform,
    scope: Scope,
    certificate: Path,
    key: Path,
    *,
    chain: Path | None = None,
    passphrase: bytes | None = None,
) -> Description:
    """Serve with a certificate from outside; raises CertificateRefused and keeps the old."""
    with recorded(platform, scope, Permission.TENANTS, "certs.import") as act:
        imported = platform.authority.import_pair(
            certificate.read_bytes(),
            key.read_bytes(),
            chain_pem=chain.read_bytes() if chain else b"",
            passphrase=passphrase,
        )
        act.subject = imported.serial
        act.details["issuer"] = imported.issuer
        return imported


def issue_client(
    platform: Platform, scope: Scope, name: str, folder: Path, *, days: int | None = None
) -> IssuedClient:
    """Issue a client certificate and write it, with its key, to NAME.pem and NAME.key."""
    with recorded(platform, scope, Permission.TENANTS, "certs.client", name) as act:
        issued = platform.authority.issue_client(name, days=days)
        act.details |= {"serial": issued.serial, "not_after": issued.not_after}
        certificate, key = issued.save(folder)
    return IssuedClient(
        name=name,
        certificate=str(certificate),
        key=str(key),
        serial=issued.serial,
        public_key_digest=issued.public_key_digest,
        not_after=issued.not_after,
    )


def revoke(platform: Platform, scope: Scope, serial: str) -> None:
    """Put a certificate on the revocation list; servers follow when they reload."""
    with recorded(platform, scope, Permission.TENANTS, "certs.revoke", serial):
        platform.authority.revoke(serial)


def digest_of(path: Path) -> str:
    """The digest of the public key of a certificate file (PEM); raises CertificateRefused."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as error:
        raise CertificateRefused(f"{path} is no certificate", "Give a PEM file") from error
    return public_key_digest(certificate.public_bytes(Encoding.DER))
