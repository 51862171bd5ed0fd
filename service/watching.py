"""What a process's parts look like at this moment: shown by looking, once a second.

Counting each event would cost every prediction something; a number that is kept anyway costs
nothing until somebody looks.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from sqlalchemy.pool import QueuePool

from config.database import Database
from config.epoch import EpochCache
from config.telemetry import Telemetry
from models.execution.in_process import InProcessExecutor
from models.routing.shadows import Shadows

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Cache = EpochCache[Any, Any]


def watch_cache(telemetry: Telemetry, name: str, cache: Cache) -> None:
    """Show how large a cache is, and how often it had what was asked of it."""
    entries = telemetry.cache_entries.labels(name)
    hits = telemetry.total(telemetry.cache_lookups, name, "hit")
    misses = telemetry.total(telemetry.cache_lookups, name, "miss")

    def look() -> None:
        entries.set(len(cache))
        hits.show(cache.hits)
        misses.show(cache.misses)

    telemetry.watch(look)


def watch_caches(telemetry: Telemetry, caches: DataclassInstance) -> None:
    """Show each cache among an object's fields under the field's name."""
    for each in fields(caches):
        cache = getattr(caches, each.name)
        if isinstance(cache, EpochCache):
            watch_cache(telemetry, each.name, cache)


def watch_engines(telemetry: Telemetry, executor: InProcessExecutor) -> None:
    """Show what is open in the worker itself."""
    opened = telemetry.total(telemetry.engines_opened)
    evicted = telemetry.total(telemetry.engines_evicted)

    def look() -> None:
        holding = executor.holding
        telemetry.engines_open.set(holding.versions)
        telemetry.engines_bytes.set(holding.bytes)
        opened.show(holding.opened)
        evicted.show(holding.evicted)

    telemetry.watch(look)


def watch_database(telemetry: Telemetry, database: Database) -> None:
    """Show how many connections there are, and how many of them are used."""
    pool = database.engine.pool
    if not isinstance(pool, QueuePool):
        return  # a database in memory has one

    def look() -> None:
        telemetry.connections.labels("used").set(pool.checkedout())
        telemetry.connections.labels("idle").set(pool.checkedin())

    telemetry.watch(look)


def watch_shadows(telemetry: Telemetry, shadows: Shadows) -> None:
    """Show how many calls wait for a shadow, and were not put to one."""
    dropped = telemetry.total(telemetry.shadows_dropped)

    def look() -> None:
        telemetry.shadows_waiting.set(shadows.waiting)
        dropped.show(shadows.dropped)

    telemetry.watch(look)
