from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import RouteRefused
from models.routes import Arm, Bounds, Route, Shadow, choose, place, read_route

CANARY: dict[str, Any] = {
    "split": [{"version": "champion", "weight": 95}, {"version": "canary", "weight": 5}],
    "sticky": "caller",
    "shadow": {"version": 7, "share": 0.25},
    "bounds": {"error_rate": 0.02, "p95_ratio": 2, "least_requests": 20, "window_seconds": 60},
}


def test_route_is_read_as_it_was_written() -> None:
    route = read_route(CANARY)

    assert route.split == (Arm("champion", 95), Arm("canary", 5))
    assert route.shadow == Shadow(7, 0.25)
    assert route.bounds == Bounds(error_rate=0.02, p95_ratio=2, least_requests=20)
    assert route.versions == ("champion", "canary", 7)
    assert read_route(route.as_json()) == route


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"split": []}, "/split"),
        ({"split": "champion"}, "/split"),
        ({"split": [{"version": "a", "weight": 1}] * 2}, "/split"),
        ({"split": [{"version": "a", "weight": 0}]}, "/split"),
        ({"split": [{"version": "a"}]}, "/split/0/weight"),
        ({"split": [{"version": "a", "weight": True}]}, "/split/0/weight"),
        ({"split": [{"version": "a", "weight": -1}]}, "/split/0/weight"),
        ({"split": [{"version": "a", "weight": 0.5}]}, "/split/0/weight"),
        ({"split": [{"version": 0, "weight": 1}]}, "/split/0/version"),
        ({"split": [{"version": "../x", "weight": 1}]}, "/split/0/version"),
        ({"split": [{"version": "a", "weight": 1, "x/y": 1}]}, "/split/0/x~1y"),
        ({"split": [1]}, "/split/0"),
        ({"sticky": "cookie"}, "/sticky"),
        ({"header": "X-User"}, "/header"),
        ({"sticky": "header"}, "/header"),
        ({"sticky": "header", "header": "X User"}, "/header"),
        ({"sticky": "header", "header": "X" * 65}, "/header"),
        ({"shadow": {"version": 1, "share": 0}}, "/shadow/share"),
        ({"shadow": {"version": 1, "share": 1.1}}, "/shadow/share"),
        ({"shadow": {"share": 1}}, "/shadow/version"),
        ({"bounds": {}}, "/bounds"),
        ({"bounds": {"least_requests": 5}}, "/bounds"),
        ({"bounds": {"error_rate": 2}}, "/bounds/error_rate"),
        ({"bounds": {"error_rate": float("nan")}}, "/bounds/error_rate"),
        ({"bounds": {"error_rate": 0.1, "window_seconds": 1.5}}, "/bounds/window_seconds"),
        ({"weights": 1}, "/weights"),
    ],
)
def test_malformed_route_is_refused_with_its_place(change: dict[str, Any], path: str) -> None:
    with pytest.raises(RouteRefused) as refused:
        read_route(CANARY | change)

    assert refused.value.path == path


def test_version_taken_out_leaves_its_calls_to_the_first() -> None:
    route = read_route(CANARY).without("canary")

    assert route.split == (Arm("champion", 100),)
    assert route.shadow == Shadow(7, 0.25)


weights = st.lists(st.integers(0, 1000), min_size=1, max_size=8).filter(any)
callers = st.text(min_size=1, max_size=20)


@given(weights, callers)
def test_caller_always_comes_to_the_same_version_and_never_to_one_without_weight(
    split: list[int], caller: str
) -> None:
    at = place("mdl_0123456789abcdef", caller)
    chosen = choose(tuple(split), at)

    assert 0 <= at < 1
    assert split[chosen] > 0
    assert chosen == choose(tuple(split), place("mdl_0123456789abcdef", caller))


@given(st.integers(1, 99), st.integers(1, 99), callers)
def test_growing_canary_keeps_the_callers_that_it_has(less: int, more: int, caller: str) -> None:
    less, more = sorted((less, more))
    at = place("mdl_0123456789abcdef", caller)

    assert choose((100 - less, less), at) <= choose((100 - more, more), at)


def test_calls_are_divided_as_the_weights_say() -> None:
    places = [place("mdl_0123456789abcdef", f"usr_{n}") for n in range(20_000)]
    shares = Counter(choose((70, 25, 5), at) for at in places)

    assert [round(shares[index] / 20_000, 2) for index in range(3)] == [
        pytest.approx(share, abs=0.015) for share in (0.7, 0.25, 0.05)
    ]


def test_two_models_put_their_callers_in_other_places() -> None:
    assert place("mdl_a", "usr_1") != place("mdl_b", "usr_1")


def test_route_alone_has_no_shadow_and_no_bounds() -> None:
    assert read_route({"split": [{"version": 3, "weight": 1}]}) == Route(split=(Arm(3, 1),))
