"""Hosts and intakes as a worker has them, and a neighbour whose predictions must go on."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from sklearn.linear_model import LinearRegression

from models.errors import ModelsError
from models.execution.hosts import HostExecutor
from models.hosting.client import HostsClient
from models.hosting.starting import HostLimits, Parentage, PrivateParent
from models.intake import Intake
from models.stages import Prepared
from models.versions import Version
from tests.models.hosting.shelf import Shelf

SECONDS = 60.0
# Between two predictions of the neighbour: it goes on all the time, but leaves the processor to the
# attack.
PAUSE = 0.005
LIMITS = HostLimits(host_memory_bytes=512 * 1024**2)
UNGUARDED = "tests.attacks.unguarded_parent"
ROWS = np.arange(12, dtype=np.float64).reshape(6, 2)


@dataclass
class Incidents:
    """Remembers what ended hosts, and never breaks a version."""

    recorded: list[str] = field(default_factory=list)

    def record(self, _version: Version, reason: str) -> None:
        """Note it."""
        self.recorded.append(reason)

    def open(self, _version: Version) -> str | None:
        """Every version may be run."""
        return None


class Site:
    """A parent of hosts, its customers, and Globex, which predicts all the time."""

    def __init__(self, parentage: Parentage) -> None:
        self.parent = PrivateParent(parentage)
        self.client = HostsClient(self.parent)
        self.incidents = Incidents()
        self.shelf = Shelf()
        clients = {parentage.flavour: self.client}
        self.executor = HostExecutor(clients, self.shelf.fetch, self.incidents, seconds=SECONDS)
        self.intake = Intake(clients, memory_bytes=1024**3)
        honest = LinearRegression().fit(ROWS, ROWS.sum(axis=1))
        self.honest = self.shelf.version(honest, tenant="tnt_acme")
        self._neighbour = self.shelf.version(honest, tenant="tnt_globex")

    def take_in(
        self, data: bytes, formats: Collection[str], *, seconds: float = SECONDS, **options: Any
    ) -> Prepared:
        """Take in a file for Acme, as an upload is."""
        return self.intake.run(data, formats=formats, seconds=seconds, **options)

    def serves(self, tenant: Literal["acme", "globex"] = "acme") -> bool:
        """Whether an honest model of a tenant answers."""
        version = self.honest if tenant == "acme" else self._neighbour
        answers = self.executor.answer(version, "predict", ROWS, seconds=SECONDS)
        return bool(np.allclose(answers, ROWS.sum(axis=1)))

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Globex predicts meanwhile; each answer must be there and right, to the last."""
        over, failures, count = threading.Event(), list[str](), 0
        before = self.client.status()["pid"]

        def predict() -> None:
            nonlocal count
            while not over.is_set():
                try:
                    if not self.serves("globex"):
                        failures.append("a wrong answer")
                    count += 1
                except ModelsError as error:
                    failures.append(str(error))
                over.wait(PAUSE)

        assert self.serves("globex")
        thread = threading.Thread(target=predict)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        assert not failures
        assert count
        assert self.serves("globex")
        assert self.client.status()["pid"] == before, "the parent of all hosts has ended"

    def close(self) -> None:
        """End it all."""
        self.client.close()
        self.parent.close()


@contextmanager
def opened(parentage: Parentage) -> Iterator[Site]:
    """A site whose hosts are confined by every layer."""
    with closing(Site(parentage)) as site:
        yield site


def guarded(flavour: Literal["sklearn", "tensorflow"] = "sklearn") -> Parentage:
    """A parent as an installation has it."""
    return Parentage(flavour=flavour, level="full", limits=LIMITS)


def unguarded(flavour: Literal["sklearn", "tensorflow"] = "sklearn") -> Parentage:
    """A parent that takes any file."""
    return Parentage(flavour=flavour, level="full", limits=LIMITS, module=UNGUARDED)
