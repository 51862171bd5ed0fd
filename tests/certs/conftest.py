"""A real authority in a folder of the test, and a clock that tests move."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from certs.authority import Authority
from config.sealing import Sealer

MASTER_KEY = bytes(range(32))
NAMES = ("localhost", "127.0.0.1", "::1")
DAY = 86400.0

MakeAuthority = Callable[..., Authority]


class Clock:
    """Unix seconds that start at the real time, because handshakes use that, and can be moved."""

    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def __call__(self) -> float:
        return self.now

    def advance(self, *, days: float) -> None:
        """Move on."""
        self.now += days * DAY


@pytest.fixture
def clock() -> Clock:
    """The time of this test."""
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the authority lives."""
    return tmp_path / "certs"


@pytest.fixture
def make_authority(folder: Path, clock: Clock) -> MakeAuthority:
    """Open the folder as a process of its own would, with other settings where given."""

    def make(
        *, names: tuple[str, ...] = NAMES, keys: tuple[bytes, ...] = (MASTER_KEY,), days: int = 90
    ) -> Authority:
        return Authority(folder, sealer=Sealer(keys), names=names, days=days, clock=clock)

    return make


@pytest.fixture
def authority(make_authority: MakeAuthority) -> Authority:
    """An authority that has a server certificate."""
    authority = make_authority()
    authority.ensure()
    return authority
