"""How a process that runs a tenant's model is confined, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from models.errors import SandboxTooWeak

Level = Literal["full", "reduced", "none"]

SURROUNDINGS: Final = "surroundings"
LIMITS: Final = "limits"
NAMESPACES: Final = "namespaces"
IDENTITY: Final = "identity"
PRIVILEGES: Final = "privileges"
FILES: Final = "files"
CALLS: Final = "calls"

# What a default container may lack: the rest still lets no code out.
DISPENSABLE: Final = frozenset({NAMESPACES, FILES})
RANKS: Final[Mapping[str, int]] = {"none": 0, "reduced": 1, "full": 2}


@dataclass(frozen=True, kw_only=True, slots=True)
class Confinement:
    """What a process may still have once it is in the sandbox.

    `memory_bytes` is what it may grow by over what it has at the entrance. `keep` are the
    descriptors that stay open; `log` receives standard output and error, and must be a pipe or
    socket. `threads` is for libraries that cannot do without: they start theirs on the way in, and
    may start more, but no processes. `uid` is whom a process of root becomes; by default a user of
    its own.
    """

    memory_bytes: int
    keep: tuple[int, ...] = ()
    log: int | None = None
    threads: bool = False
    uid: int | None = None
    niceness: int = 0
    cpu_seconds: int | None = None
    most_descriptors: int = 32
    level: Level = "reduced"


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of the sandbox, whether it holds, and if not, why."""

    name: str
    holds: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """Which layers hold, and the level that this makes."""

    level: Level
    layers: tuple[Layer, ...]

    @classmethod
    def of(cls, layers: tuple[Layer, ...]) -> Self:
        """Judge the layers: `reduced` may lack what a default container lacks, and no more."""
        lacking = {layer.name for layer in layers if not layer.holds}
        if not lacking:
            return cls("full", layers)
        return cls("reduced" if lacking <= DISPENSABLE else "none", layers)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Read what `as_json` gave."""
        return cls.of(
            tuple(Layer(each["name"], each["holds"], each["reason"]) for each in body["layers"])
        )

    @property
    def lacking(self) -> str:
        """What does not hold, and why, in words; empty where all is well."""
        return "; ".join(f"{lay.name} ({lay.reason})" for lay in self.layers if not lay.holds)

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON can hold it."""
        layers = [
            {"name": layer.name, "holds": layer.holds, "reason": layer.reason}
            for layer in self.layers
        ]
        return {"level": self.level, "layers": layers}


def require(report: SandboxReport, level: Level) -> None:
    """Raise SandboxTooWeak unless the sandbox has at least this level."""
    if RANKS[report.level] < RANKS[level]:
        raise SandboxTooWeak(report.level, level, report.lacking)
