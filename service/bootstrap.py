"""Wiring: the one place where the platform's parts are made and handed to each other."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from secrets import token_bytes
from typing import Any, Final

import structlog

from auth.accounts import Accounts
from auth.audit import AuditTrail
from auth.clients import Clients
from auth.idempotency import IdempotencyKeys
from auth.keys import KeyRing, SigningKey, VerifyingKey
from auth.login import Login
from auth.otp import Otp
from auth.passwords import PasswordHasher
from auth.plans import Plans, TenantLimits
from auth.principals import Principals
from auth.revocations import RevokedTokens
from auth.scope import Scope
from auth.secrets import PlatformSecrets
from auth.sessions import Sessions
from auth.tenants import Tenants
from auth.tokens import AccessTokens
from auth.usage import UsageLedger
from certs.authority import Authority
from config.counters import Counters, Seed
from config.counters.embedded import EmbeddedCounters
from config.counters.guarded import GuardedCounters
from config.counters.statistics import Statistics
from config.database import Database
from config.epoch import Epoch, EpochCache
from config.sealing import Sealer
from config.settings import Settings
from config.telemetry import Telemetry
from config.tracing import Tracing
from models.gates.kept import Gates
from models.job_queue import Jobs
from models.names import Reference
from models.prediction_log.logs import PredictionLogs
from models.prediction_log.writing import Outcome
from models.register.artefacts import Artefacts
from models.register.registry import Registry
from models.requests.bounds import Bounds
from models.requests.worked import Worked
from models.routing.plans import Plan, Routing
from models.routing.shadows import Shadows
from models.routing.succession import Succession
from models.routing.traffic import Traffic
from models.schedules import Schedules
from models.serving import ServingExecutor
from models.training_results import TrainingResults
from models.uploads import Uploads
from service.execution import Hosting, assemble_hosting
from service.streams import Streams
from service.watching import watch_caches, watch_database, watch_shadows

MANIFEST_KEY: Final = "manifest"
CALLERS: Final = 10_000
TENANTS: Final = 10_000
WORKED: Final = 200  # a row may have thousands of columns
ONE: Final = "one"
TRACES_SECONDS: Final = 2.0  # that the last traces have to leave

log = structlog.get_logger("sallyport.platform")


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a credential stands for, and until which Unix time if nothing changes."""

    scope: Scope
    until: float


