"""Whether what predictions stand on answers."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from sqlalchemy import text

from config import migrations
from models.hosting.confinement import require
from models.hosting.probe import probe_apart
from service.bootstrap import Platform
from service.errors import FAILING, NotReady
from service.operations.verdicts import OK

log = structlog.get_logger("sallyport.health")


def readiness(platform: Platform) -> dict[str, str]:
    """Each part that must work for a prediction: `ok` or, of the sandbox, its level; or FAILING."""
    passed = {
        "database": _passes(lambda: _query(platform)),
        "migrations": _passes(lambda: migrations.check(platform.database)),
        "epoch": _passes(platform.epoch.current),
        "signing_key": _passes(platform.signer),
    }
    states = {name: OK if good else FAILING for name, good in passed.items()}
    return states | {"sandbox": _sandbox(platform)}


def require_ready(platform: Platform) -> dict[str, str]:
    """The parts that must work for a prediction; raises NotReady if one does not."""
    checks = readiness(platform)
    if FAILING in checks.values():
        raise NotReady(checks)
    return checks


def _sandbox(platform: Platform) -> str:
    """The level at which the sandbox holds, if that is high enough."""
    if not _passes(lambda: require(probe_apart(), platform.settings.sandbox_level)):
        return FAILING
    return probe_apart().level


def _query(platform: Platform) -> None:
    with platform.database.read() as session:
        session.execute(text("SELECT 1"))


def _passes(check: Callable[[], object]) -> bool:
    try:
        check()
    except Exception:
        log.warning("readiness check failed", exc_info=True)
        return False
    return True
