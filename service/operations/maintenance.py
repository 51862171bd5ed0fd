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
    known = platform.epoch.current()
    last = platform.epoch.refresh()
    now, telemetry = platform.clock(), platform.telemetry
    telemetry.epoch.set(last)
    telemetry.epoch_read.set(now)
    if last > known:  # an epoch is the time of its change, in microseconds, or a little later
        telemetry.epoch_lag.observe(max(0.0, now - last / 1e6))


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


def follow_jobs(platform: Platform) -> None:
    """Show how many jobs have not ended, and how far they are: intakes, and trainings."""
    with platform.database.read() as session:
        counts = platform.jobs.open_by_state(session)
        trainings = platform.trainings.open_by_state(session)
    for state, count in counts.items():
        platform.telemetry.jobs.labels(state).set(count)
    for state, count in trainings.items():
        platform.telemetry.training_jobs.labels(state).set(count)


def follow_certificate(platform: Platform) -> None:
    """Show until when the certificate that is served holds; add up what ended processes counted."""
    served = platform.authority.describe()
    platform.telemetry.expiry.labels(served.source).set(served.not_after)
    platform.telemetry.tidy()


def flush_usage(platform: Platform) -> None:
    """Look at all running totals of usage, and write those that grew where they are durable."""
    with platform.database.write() as session:
        platform.usage.flush(session, platform.counters)


def flush_recent_usage(platform: Platform) -> None:
    """Write the totals that this process has added to; each worker does its own."""
    consumers = platform.counters.take_touched()
    if not consumers:
        return
    try:
        with platform.database.write() as session:
            platform.usage.flush_some(session, platform.counters, consumers)
    except BaseException:
        platform.counters.touch(consumers)
        raise


def tidy(platform: Platform) -> None:
    """Forget what has expired: keys, revocations, sessions, answers, counts of routes, jobs."""
    with platform.database.write() as session:
        gone = platform.keys.expire(session)
        platform.revoked.purge_revoked(session)
        platform.sessions.purge(session)
        platform.idempotency.purge(session)
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