@dataclass(frozen=True, slots=True)
class Caches:
    """What a worker remembers while the epoch stands."""

    callers: EpochCache[str, Caller]  # by access token
    certified: EpochCache[bytes, Caller]  # by client certificate
    basics: EpochCache[bytes, Caller]  # by a keyed hash of identifier and secret
    limits: EpochCache[str, TenantLimits]
    plans: EpochCache[tuple[str, str | None, Reference], Plan]
    worked: EpochCache[str, Worked]  # by a version's id
    signers: EpochCache[str, SigningKey]
    verifiers: EpochCache[str, Mapping[str, VerifyingKey]]
    key_sets: EpochCache[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Platform:
    """Every part of an installation, in one process."""

    settings: Settings
    clock: Callable[[], float]
    holder: str  # this process, among all that hold places in the counter store
    telemetry: Telemetry
    tracing: Tracing
    database: Database
    counters: GuardedCounters
    statistics: Statistics
    epoch: Epoch
    caches: Caches
    basic_key: bytes = field(default_factory=partial(token_bytes, 32), repr=False)
    authority: Authority
    # who
    secrets: PlatformSecrets
    keys: KeyRing
    tokens: AccessTokens
    revoked: RevokedTokens
    audit: AuditTrail
    idempotency: IdempotencyKeys
    tenants: Tenants
    hasher: PasswordHasher
    otp: Otp
    login: Login
    accounts: Accounts
    principals: Principals
    clients: Clients
    sessions: Sessions
    plans: Plans = field(default_factory=Plans)
    usage: UsageLedger
    # what predicts
    registry: Registry
    artefacts: Artefacts
    uploads: Uploads
    jobs: Jobs
    trainings: Jobs
    local_trainings: Jobs
    training_results: TrainingResults = field(default_factory=TrainingResults)
    hosting: Hosting
    executor: ServingExecutor
    bounds: Bounds
    routing: Routing
    succession: Succession
    traffic: Traffic
    shadows: Shadows
    prediction_logs: PredictionLogs
    gates: Gates
    schedules: Schedules
    streams: Streams

    def limits_of(self, tenant_id: str) -> TenantLimits:
        """The limits in force for a tenant."""
        return self.caches.limits.fetch(tenant_id, lambda: self._limits(tenant_id))

    def signer(self) -> SigningKey:
        """The key that signs in this epoch."""
        return self.caches.signers.fetch(ONE, self._signer)

    def verifiers(self) -> Mapping[str, VerifyingKey]:
        """The keys that verify in this epoch."""
        return self.caches.verifiers.fetch(ONE, self._verifiers)

    def key_set(self) -> dict[str, Any]:
        """The public key set of this epoch."""
        return self.caches.key_sets.fetch(ONE, self._key_set)

    def close(self) -> None:
        """Close what is open in this process."""
        self.shadows.stop()
        self.prediction_logs.waiting.stop()
        self.tracing.close(TRACES_SECONDS)
        self.hosting.close()
        self.hasher.close()
        self.counters.close()
        self.epoch.close()
        self.database.close()

    def _limits(self, tenant_id: str) -> TenantLimits:
        with self.database.read() as session:
            return self.plans.effective(session, tenant_id)

    def _signer(self) -> SigningKey:
        with self.database.read() as session:
            return self.keys.signer(session)

    def _verifiers(self) -> Mapping[str, VerifyingKey]:
        with self.database.read() as session:
            return self.keys.verifiers(session)

    def _key_set(self) -> dict[str, Any]:
        with self.database.read() as session:
            return self.keys.jwks(session)


def assemble(
    settings: Settings, clock: Callable[[], float] = time.time, *, served: bool = False
) -> Platform:
    """Make every part of the platform; nothing is opened before it is used."""
    sealer = Sealer(settings.master_keys)
    telemetry = Telemetry()
    database = Database(settings.database)
    epoch = Epoch(database, settings.state / "epoch.lmdb")
    secrets = PlatformSecrets(sealer)
    tenants = Tenants(sealer, clock)
    artefacts = Artefacts.of(settings)
    registry = Registry(lambda session: secrets.get(session, MANIFEST_KEY), tenants.data_key, clock)
    hosting = assemble_hosting(
        settings, database, epoch, registry, artefacts, telemetry, clock=clock, served=served
    )
    usage = UsageLedger(clock)
    counters = _counters(settings, telemetry, _seed(database, usage))
    caches, holder = _caches(epoch, clock), f"{socket.gethostname()}:{os.getpid()}"
    watch_database(telemetry, database)
    watch_caches(telemetry, caches)
    return Platform(
        settings=settings,
        clock=clock,
        holder=holder,
        telemetry=telemetry,
        tracing=Tracing(settings, telemetry, instance=holder),
        database=database,
        counters=counters,
        statistics=Statistics(counters),
        epoch=epoch,
        caches=caches,
        secrets=secrets,
        audit=AuditTrail(secrets, clock),
        idempotency=IdempotencyKeys(tenants.data_key, clock),
        tenants=tenants,
        usage=usage,
        artefacts=artefacts,
        prediction_logs=_prediction_logs(settings, database, tenants, telemetry, clock),
        **_identity(settings, sealer, clock),
        **_serving(settings, registry, hosting, telemetry, clock),
    )


def _identity(settings: Settings, sealer: Sealer, clock: Callable[[], float]) -> dict[str, Any]:
    """The parts that know who calls."""
    hasher = PasswordHasher(settings)
    otp = Otp(sealer, clock)
    return {
        "authority": _authority(settings, sealer, clock),
        "keys": KeyRing(sealer, settings, clock),
        "tokens": AccessTokens(settings),
        "revoked": RevokedTokens(settings, clock),
        "hasher": hasher,
        "otp": otp,
        "login": Login(hasher, otp),
        "accounts": Accounts(otp, clock),
        "principals": Principals(clock),
        "clients": Clients(clock),
        "sessions": Sessions(settings, clock),
    }


def _serving(
    settings: Settings,
    registry: Registry,
    hosting: Hosting,
    telemetry: Telemetry,
    clock: Callable[[], float],
) -> dict[str, Any]:
    """The parts that take models in, run them, and divide calls between them."""
    executor, traffic = hosting.executor, Traffic(clock)
    shadows = Shadows(executor, traffic)
    watch_shadows(telemetry, shadows)
    return {
        "registry": registry,
        "gates": Gates(clock),
        "schedules": Schedules(clock),
        "streams": _streams(telemetry),
        "hosting": hosting,
        "uploads": Uploads.of(settings),
        "jobs": Jobs(clock),
        "trainings": Jobs(clock, kind="training"),
        "local_trainings": Jobs(clock, kind="local"),
        "executor": executor,
        "bounds": Bounds.of(settings),
        "routing": Routing(registry, clock),
        "succession": Succession(executor, clock),
        "traffic": traffic,
        "shadows": shadows,
    }


def _streams(telemetry: Telemetry) -> Streams:
    streams = Streams()
    telemetry.watch(lambda: telemetry.streams.set(streams.count))
    return streams


def _prediction_logs(
    settings: Settings,
    database: Database,
    tenants: Tenants,
    telemetry: Telemetry,
    clock: Callable[[], float],
) -> PredictionLogs:
    def count(outcome: Outcome, rows: int) -> None:
        telemetry.log_rows.labels(outcome).inc(rows)

    logs = PredictionLogs.of(settings, database, tenants.data_key, count, clock)
    telemetry.watch(lambda: telemetry.log_waiting.set(logs.waiting.waiting_bytes))
    return logs


def _caches(epoch: Epoch, clock: Callable[[], float]) -> Caches:
    return Caches(
        callers=EpochCache(epoch, CALLERS, concerns=lambda c: c.scope.tenant_id, clock=clock),
        certified=EpochCache(epoch, CALLERS, concerns=lambda c: c.scope.tenant_id, clock=clock),
        basics=EpochCache(epoch, CALLERS, concerns=lambda c: c.scope.tenant_id, clock=clock),
        limits=EpochCache(epoch, TENANTS, concerns=lambda limits: limits.tenant_id, clock=clock),
        plans=EpochCache(epoch, TENANTS, concerns=lambda p: p.tenant_id, clock=clock),
        worked=EpochCache(epoch, WORKED, concerns=lambda w: w.tenant_id, clock=clock),
        signers=EpochCache(epoch, 1, clock=clock),
        verifiers=EpochCache(epoch, 1, clock=clock),
        key_sets=EpochCache(epoch, 1, clock=clock),
    )


def _counters(settings: Settings, telemetry: Telemetry, seed: Seed) -> GuardedCounters:
    """The counter store behind its failure policy; each change of mode is logged and shown."""

    def on_mode(shared: bool) -> None:
        telemetry.counters_shared.set(int(shared))
        log.warning("the counter store decides again" if shared else "limits are counted locally")

    telemetry.counters_shared.set(1)
    store = _counter_store(settings, seed)
    return GuardedCounters(store, workers=settings.answering, on_mode=on_mode, seed=seed)


def _counter_store(settings: Settings, seed: Seed) -> Counters:
    if not settings.counters_url:
        return EmbeddedCounters(settings.state / "counters.lmdb", seed=seed)
    from config.counters.shared import SharedCounters  # its library is slow to import

    return SharedCounters(settings.counters_url, seed=seed)


def _seed(database: Database, usage: UsageLedger) -> Seed:
    """How much of a day's quota was used before a counter store was made anew."""

    def used(key: tuple[str, ...], day: str) -> int:
        with database.read() as session:
            return usage.rows_on(session, key[0], day)

    return used


def _authority(settings: Settings, sealer: Sealer, clock: Callable[[], float]) -> Authority:
    return Authority(
        settings.instance / "certs",
        sealer=sealer,
        names=settings.server_names,
        days=settings.certificate_days,
        clock=clock,
    )
