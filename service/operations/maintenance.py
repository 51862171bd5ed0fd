"""What must be done from time to time, by one worker for all."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from models.errors import HostsUnavailable
from service.bootstrap import Platform
from service.operations import jobs, statistics

STATUS_SECONDS: Final = 0.2  # the rest of the upkeep waits for it


def follow_epoch(platform: Platform) -> None:
    """See what another machine changed, or a process that died before it could tell."""
    platform.telemetry.epoch.set(platform.epoch.refresh())


def follow_hosts(platform: Platform) -> None:
    """Show what the parents of hosts tell; one that does not answer at once has none to show."""
    for flavour, client in platform.hosting.hosts.items():
        status: dict[str, Any] = {"living": 0, "bytes": 0, "counts": {}}
        if client.is_there:
            with suppress(HostsUnavailable):
                status = client.status(seconds=STATUS_SECONDS)
        telemetry = platform.telemetry
        telemetry.hosts.labels(flavour).set(status["living"])
        telemetry.host_bytes.labels(flavour).set(status["bytes"])
        for event, count in status["counts"].items():
            telemetry.host_events.labels(flavour, event).set(count)


def flush_usage(platform: Platform) -> None:
    """Write the running totals of usage where they are durable."""
    with platform.database.write() as session:
        platform.usage.flush(session, platform.counters)


def tidy(platform: Platform) -> None:
    """Forget what has expired: keys, revocations, sessions, counts of routes, jobs."""
    with platform.database.write() as session:
        gone = platform.keys.expire(session)
        platform.revoked.purge_revoked(session)
        platform.sessions.purge(session)
        platform.routing.forget_old(session)
        if gone:
            platform.epoch.raise_in(session)
    platform.epoch.publish()
    jobs.tidy(platform)
    flush_usage(platform)
    platform.usage.forget_flushed(platform.counters)
    statistics.prune(platform)


def renew_certificate(platform: Platform) -> bool:
    """Renew the server's certificate or the revocation list if it is time; say whether it was."""
    renewal = platform.authority.renew()
    if renewal.renewed:
        with platform.database.write() as session:
            platform.audit.append(
                session,
                actor="upkeep",
                tenant_id=None,
                action="certs.renew",
                subject=renewal.certificate.fingerprint,
                details={"reason": renewal.reason},
            )
    return renewal.renewed


def record_mode(platform: Platform, *, shared: bool) -> None:
    """Put on record that a worker counts limits in the shared store again, or on its own share."""
    with platform.database.write() as session:
        platform.audit.append(
            session,
            actor=f"worker:{platform.holder}",
            tenant_id=None,
            action="limits.mode",
            subject="shared" if shared else "local",
        )
