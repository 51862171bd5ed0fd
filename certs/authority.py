"""The local authority: one folder in which every certificate of an installation lives.

    ca.pem             the authority's certificate, which clients are given
    ca.key.sealed      its private key, under the master key
    crl.pem            the certificates that it revoked
    server.pem         -> the server certificate in use
    server-*.pem       chain and key of a server certificate in one file, never altered

Each method that writes holds the folder's lock; each file is replaced whole. A crash at any
step leaves a folder that serves, and the next call finishes or redoes what was begun.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from certs.clients import ClientCertificate, hand_out
from certs.files import locked
from certs.inspection import Description, describe, names_of, needs_renewal
from certs.installed import Installed, ServerFiles
from certs.intake import check_loads, check_pair, read_pair
from certs.issuing import Issuer, check_days
from certs.names import check_names, hosts, uncovered
from certs.pairs import Pair
from certs.root import Root
from config.sealing import Sealer


@dataclass(frozen=True, slots=True)
class Renewal:
    """Whether the server certificate was replaced, why or why not, and which is in use now."""

    renewed: bool
    reason: str
    certificate: Description


class Authority:
    """Issues, renews, imports and revokes the certificates of one installation."""

    def __init__(
        self,
        folder: Path,
        *,
        sealer: Sealer,
        names: Iterable[str],
        days: int = 90,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._names = check_names(names)
        self._days = check_days(days)
        self._clock = clock
        self._root = Root(folder, sealer=sealer, days=days)
        self._server = ServerFiles(folder)

    @property
    def server_file(self) -> Path:
        """Chain and key in use, in one file that is never altered; ask again at each reload."""
        return self._server.path()

    @property
    def ca_file(self) -> Path:
        """The authority's certificate, which clients are given."""
        return self._root.certificate_file

    @property
    def crl_file(self) -> Path:
        """The certificates that were revoked."""
        return self._root.list_file

    def ensure(self) -> None:
        """Found the authority and issue a server certificate, where they are absent."""
        with locked(self._folder):
            issuer = self._open()
            if not self._server.loads(check_loads):
                self._issue(issuer)

    def describe(self) -> Description:
        """Say which server certificate is in use; raises CertificateMissing."""
        installed = self._server.read()
        authority = self._root.certificate()
        return describe(
            installed.certificate, authority, source=installed.source, now=self._clock()
        )

    def needs_renewal(self) -> bool:
        """Say whether less than a third of the lifetime is left; raises CertificateMissing."""
        return needs_renewal(self._server.read().certificate, now=self._clock())

    def check(self) -> None:
        """Open everything that there must be; raises one of this package's errors or SealBroken."""
        with locked(self._folder):
            path = self._server.path()
            self._open()
            check_loads(path)

    def renew(self, *, force: bool = False) -> Renewal:
        """Replace the server certificate and the revocation list where their time has come.

        An imported certificate is left to whoever issued it; `force` replaces that one too.
        """
        with locked(self._folder):
            issuer = self._open()
            self._root.refresh_list(issuer, now=self._clock())
            due, reason = (True, "it was asked for") if force else self._due(issuer)
            if due:
                self._issue(issuer)
            return Renewal(due, reason, self.describe())

    def import_pair(
        self,
        cert_pem: bytes,
        key_pem: bytes,
        *,
        chain_pem: bytes = b"",
        passphrase: bytes | None = None,
    ) -> Description:
        """Serve with a certificate from outside; raises CertificateRefused and keeps the old."""
        pair = read_pair(cert_pem + b"\n" + chain_pem, key_pem, passphrase)
        check_pair(pair, names=self._names, now=self._clock())
        with locked(self._folder):
            self._open()
            self._server.install(pair, "imported", check=check_loads)
        return self.describe()

    def issue_for_hosts(self) -> Pair | None:
        """A server certificate for the host names without the addresses, kept in no file.

        BoringSSL, which most gRPC clients stand on, refuses an address that its authority is
        constrained to. None where the one in use will do, or came from outside.
        """
        names = hosts(self._names)
        with locked(self._folder):
            if not names or names == self._names or self._server.read().source == "imported":
                return None
            return self._open().issue_server(names, days=self._days, now=self._clock())

    def issue_client(self, name: str, *, days: int | None = None) -> ClientCertificate:
        """Issue a client certificate; only its public key's digest says who it is."""
        span = self._days if days is None else days
        with locked(self._folder):
            pair = self._open().issue_client(name, days=span, now=self._clock())
        return hand_out(name, pair)

    def revoke(self, serial: str) -> None:
        """Put a certificate on the revocation list, which servers read when they reload."""
        with locked(self._folder):
            self._root.revoke(self._open(), serial, now=self._clock())

    def reseal(self) -> None:
        """Seal the authority's key under the first master key."""
        with locked(self._folder):
            self._open()
            self._root.reseal()

    def _open(self) -> Issuer:
        return self._root.open(self._names, now=self._clock())

    def _issue(self, issuer: Issuer) -> None:
        now = self._clock()
        if not issuer.serves(self._names, now=now):
            issuer = self._root.renew(issuer, self._names, now=now)
        pair = issuer.issue_server(self._names, days=self._days, now=now)
        self._server.install(pair, "local", check=check_loads)

    def _due(self, issuer: Issuer) -> tuple[bool, str]:
        if not self._server.loads(check_loads):
            return True, "there was none that could be read"
        installed = self._server.read()
        if installed.source == "imported":
            return False, "it was imported: renew it where it came from, and import it again"
        return self._local_due(installed, issuer)

    def _local_due(self, installed: Installed, issuer: Issuer) -> tuple[bool, str]:
        missing = uncovered(self._names, names_of(installed.certificate))
        if missing:
            return True, f"it did not cover {', '.join(missing)}"
        if installed.certificate.issuer != issuer.certificate.subject:
            return True, "another authority had signed it"
        if needs_renewal(installed.certificate, now=self._clock()):
            return True, "less than a third of its lifetime was left"
        return False, "more than a third of its lifetime is left"
