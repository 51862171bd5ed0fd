"""Where models are opened and run: compiled ones here, all others in processes of the sandbox."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy.orm import Session

from config.database import Database
from config.epoch import Epoch, EpochCache
from config.settings import Settings
from config.spans import note
from config.telemetry import Telemetry
from models.execution.hosts import HostExecutor
from models.execution.in_process import InProcessExecutor
from models.formats import Flavour
from models.hosting.client import HostsClient
from models.hosting.links import Access, SharedParent
from models.hosting.starting import NearestParent
from models.intake import Intake
from models.manifest import ENGINE
from models.opening import open_artefact
from models.readers import Readers
from models.register.artefacts import Artefacts
from models.register.incidents import DatabaseIncidents
from models.register.registry import Registry
from models.serving import ServingExecutor
from models.trainers import Trainers
from models.versions import Version
from service.hosting import confined_trainers, hosts_socket, installed_flavours, parentage_of
from service.watching import watch_cache, watch_engines

VERSIONS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a version is run, as the database says in one epoch: `reason` is why not."""

    tenant_id: str
    reason: str | None


class WatchedIncidents:
    """Incidents of versions, remembered while the epoch stands: they are asked at every call."""

    def __init__(self, database: Database, epoch: Epoch, clock: Callable[[], float]) -> None:
        self.kept = DatabaseIncidents(database, on_break=_raise_in(epoch), clock=clock)
        self._epoch = epoch
        self.standings: EpochCache[str, Standing] = EpochCache(
            epoch, VERSIONS, concerns=lambda standing: standing.tenant_id, clock=clock
        )

    def record(self, version: Version, reason: str) -> None:
        """Note that a version has ended its host; every worker sees at once that one is broken."""
        self.kept.record(version, reason)
        self._epoch.publish()

    def open(self, version: Version) -> str | None:
        """Why a version is not to be run any more, or None while it may be."""
        found = self.standings.fetch(
            version.id, lambda: Standing(version.tenant_id, self.kept.open(version))
        )
        return found.reason


def _raise_in(epoch: Epoch) -> Callable[[Session, Version], None]:
    def on_break(session: Session, version: Version) -> None:
        epoch.raise_in(session, version.tenant_id)

    return on_break


@dataclass(frozen=True, slots=True)
class Hosting:
    """What opens and runs models in one process of the platform."""

    hosts: Mapping[Flavour, HostsClient]
    incidents: WatchedIncidents
    executor: ServingExecutor
    intake: Intake
    readers: Readers
    trainers: Trainers

    def keeps_waiting(self, tenant_id: str) -> bool:
        """Whether calls of the tenant are to be expected to wait for a host."""
        return self.executor.keeps_waiting(tenant_id)

    def close(self) -> None:
        """Hang up; a parent of this process's own ends with its hosts."""
        self.trainers.close()
        for client in self.hosts.values():
            client.close()


def assemble_hosting(
    settings: Settings,
    database: Database,
    epoch: Epoch,
    registry: Registry,
    artefacts: Artefacts,
    telemetry: Telemetry,
    *,
    clock: Callable[[], float] = time.time,
    served: bool,
) -> Hosting:
    """Make what opens and runs models; `served` says that a supervisor keeps the hosts' parents."""
    hosts: dict[Flavour, HostsClient] = {
        name: HostsClient(_access(settings, name, served=served)) for name in installed_flavours()
    }
    incidents = WatchedIncidents(database, epoch, clock)

    def fetch(version: Version, role: str) -> bytes:
        with database.read() as session:
            sealer = registry.sealer(session, version)
        return artefacts.open(version, role, sealer)

    compiled = InProcessExecutor(
        lambda version: fetch(version, ENGINE),
        open_artefact,
        budget_bytes=settings.model_cache_bytes,
    )
    watch_engines(telemetry, compiled)
    watch_cache(telemetry, "standings", incidents.standings)
    native = HostExecutor(
        hosts, fetch, incidents, seconds=settings.predict_seconds, observe=_observing(telemetry)
    )
    intake = Intake(
        hosts, memory_bytes=settings.workshop_memory_bytes, most_bytes=settings.max_model_bytes
    )
    readers = Readers(hosts["sklearn"], memory_bytes=settings.bulk_memory_bytes)
    executor, trainers = ServingExecutor(compiled, native), confined_trainers(settings)
    return Hosting(hosts, incidents, executor, intake, readers, trainers)


def _observing(telemetry: Telemetry) -> Callable[[int, float], None]:
    """What is told of each batch: how many calls it had, and how long its host took."""

    def observe(batch: int, seconds: float) -> None:
        telemetry.host_batch.observe(batch)
        telemetry.host_seconds.observe(seconds)
        note("host", seconds, **{"sallyport.batch": batch})

    return observe


def _access(settings: Settings, flavour: Flavour, *, served: bool) -> Access:
    """The parent that a supervisor keeps; a command where none serves has one of its own."""
    path = hosts_socket(settings, flavour)
    if served or settings.hosts_socket_folder:
        return SharedParent(path)
    # Its ordinary life is no concern of whoever reads the output of a command.
    parentage = replace(parentage_of(settings, flavour), log_level="error", log_format="console")
    return NearestParent(path, parentage)
