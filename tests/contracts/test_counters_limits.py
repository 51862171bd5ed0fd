"""The counters under flask-limiter."""

from __future__ import annotations

import flask
import pytest
from flask.testing import FlaskClient
from flask_limiter import Limiter
from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter

from config.counters import Counters
from config.counters.limits_storage import CounterStorage
from config.counters.local import LocalCounters
from config.counters.shared import SharedCounters
from tests.auth.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counters(clock: Clock) -> LocalCounters:
    return LocalCounters(clock=clock, wall=clock)


def limited(counters: Counters) -> FlaskClient:
    """A client of an application that admits two requests a minute, whatever they ask for."""
    app = flask.Flask("limited")
    app.config["RATELIMIT_STORAGE_OPTIONS"] = {"counters": counters}
    Limiter(
        lambda: flask.request.remote_addr or "unknown",
        app=app,
        application_limits=["2/minute"],
        request_identifier=lambda: flask.request.endpoint or "unrouted",
        strategy="moving-window",
        storage_uri="sallyport://",
    )
    app.get("/here")(lambda: "here")
    return app.test_client()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/here", 200),
        ("GET", "/nowhere", 404),
        ("DELETE", "/here", 405),
    ],
)
def test_unknown_paths_and_methods_are_counted_too(
    counters: LocalCounters, clock: Clock, method: str, path: str, status: int
) -> None:
    client = limited(counters)

    answers = [client.open(path, method=method).status_code for _ in range(3)]
    clock.advance(61)

    assert answers == [status, status, 429]
    assert client.open(path, method=method).status_code == status


def test_two_applications_on_one_store_share_the_limit(counters: LocalCounters) -> None:
    clients = [limited(counters), limited(counters)]

    assert [client.get("/here").status_code for client in clients * 2] == [200, 200, 429, 429]


def test_the_library_sees_what_is_left_and_when_it_frees(
    counters: LocalCounters, clock: Clock
) -> None:
    storage = CounterStorage(counters=counters, clock=clock)
    limiter, item = MovingWindowRateLimiter(storage), RateLimitItemPerMinute(5)
    assert limiter.hit(item, "acme", cost=3)
    clock.advance(20)

    assert limiter.get_window_stats(item, "acme").remaining == 2
    assert clock() + 40 <= limiter.get_window_stats(item, "acme").reset_time <= clock() + 41
    assert not limiter.test(item, "acme", cost=3)
    assert not limiter.hit(item, "acme", cost=3)
    assert limiter.hit(item, "acme", cost=2)


def test_a_store_that_is_down_raises_what_the_library_expects() -> None:
    down = SharedCounters("redis://127.0.0.1:1")
    storage = storage_from_string("sallyport://", counters=down, wrap_exceptions=True)  # type: ignore[arg-type]
    assert isinstance(storage, CounterStorage)

    assert not storage.check()
    with pytest.raises(StorageError):
        storage.acquire_entry("key", 1, 60)
    down.close()


@pytest.mark.parametrize("call", ["incr", "get", "get_expiry", "reset", "clear"])
def test_what_would_be_inexact_is_not_offered(counters: LocalCounters, call: str) -> None:
    arguments = {"incr": ("key", 60), "reset": ()}.get(call, ("key",))

    with pytest.raises(NotImplementedError):
        getattr(CounterStorage(counters=counters), call)(*arguments)
