"""A call as it is known before its rows are looked at, and what a dialect makes of its body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from models.names import Reference
from models.requests.asked import Asked
from models.requests.bounds import Bounds
from models.versions import Version
from service.observing import Outcome
from service.wsgi import Headers


class Address(NamedTuple):
    """What a path says: the dialect, how its answers are told of, and which model it names."""

    dialect: Dialect
    answered: Outcome
    model: str | None = None
    version: Reference = None


class Head(NamedTuple):
    """A call that may be plain, judged by its head: whose it is, and how many bytes follow."""

    address: Address
    headers: Mapping[str, str]
    token: str
    tenant: str
    size: int


class Reading(NamedTuple):
    """What a body says: the rows, by which outputs of a model, and how they are to be written.

    `wanted` is equal in all calls that want the same outputs.
    """

    asked: Asked
    wanted: Any
    wishes: Any = None


class Dialect(Protocol):
    """The two ends of a form of requests and answers."""

    @property
    def name(self) -> str:
        """What it is called in metrics and traces."""
        ...

    def takes(self, headers: Mapping[str, str]) -> bool:
        """Whether a body with these headers may be plain."""
        ...

    def read(self, head: Head, body: bytes, bounds: Bounds) -> Reading:
        """Read a body; raises InputRefused."""
        ...

    def write(
        self, head: Head, reading: Reading, version: Version, method: str, answers: NDArray[Any]
    ) -> tuple[Headers, bytes]:
        """Write an answer, and the headers that describe it; raises InputRefused."""
        ...
