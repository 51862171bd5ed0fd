"""Whether what predictions stand on answers."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from sqlalchemy import text

from config import migrations
from models.hosting.confinement import require
from models.hosting.probe import probe_apart
from service.bootstrap import Platform

log = structlog.get_logger("sallyport.health")


def readiness(platform: Platform) -> dict[str, bool]:
    """Each part that must work for a prediction, and whether it does."""
    return {
        "database": _passes(lambda: _query(platform)),
        "migrations": _passes(lambda: migrations.check(platform.database)),
        "epoch": _passes(platform.epoch.current),
        "signing_key": _passes(platform.signer),
        "sandbox": _passes(lambda: require(probe_apart(), platform.settings.sandbox_level)),
    }


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
