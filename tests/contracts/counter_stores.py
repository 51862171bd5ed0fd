"""An empty store of counters of each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from config.counters import Counters, Seed
from config.counters.embedded import EmbeddedCounters
from config.counters.local import LocalCounters
from config.counters.shared import SharedCounters
from tests.contracts.counter_processes import PATIENT_SECONDS

NOW = 1_800_000_000.0
Make = Callable[..., Counters]


@pytest.fixture(params=["local", "embedded", "shared"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Opens an empty store of each kind whose clock stands at NOW, in its options."""
    opened: list[Counters] = []
    url = request.getfixturevalue("valkey_url") if request.param == "shared" else ""
    if url:
        Redis.from_url(url).flushall()

    def build(*, seed: Seed | None = None) -> Counters:
        if request.param == "local":
            opened.append(LocalCounters(seed=seed, clock=lambda: NOW, wall=lambda: NOW))
        elif request.param == "embedded":
            path = tmp_path / "counters.lmdb"
            opened.append(EmbeddedCounters(path, seed=seed, clock=lambda: NOW, wall=lambda: NOW))
        else:
            opened.append(SharedCounters(url, seed=seed, timeout=PATIENT_SECONDS))
        return opened[-1]

    yield build
    for counters in opened:
        counters.close()


@pytest.fixture
def counters(make: Make) -> Counters:
    """An empty store."""
    return make()


@pytest.fixture(params=["embedded", "shared"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store that processes share."""
    if request.param == "embedded":
        return str(tmp_path / "counters.lmdb")
    url = str(request.getfixturevalue("valkey_url"))
    Redis.from_url(url).flushall()
    return url
