"""The doctor: what holds of an installation, what does not, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import lmdb
from sqlalchemy.exc import SQLAlchemyError

from auth.errors import AuthError
from certs.errors import CertificateError
from config.errors import ConfigurationError, CounterStoreDown, DatabaseOutOfDate, SealBroken
from config.settings import Settings, load_settings
from models.errors import ModelsError
from service.bootstrap import Platform, assemble
from service.operations import machine_checks, store_checks
from service.operations.verdicts import FAILED, Verdict, failed

DOCTOR: Final = "see docs/how-to/operate.md"
KEYS: Final = "give back the SALLYPORT_MASTER_KEY that sealed it, or restore a backup"
FORESEEN: Final = (
    AuthError,
    CertificateError,
    ConfigurationError,
    CounterStoreDown,
    DatabaseOutOfDate,
    ModelsError,
    OSError,
    SQLAlchemyError,
    SealBroken,
    ValueError,
    lmdb.Error,
)
Check = Callable[[], Verdict]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `remedy` is empty where nothing is to be done."""

    check: str
    state: str
    found: str
    remedy: str


def diagnose(
    instance: Path, *, server: Callable[[Settings], int | None], deep: bool = False
) -> list[Finding]:
    """Run every check that can be run; `server` tells the process that serves, if one does."""
    return list(_diagnose(instance, server, deep=deep))


def _diagnose(
    instance: Path, server: Callable[[Settings], int | None], *, deep: bool
) -> Iterator[Finding]:
    for name, look in machine_checks.CHECKS.items():
        yield _run(name, partial(look, instance))
    try:
        settings = load_settings(instance)
        platform = assemble(settings)
    except FORESEEN as error:
        yield _run("settings", partial(_raise, error))
        return
    yield _run("settings", partial(machine_checks.settings, settings))
    yield _run("sandbox", partial(machine_checks.sandbox, settings))
    yield _run("server", lambda: machine_checks.server(server(settings)))
    with closing(platform):
        yield from _diagnose_stores(platform, deep=deep)


def _diagnose_stores(platform: Platform, *, deep: bool) -> Iterator[Finding]:
    for name, look in store_checks.FIRST.items():
        finding = _run(name, partial(look, platform))
        yield finding
        if finding.state == FAILED:
            return  # what stands on the database would only repeat this
    for name, look in store_checks.CHECKS.items():
        yield _run(name, partial(look, platform))
    for name, look in (store_checks.DEEP if deep else store_checks.QUICK).items():
        yield _run(name, partial(look, platform))


def _run(name: str, look: Check) -> Finding:
    try:
        verdict = look()
    except FORESEEN as error:
        verdict = _explain(error)
    return Finding(name, verdict.state, verdict.found, verdict.remedy)


def _explain(error: Exception) -> Verdict:
    """Our own errors carry their remedy; others get the place where it is described."""
    if isinstance(error, SQLAlchemyError):
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        return failed(reason, f"look at the database and SALLYPORT_DATABASE_URL; {DOCTOR}")
    if isinstance(error, ConfigurationError):
        return failed(f"{error.setting}: {error.problem}", error.remedy)
    if isinstance(error, SealBroken):
        return failed(str(error), KEYS)
    found, _, remedy = str(error).partition("; ")
    return failed(found, remedy or DOCTOR)


def _raise(error: Exception) -> Verdict:
    raise error
