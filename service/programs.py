"""The programs that the supervisor runs."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config.errors import ConfigurationError
from config.settings import PREFIX, Settings
from models.formats import Flavour
from models.hosting.starting import scrubbed_environment
from service.hosting import hosts_socket, installed_flavours, parentage_of


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program under supervision: its command line, and where it listens, if it does.

    It is given `--listener`, `--ready` (write a byte when serving) and `--lifeline` (readable
    when the supervisor is gone) with the numbers of the descriptors that it inherits. With an
    `environment` it is given that one alone, and nothing of the supervisor's.

    One with several `accepting` processes is given as many listeners at its port. One that `shares`
    its port listens there itself, with the listener as a place holder that does not. `setting` is
    what an operator sets for another port.
    """

    name: str
    argv: tuple[str, ...]
    host: str = ""
    port: int | None = None
    setting: str = "--port"
    accepting: int = 1
    shares: bool = False
    path: Path | None = None  # of a Unix socket
    environment: Mapping[str, str] | None = None


def programs_of(
    settings: Settings, *, application: str = "service.app:create_application"
) -> tuple[Program, ...]:
    """Return the programs that the settings ask for."""
    python = (sys.executable, "-P", "-m")  # -P: never import from the current folder
    web = Program(
        name="web",
        argv=(*python, "service.workers", "--application", application),
        host=settings.host,
        port=settings.port,
        accepting=settings.workers,
    )
    mutual_tls = Program(
        name="mutual-tls",
        argv=(*python, "service.mutual_tls", "--application", application),
        host=settings.host,
        port=settings.client_certificate_port,
        setting=f"{PREFIX}CLIENT_CERTIFICATE_PORT",
    )
    serving = (web, mutual_tls) if settings.client_certificate_port else (web,)
    if settings.grpc_port:
        serving = (*serving, _grpc(settings, python))
    return (*serving, *(_hosts(settings, flavour) for flavour in installed_flavours()))


def _grpc(settings: Settings, python: tuple[str, ...]) -> Program:
    """What speaks gRPC, if its libraries are installed; raises ConfigurationError."""
    for library in ("grpc", "google.protobuf"):
        if not _is_installed(library):
            raise ConfigurationError(
                f"{PREFIX}GRPC_PORT",
                f"the port needs the extra grpc, whose {library} is not installed",
                "Install it with: pip install -r requirements-grpc.lock, or leave the port 0",
            )
    return Program(
        name="grpc",
        argv=(*python, "service.grpc_inference"),
        host=settings.host,
        port=settings.grpc_port,
        setting=f"{PREFIX}GRPC_PORT",
        shares=True,
    )


def _is_installed(library: str) -> bool:
    try:
        return importlib.util.find_spec(library) is not None
    except ModuleNotFoundError:  # what it is a part of
        return False


def _hosts(settings: Settings, flavour: Flavour) -> Program:
    """What runs tenants' models: it is given no secret, and not where one could be."""
    return Program(
        name=f"hosts-{flavour}",
        argv=parentage_of(settings, flavour).argv,
        path=hosts_socket(settings, flavour),
        environment=scrubbed_environment(),
    )
