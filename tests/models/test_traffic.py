from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.routes import Bounds
from models.routing.traffic import GROWTH, RouteKey, Tally, Traffic, agreeing_rows, breach
from tests.auth.clock import Clock

ROUTE = RouteKey("mdl_1", 1)


def _tally(seconds: list[float], errors: int = 0) -> Tally:
    traffic = Traffic(lambda: 100.0)
    for each in seconds:
        traffic.answered(ROUTE, "ver_1", "live", each, failed=False)
    for _ in range(errors):
        traffic.answered(ROUTE, "ver_1", "live", 0.0, failed=True)
    return traffic.recent()[0][1] if seconds or errors else Tally()


@given(st.lists(st.floats(1e-5, 3600), min_size=1, max_size=50), st.sampled_from([0.5, 0.95, 1]))
def test_percentile_is_never_too_low_and_at_most_a_quarter_too_high(
    seconds: list[float], share: float
) -> None:
    exact = sorted(seconds)[max(0, int(np.ceil(share * len(seconds))) - 1)]
    read = _tally(seconds).percentile(share)

    assert read is not None
    assert exact <= read * 1.000001 <= exact * GROWTH * 1.00001


def test_nothing_answered_has_no_percentile_and_no_errors() -> None:
    assert Tally().percentile(0.95) is None
    assert Tally().error_rate == 0


def test_failures_are_counted_apart_from_times() -> None:
    tally = _tally([0.01] * 3, errors=1)

    assert (tally.requests, tally.errors, tally.error_rate) == (4, 1, 0.25)
    assert sum(tally.buckets) == 3


def test_counts_are_kept_for_two_windows_and_by_route_version_and_role() -> None:
    clock = Clock(1000.0)
    traffic = Traffic(clock)
    traffic.answered(ROUTE, "ver_1", "live", 0.1, failed=False)
    traffic.compared(ROUTE, "ver_2", 10, 7)
    clock.advance(10)
    traffic.answered(ROUTE, "ver_1", "live", 0.1, failed=False)
    traffic.answered(RouteKey("mdl_1", 2), "ver_1", "live", 0.1, failed=False)

    windows = sorted(
        (s.window, s.route.revision, s.version_id, s.role) for s, _ in traffic.recent()
    )
    assert windows == [
        (1000, 1, "ver_1", "live"),
        (1000, 1, "ver_2", "shadow"),
        (1010, 1, "ver_1", "live"),
        (1010, 2, "ver_1", "live"),
    ]
    clock.advance(20)
    assert traffic.recent() == []


BOUNDS = Bounds(error_rate=0.1, p95_seconds=0.5, p95_ratio=2, least_requests=10)
FIRST = [0.01] * 100


@pytest.mark.parametrize(
    ("canary", "reason"),
    [
        (_tally([0.01] * 8, errors=2), "2 of 10 calls failed"),
        (_tally([0.9] * 20), "took up to"),
        (_tally([0.04] * 20), "first version's"),
        (_tally([0.01] * 9, errors=1), None),
        (_tally([0.02] * 20), None),
        (_tally([0.01] * 5, errors=4), None),
        (_tally([]), None),
    ],
)
def test_version_is_out_of_bounds_only_with_enough_calls_and_clearly(
    canary: Tally, reason: str | None
) -> None:
    found = breach(BOUNDS, canary, _tally(FIRST))

    assert (found is None) == (reason is None)
    assert reason is None or reason in (found or "")


@pytest.mark.parametrize(
    ("own", "other", "agreeing"),
    [
        (np.array(["a", "b"]), np.array(["a", "c"]), 1),
        (np.array([1, 2]), np.array([1, 2]), 2),
        (np.array([1.0, 2.0]), np.array([1.0, 2.1]), 1),
        (np.array([1.0, np.nan]), np.array([1.0 + 1e-9, np.nan]), 2),
        (np.array([[0.2, 0.8], [0.5, 0.5]]), np.array([[0.2, 0.8], [0.4, 0.6]]), 1),
        (np.array([1.0, 2.0]), np.array([1, 2]), 0),
        (np.array([1.0]), np.array([[1.0]]), 0),
    ],
)
def test_rows_agree_by_equal_labels_or_numbers_that_hardly_differ(
    own: np.ndarray, other: np.ndarray, agreeing: int
) -> None:
    assert agreeing_rows(own, other) == agreeing
