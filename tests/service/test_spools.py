"""Whoever finds no place for an upload waits a little, in turn, and holds nothing meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from service.errors import TooBusy
from service.spools import Spools

LONG = 10.0  # seconds, that no test waits


def run(scenario: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(scenario(), LONG))


def spools(folder: Path, *, most: int = 2, most_each: int = 1, patience: float = LONG) -> Spools:
    return Spools(folder, most=most, most_each=most_each, least_free=0, patience=patience)


async def until_all_wait() -> None:
    """Let every task go on until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_who_asks_again_before_the_place_is_free_waits_for_it(tmp_path: Path) -> None:
    async def scenario() -> int:
        ours = spools(tmp_path)
        with await ours.place("acme"):
            again = asyncio.create_task(ours.place("acme"))
            await until_all_wait()
            assert not again.done()
            assert ours.count == 1
        with await again:
            return ours.count

    assert run(scenario) == 1


def test_who_waits_for_long_is_refused_and_told_to_come_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        ours = spools(tmp_path, patience=0.01)
        with await ours.place("acme"):
            with pytest.raises(TooBusy) as refused:
                await ours.place("acme")
            assert refused.value.retry_after == 1.0
            with await ours.place("globex"):
                assert ours.count == 2
        assert ours.count == 0

    run(scenario)


def test_no_more_wait_for_a_place_than_have_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        ours = spools(tmp_path)
        with await ours.place("acme"):
            waits = asyncio.create_task(ours.place("acme"))
            await until_all_wait()
            with pytest.raises(TooBusy):
                await ours.place("acme")
            waits.cancel()
            await asyncio.wait([waits])
            another = asyncio.create_task(ours.place("acme"))  # in the place of who has gone
            await until_all_wait()
        with await another:
            assert ours.count == 1

    run(scenario)


def test_places_go_from_tenant_to_tenant(tmp_path: Path) -> None:
    async def scenario() -> list[str]:
        ours, order = spools(tmp_path, most=3, most_each=3), list[str]()

        async def upload(tenant: str) -> None:
            with await ours.place(tenant):
                order.append(tenant)
                await until_all_wait()

        greedy = [asyncio.create_task(upload("acme")) for _ in range(5)]
        await asyncio.sleep(0)
        modest = asyncio.create_task(upload("globex"))
        await asyncio.gather(modest, *greedy)
        return order

    assert run(scenario).index("globex") <= 4
