"""Parents of hosts that tests share, and what they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest

from models.execution.hosts import HostExecutor
from models.hosting.client import HostsClient
from models.hosting.starting import HostLimits, Parentage, PrivateParent
from models.versions import Version
from tests.models.hosting.shelf import Shelf

LIGHT = "tests.models.hosting.light_parent"
SECONDS = 20.0


class KeptIncidents:
    """Remembers incidents in a list; nothing breaks a version but a test."""

    def __init__(self) -> None:
        self.recorded: list[tuple[str, str]] = []
        self.broken: dict[str, str] = {}

    def record(self, version: Version, reason: str) -> None:
        """Keep it."""
        self.recorded.append((version.id, reason))

    def open(self, version: Version) -> str | None:
        """What a test has said."""
        return self.broken.get(version.id)


@dataclass(eq=False)
class Hosts:
    """An executor in this process, a shelf of versions, and what became of them."""

    client: HostsClient
    shelf: Shelf = field(default_factory=Shelf)
    incidents: KeptIncidents = field(default_factory=KeptIncidents)
    batches: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.executor = self.worker(self.client)

    def worker(self, client: HostsClient) -> HostExecutor:
        """An executor as a web worker has one."""
        return HostExecutor(
            {"sklearn": client},
            self.shelf.fetch,
            self.incidents,
            seconds=SECONDS,
            observe=lambda batch, _seconds: self.batches.append(batch),
        )

    def doing(self, text: str, *, tenant: str = "tnt_acme") -> Version:
        """A version of a light parent's model that does what its text says."""
        return self.shelf.doing(text, tenant=tenant)

    @property
    def parent(self) -> psutil.Process:
        """The parent's process."""
        return psutil.Process(self.status()["pid"])

    def status(self) -> dict[str, Any]:
        """What the parent says."""
        return self.client.status()

    def host_of(self, tenant: str) -> dict[str, Any] | None:
        """What the parent says of one host."""
        return next((h for h in self.status()["hosts"] if h["tenant"] == tenant), None)


Start = Callable[..., Hosts]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start light parents with limits of their own."""
    with ExitStack() as stack:

        def started(**limits: float) -> Hosts:
            values: dict[str, Any] = {"host_memory_bytes": 128 * 1024**2} | limits
            parentage = Parentage(limits=HostLimits(**values), level="reduced", module=LIGHT)
            return Hosts(stack.enter_context(closing(HostsClient(PrivateParent(parentage)))))

        yield started


@pytest.fixture
def hosts(start: Start) -> Hosts:
    """A light parent with the limits of the settings' defaults, but less memory."""
    return start()


@pytest.fixture(scope="package")
def warm_hosts() -> Iterator[Hosts]:
    """A parent as it is served: with scikit-learn and all."""
    with closing(HostsClient(PrivateParent(Parentage(level="reduced")))) as client:
        yield Hosts(client)
