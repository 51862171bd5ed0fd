from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.errors import ArtefactMissing, PredictionFailed
from models.intake import Prepared
from models.manifest import Manifest
from models.routing.plans import Plan
from models.routing.shadows import MOST_WAITING, Shadowed, Shadows
from models.routing.succession import LONGEST_SECONDS, Succession
from models.routing.traffic import RouteKey, Tally, Traffic
from models.tables import Features
from models.versions import Version
from tests.auth.clock import Clock
from tests.journeys.served import until

ROUTE = RouteKey("mdl_1", 1)
ROWS = np.ones((3, 2))


@dataclass
class Slow:
    """An executor whose versions open when a test lets them."""

    warm_ids: set[str] = field(default_factory=set)
    gate: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)
    fails: bool = False
    opens: bool = True

    def answer(
        self, version: Version, method: str, features: Features, *, seconds: float
    ) -> NDArray[Any]:
        """Answer ones, once the gate is open."""
        self.gate.wait(30)
        self.asked.append(version.id)
        if self.fails:
            raise PredictionFailed(version.model, version.number, "planted")
        return np.array(["yes", "yes", "no"])

    def warm(self, version: Version) -> None:
        """Open the version, once the gate is open."""
        self.gate.wait(30)
        if not self.opens:
            raise ArtefactMissing(version.model, version.number)
        self.warm_ids.add(version.id)

    def is_warm(self, version: Version) -> bool:
        """Say whether it was opened."""
        return version.id in self.warm_ids

    def forget(self, tenant_id: str) -> None:
        """Forget everything."""
        self.warm_ids.clear()


@pytest.fixture
def versions(demo: Prepared) -> list[Version]:
    """Three versions of one model."""
    manifest = Manifest(
        tenant_id="tnt_acme",
        model="linear",
        number=1,
        created_by="x",
        created_at=1.0,
        contents=demo.contents,
    )
    return [Version(f"ver_{n}", replace(manifest, number=n)) for n in (1, 2, 3)]


def _anything(_: Version) -> bool:
    return True


def test_first_plan_is_followed_at_once(versions: list[Version]) -> None:
    plan = Plan((versions[0],))

    assert Succession(Slow()).follow("k", plan, _anything) is plan


def test_new_version_answers_only_when_it_is_open(versions: list[Version]) -> None:
    executor, clock = Slow({"ver_1"}), Clock()
    succession = Succession(executor, clock)
    old, new = Plan((versions[0],)), Plan((versions[1],))
    succession.follow("k", old, _anything)

    meanwhile = succession.follow("k", new, _anything)
    assert meanwhile.versions == old.versions
    assert clock() < meanwhile.until < clock() + 1
    executor.gate.set()
    until(lambda: executor.is_warm(versions[1]))
    assert succession.follow("k", new, _anything) is new


def test_nobody_waits_longer_than_a_second_for_a_version_to_open(versions: list[Version]) -> None:
    executor, clock = Slow({"ver_1"}), Clock()
    succession = Succession(executor, clock)
    new = Plan((versions[1],))
    succession.follow("k", Plan((versions[0],)), _anything)
    assert succession.follow("k", new, _anything) is not new

    clock.advance(LONGEST_SECONDS + 0.01)

    assert succession.follow("k", new, _anything) is new
    executor.gate.set()


def test_version_out_of_service_answers_no_longer_whatever_must_be_opened(
    versions: list[Version],
) -> None:
    executor = Slow({"ver_1"})
    succession = Succession(executor, Clock())
    new = Plan((versions[1],))
    succession.follow("k", Plan((versions[0],)), _anything)

    assert succession.follow("k", new, lambda version: version.number != 1) is new


def test_version_that_does_not_open_is_not_waited_for_by_the_next_plan(
    versions: list[Version],
) -> None:
    executor, clock = Slow({"ver_1"}, opens=False), Clock()
    executor.gate.set()
    succession = Succession(executor, clock)
    succession.follow("k", Plan((versions[0],)), _anything)
    succession.follow("k", Plan((versions[1],)), _anything)
    clock.advance(LONGEST_SECONDS + 0.01)
    succession.follow("k", Plan((versions[1],)), _anything)

    back = Plan((versions[0],))
    assert succession.follow("k", back, _anything) is back


def test_plans_of_two_names_do_not_wait_for_each_other(versions: list[Version]) -> None:
    executor = Slow({"ver_1"})
    succession = Succession(executor, Clock())
    succession.follow("a", Plan((versions[0],)), _anything)
    plan = Plan((versions[1],))

    assert succession.follow("b", plan, _anything) is plan


def _call(shadow: Version, answer: NDArray[Any], features: Any = ROWS) -> Shadowed:
    return Shadowed(ROUTE, shadow, "predict", features, answer)


def _shadow_tally(traffic: Traffic) -> Tally:
    total = Tally()
    for _, tally in traffic.recent():
        total.add(tally)
    return total


def test_shadow_is_compared_without_anybody_waiting_for_it(versions: list[Version]) -> None:
    executor, traffic = Slow(), Traffic()
    shadows = Shadows(executor, traffic)
    shadows.offer(_call(versions[2], np.array(["yes", "no", "no"])))

    assert _shadow_tally(traffic).requests == 0  # offer has returned, nothing has answered
    executor.gate.set()
    until(lambda: _shadow_tally(traffic).requests == 1)
    tally = _shadow_tally(traffic)
    assert (tally.rows_compared, tally.rows_agreeing, tally.errors) == (3, 2, 0)
    shadows.stop()


def test_shadow_that_cannot_follow_is_dropped_and_counted(versions: list[Version]) -> None:
    executor, traffic = Slow(), Traffic()
    shadows = Shadows(executor, traffic)
    for _ in range(MOST_WAITING + 11):
        shadows.offer(_call(versions[2], np.array(["yes"] * 3)))

    assert _shadow_tally(traffic).dropped >= 10
    executor.gate.set()
    shadows.stop()


def test_calls_of_many_values_do_not_pile_up(versions: list[Version]) -> None:
    executor, traffic = Slow(), Traffic()
    shadows = Shadows(executor, traffic)
    wide = np.broadcast_to(np.ones(1), (1_000_000, 2))
    for _ in range(10):
        shadows.offer(_call(versions[2], np.array(["yes"] * 3), wide))

    assert _shadow_tally(traffic).dropped == 10
    executor.gate.set()
    shadows.stop()


def test_tenant_whose_shadow_is_slow_does_not_crowd_out_another(versions: list[Version]) -> None:
    executor, traffic = Slow(), Traffic()
    shadows = Shadows(executor, traffic)
    for _ in range(3 * MOST_WAITING):
        shadows.offer(_call(versions[2], np.array(["yes"] * 3)))
    other = Version("ver_other", replace(versions[0].manifest, tenant_id="tnt_globex"))
    shadows.offer(_call(other, np.array(["yes"] * 3)))

    executor.gate.set()
    until(lambda: "ver_other" in executor.asked)
    assert executor.asked.index("ver_other") <= 2
    shadows.stop()


def test_shadow_that_fails_or_does_not_fit_counts_as_an_error(versions: list[Version]) -> None:
    executor, traffic = Slow(fails=True), Traffic()
    executor.gate.set()
    shadows = Shadows(executor, traffic)
    shadows.offer(_call(versions[2], np.array(["yes"] * 3)))
    shadows.offer(_call(versions[2], np.array(["yes"] * 3), np.ones((3, 5))))

    until(lambda: _shadow_tally(traffic).errors == 2)
    assert executor.asked == ["ver_3"]
    shadows.stop()
