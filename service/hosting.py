"""The processes that run tenants' models: their flavours, where they are reached, their bounds."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

from config.settings import Settings
from models.formats import Flavour
from models.hosting.starting import HostLimits, Parentage, PrivateParent
from models.trainers.confined import ConfinedTrainers

TRAINING: Final = "models.training.parent"
# How long the parent of trainings is kept for a further one: it has 300 MB of libraries.
TRAINING_IDLE_SECONDS: Final = 120.0
# What has to be installed for each flavour.
PACKAGES: Final[tuple[tuple[Flavour, str], ...]] = (
    ("sklearn", "sklearn"),
    ("tensorflow", "tensorflow"),
)


def installed_flavours() -> tuple[Flavour, ...]:
    """The flavours whose libraries are installed."""
    return tuple(flavour for flavour, name in PACKAGES if importlib.util.find_spec(name))


def hosts_socket(settings: Settings, flavour: Flavour) -> Path:
    """Where the parent of a flavour's hosts listens."""
    return settings.hosts_sockets / f"hosts-{flavour}.sock"


def parentage_of(settings: Settings, flavour: Flavour) -> Parentage:
    """How the parent of a flavour's hosts is to be."""
    return Parentage(
        flavour=flavour,
        limits=HostLimits(
            hosts_most=settings.hosts_most,
            host_memory_bytes=settings.host_memory_bytes,
            host_idle_seconds=settings.host_idle_seconds,
            predict_seconds=settings.predict_seconds,
        ),
        early=settings.hosts_imports == "early" and flavour == "sklearn",
        level=settings.sandbox_level,
        log_level=settings.log_level,
        log_format=settings.log_format,
    )


def training_parentage(settings: Settings) -> Parentage:
    """How the parent of processes that train is to be; it is started when somebody trains."""
    return Parentage(
        level=settings.sandbox_level,
        log_level=settings.log_level,
        log_format=settings.log_format,
        module=TRAINING,
        idle_seconds=TRAINING_IDLE_SECONDS,
    )


def confined_trainers(settings: Settings) -> ConfinedTrainers:
    """What trains for tenants, with a parent of this process's own once the first one does."""
    parent = PrivateParent(training_parentage(settings))
    return ConfinedTrainers(parent, memory_bytes=settings.training_memory_bytes)
