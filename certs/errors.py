"""What may be wrong with certificates, their keys and the folder that holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

MOST_DAYS: Final = 90


class CertificateError(Exception):
    """Raised as one of its kinds below: a certificate operation was refused or failed."""


class CertificateRefused(CertificateError):
    """Raised when a certificate or key from outside may not replace the one in use."""

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}; the certificate in use was kept. {remedy}")


class AuthorityDamaged(CertificateError):
    """Raised when the local authority's files are incomplete or contradict one another."""

    def __init__(self, path: Path, problem: str, remedy: str) -> None:
        self.path = path
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{path}: {problem}. {remedy}")


class CertificateMissing(CertificateError):
    """Raised when there is no server certificate that can be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(
            f"{folder} holds no readable server certificate. Run: manage.py certs renew"
        )


class NameMalformed(CertificateError):
    """Raised when a name cannot stand on a certificate."""

    def __init__(self, name: str, expected: str) -> None:
        self.name = name
        self.expected = expected
        super().__init__(f"{name!r} cannot stand on a certificate: it must be {expected}")


class LifetimeOutOfRange(CertificateError):
    """Raised when a certificate would live for no time or for longer than is allowed."""

    def __init__(self, days: int) -> None:
        self.days = days
        super().__init__(f"a certificate may live 1 to {MOST_DAYS} days, not {days}")


class SerialMalformed(CertificateError):
    """Raised when a serial number to revoke is not one that a certificate can have."""

    def __init__(self, serial: str) -> None:
        self.serial = serial
        super().__init__(
            f"{serial!r} is no serial number: give its hexadecimal digits, "
            "as `certs client` printed them"
        )


class NotStored(CertificateError):
    """Raised when a file could not be written; what was there before is unchanged."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path} could not be written: {reason}; what was there is unchanged")


class FolderBusy(CertificateError):
    """Raised when another process keeps the certificates locked for too long."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder = folder
        self.seconds = seconds
        super().__init__(
            f"{folder} is being changed by another process for over {seconds:g} s. "
            "Wait for the other `manage.py certs` command, or end it"
        )
