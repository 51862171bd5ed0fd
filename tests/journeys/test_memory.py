"""What memory a worker keeps when it has answered."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import psutil
import pytest

from tests.journeys.platform import Running, bearer, running, until

MEBIBYTE: Final = 1024 * 1024
CALLERS: Final = 6
CALLS: Final = 12
ROWS: Final = json.dumps({"features": [[value / 7, value / 3] for value in range(10_000)]})
BODY: Final = ROWS.encode() + b" " * (5 * MEBIBYTE)
# What granian's own allocator keeps until it has something to do, and some more.
KEPT_BYTES: Final = 72 * MEBIBYTE


@pytest.fixture
def platform(demo_template: Path, tmp_path: Path) -> Iterator[Running]:
    """A platform of one worker."""
    folder = tmp_path / "instance"
    shutil.copytree(demo_template, folder, symlinks=True)
    with running(folder, WORKERS=1) as served:
        until(served.workers)
        yield served


def calls(platform: Running, token: str) -> int:
    """How many of some large calls, over one connection, are answered."""
    with platform.client() as client:
        answers = [
            client.post("/predict", content=BODY, headers=bearer(token)) for _ in range(CALLS)
        ]
    return sum(answer.status_code == 200 for answer in answers)


def held(worker: psutil.Process) -> int:
    """The bytes that a worker has of its own, which no other process shares."""
    return int(worker.memory_full_info().uss)


def test_a_worker_gives_the_memory_of_large_bodies_back(platform: Running) -> None:
    token = platform.login()["access_token"]
    assert platform.predict(token).status_code == 200
    (worker,) = platform.workers()
    before = held(worker)

    with ThreadPoolExecutor(CALLERS) as callers:
        answered = sum(callers.map(lambda _: calls(platform, token), range(CALLERS)))

    assert answered == CALLERS * CALLS
    until(lambda: held(worker) - before < KEPT_BYTES)
