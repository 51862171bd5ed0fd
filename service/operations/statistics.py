"""Statistics of versions that nobody asks about any more: forgotten."""

from __future__ import annotations

import structlog

from config.errors import CounterStoreDown
from service.bootstrap import Platform

log = structlog.get_logger("sallyport.statistics")


def forget(
    platform: Platform, tenant_id: str, model: str | None = None, number: int | None = None
) -> None:
    """Forget a tenant, a model, or a version that is gone, as soon as the store answers.

    What could not be forgotten of a tenant is pruned later; of a model it is only in the way of
    another that takes its name.
    """
    try:
        platform.statistics.forget(tenant_id, model, number)
    except CounterStoreDown as error:
        log.info("statistics were left in the counter store", reason=str(error))


def prune(platform: Platform) -> None:
    """Forget tenants that are gone or suspended, and what was called longest ago of too much."""
    with platform.database.read() as session:
        active = platform.tenants.identifiers(session, state="active")
    platform.statistics.prune(active)
