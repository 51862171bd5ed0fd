"""Which errors were foreseen, and the one line that each becomes."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError

from auth.errors import AuthError
from certs.errors import CertificateError
from config.errors import ConfigurationError, CounterStoreDown, DatabaseOutOfDate, SealBroken
from config.prose import printable
from models.errors import GateRefused, ModelsError
from service.errors import ServiceError
from service.supervisor import ServingError

FORESEEN = (
    AuthError,
    ModelsError,
    CertificateError,
    ServiceError,
    ServingError,
    ConfigurationError,
    CounterStoreDown,
    DatabaseOutOfDate,
    SealBroken,
)


def explain(error: Exception) -> str | None:
    """The line that says what is wrong, or None for a fault of ours that needs its traceback.

    What a gate finds is a line for each reason.
    """
    if isinstance(error, GateRefused):
        head = f"{error.model} version {error.version} does not pass the gate:"
        return "\n".join((head, *(f"  {printable(reason)}" for reason in error.reasons)))
    line = _line(error)
    return None if line is None else printable(line)


def _line(error: Exception) -> str | None:
    if isinstance(error, BrokenPipeError):
        return None  # the reader went away (`| head`); main() ends quietly
    if isinstance(error, SQLAlchemyError):
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        return f"the database does not do as asked: {reason}; run: manage.py doctor"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    return " ".join(str(error).split()) if isinstance(error, FORESEEN) else None
