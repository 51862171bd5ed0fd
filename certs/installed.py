"""The server certificate in use, and those that were in use before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from cryptography import x509

from certs.errors import CertificateMissing, CertificateRefused
from certs.files import PRIVATE, point, staged
from certs.inspection import Source, fingerprint
from certs.pairs import Pair

# A worker that starts while others reload may still open one of these.
PREDECESSORS_KEPT: Final = 2


@dataclass(frozen=True, slots=True)
class Installed:
    """A server certificate in its file."""

    path: Path
    certificate: x509.Certificate
    source: Source


class ServerFiles:
    """Keeps chain and key of each server certificate in one file that is never altered.

    TLS stacks open the file twice, for the chain and for the key: a file replaced in between
    would give one's certificate and another's key. So `server.pem` only points at the file
    in use, and whoever serves is given the file itself.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._link = folder / "server.pem"

    def path(self) -> Path:
        """The file in use; raises CertificateMissing."""
        try:
            return self._link.resolve(strict=True)
        except FileNotFoundError:
            raise CertificateMissing(self._folder) from None

    def read(self) -> Installed:
        """The certificate in use; raises CertificateMissing."""
        path = self.path()
        try:
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
        except ValueError:
            raise CertificateMissing(self._folder) from None
        return Installed(path, certificate, _source(path))

    def loads(self, check: Callable[[Path], None]) -> bool:
        """Say whether there is a certificate, with its key, that `check` does not refuse."""
        try:
            check(self.path())
        except (CertificateMissing, CertificateRefused):
            return False
        return True

    def install(self, pair: Pair, source: Source, *, check: Callable[[Path], None]) -> None:
        """Write the pair, let `check` refuse the file, then point at it."""
        path = self._folder / f"server-{source}-{fingerprint(pair.leaf)[:32]}.pem"
        with staged(path, pair.pem, mode=PRIVATE) as beside:
            check(beside)
        point(self._link, path)
        self._remove_old(path)

    def _remove_old(self, current: Path) -> None:
        others = [path for path in self._folder.glob("server-*.pem") if path != current]
        others.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in others[PREDECESSORS_KEPT:]:
            path.unlink()


def _source(path: Path) -> Source:
    word = path.name.split("-")[1]
    return next(source for source in get_args(Source) if source == word)
