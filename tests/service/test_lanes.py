"""Callers that wait are served in turn, whoever sends most."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.lanes import Lanes, LanesFull


def run(scenario: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(scenario(), 10))


async def served_order(arrivals: list[str]) -> list[str]:
    """In which order one thread serves callers that all arrived while it was busy."""
    lanes = Lanes("test", threads=1, waiting=1000, waiting_each=1000)
    gate, order = threading.Event(), list[str]()
    first = asyncio.ensure_future(lanes.run("busy", gate.wait))
    await asyncio.sleep(0)

    def serve(lane: str) -> Callable[[], None]:
        return lambda: order.append(lane)

    waiting: list[Awaitable[None]] = [
        asyncio.ensure_future(lanes.run(lane, serve(lane))) for lane in arrivals
    ]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, *waiting)
    return order


@given(st.lists(st.sampled_from("abcd"), max_size=40))
def test_nobody_waits_for_more_than_one_call_of_each_other_caller_per_own_call(
    arrivals: list[str],
) -> None:
    order = run(lambda: served_order(arrivals))

    assert sorted(order) == sorted(arrivals)
    for lane in set(arrivals):
        for nth, position in enumerate(i for i, served in enumerate(order) if served == lane):
            ahead = order[:position]
            assert all(ahead.count(other) <= nth + 1 for other in set(arrivals) - {lane})


def test_a_caller_with_twenty_times_as_many_calls_delays_another_by_one_turn() -> None:
    order = run(lambda: served_order(["greedy"] * 20 + ["modest"]))

    assert order.index("modest") <= 1


def test_a_full_lane_refuses_its_own_caller_alone() -> None:
    async def scenario() -> None:
        lanes = Lanes("test", threads=1, waiting=10, waiting_each=2)
        gate = threading.Event()
        running = [asyncio.ensure_future(lanes.run("greedy", gate.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(LanesFull):
            await lanes.run("greedy", gate.wait)
        modest = asyncio.ensure_future(lanes.run("modest", lambda: 7))
        await asyncio.sleep(0)
        gate.set()
        assert await modest == 7
        await asyncio.gather(*running)

    run(scenario)


def test_one_caller_never_holds_the_last_of_several_threads() -> None:
    async def scenario() -> None:
        lanes = Lanes("test", threads=3, waiting=10, waiting_each=10)
        gate = threading.Event()
        greedy = [asyncio.ensure_future(lanes.run("greedy", gate.wait)) for _ in range(6)]
        await asyncio.sleep(0)

        assert await asyncio.wait_for(lanes.run("modest", lambda: 7), 5) == 7

        gate.set()
        assert await asyncio.gather(*greedy) == [True] * 6

    run(scenario)


def test_a_caller_that_goes_away_while_waiting_costs_nobody_a_thread() -> None:
    async def scenario() -> None:
        lanes = Lanes("test", threads=1, waiting=10, waiting_each=10)
        gate = threading.Event()
        first = asyncio.ensure_future(lanes.run("a", gate.wait))
        gone = asyncio.ensure_future(lanes.run("b", lambda: None))
        await asyncio.sleep(0)
        gone.cancel()
        gate.set()
        await first
        assert await lanes.run("c", lambda: 1) == 1
        assert await lanes.run("d", lambda: 2) == 2

    run(scenario)


def test_a_call_that_raises_gives_its_thread_back() -> None:
    async def scenario() -> None:
        lanes = Lanes("test", threads=1, waiting=10, waiting_each=10)
        with pytest.raises(ZeroDivisionError):
            await lanes.run("a", lambda: 1 // 0)
        assert await lanes.run("a", lambda: 3) == 3

    run(scenario)


def test_a_caller_that_goes_away_while_served_holds_its_thread_until_the_work_ends() -> None:
    async def scenario() -> None:
        lanes = Lanes("test", threads=2, waiting=10, waiting_each=10)
        gate, begun = threading.Event(), threading.Semaphore(0)

        def work() -> None:
            begun.release()
            gate.wait()

        for _ in range(5):  # call and hang up
            call = asyncio.ensure_future(lanes.run("greedy", work))
            await asyncio.sleep(0.01)
            call.cancel()

        assert await asyncio.wait_for(lanes.run("modest", lambda: 7), 5) == 7
        assert begun.acquire(timeout=5)
        assert not begun.acquire(blocking=False), "one thread of two is all that a caller has"
        gate.set()
        assert await lanes.run("greedy", lambda: 1) == 1

    run(scenario)
