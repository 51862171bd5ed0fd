"""GET, PUT and DELETE /models/{model}/route, and what calls do under a route."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression

from config.settings import Settings
from models.errors import PredictionFailed
from models.tables import Features
from models.versions import Version
from service.operations import routing
from tests.auth.clock import Clock
from tests.house import House, opened
from tests.journeys.served import until
from tests.service.problems import pointers, refused
from tests.service.test_predict import ROWS, install

ROUTE = "/models/sums/route"
SUM = LinearRegression().fit(ROWS, [3, 6, 9, 12])
DOUBLE = LinearRegression().fit(ROWS, [6, 12, 18, 24])
HALVES: dict[str, Any] = {
    "split": [{"version": "champion", "weight": 50}, {"version": 2, "weight": 50}]
}


@pytest.fixture
def clock() -> Clock:
    """The platform's time."""
    return Clock()


@pytest.fixture
def acme(house_settings: Settings, clock: Clock) -> Iterator[House]:
    """Acme with two versions of a model, of which the second answers twice as much."""
    with opened(house_settings, clock) as house:
        install(house, "sums", SUM, promote=False)
        install(house, "sums", DOUBLE, promote=False)
        yield house


def _route(house: House, definition: dict[str, Any]) -> dict[str, Any]:
    answer = house.ben.call("PUT", ROUTE, json=definition)
    assert answer.status_code == 200, answer.get_json()
    members: dict[str, Any] = answer.get_json()
    return members


def _report(house: House) -> dict[Any, dict[str, Any]]:
    routing.write_traffic(house.platform)
    report = house.ben.get(ROUTE).get_json()
    return {(arm["role"], arm["version"]): arm for arm in report["versions"]}


def _answers(house: House, calls: int = 40, **options: Any) -> Counter[int]:
    said: Counter[int] = Counter()
    for _ in range(calls):
        answer = house.rob.post("/predict", json={"features": [1, 2], "model": "sums"}, **options)
        assert answer.status_code == 200, answer.get_json()
        said[answer.get_json()["version"]] += 1
    return said


class Failing:
    """An executor in which one version fails."""

    def __init__(self, house: House, number: int) -> None:
        self._answer = house.platform.executor.answer
        self._number = number

    def answer(
        self, version: Version, method: str, features: Features, *, seconds: float
    ) -> NDArray[Any]:
        """Answer, unless it is the version that fails."""
        if version.number == self._number and version.model == "sums":
            raise PredictionFailed(version.model, version.number, "planted")
        return self._answer(version, method, features, seconds=seconds)


def test_model_without_a_route_says_so(acme: House) -> None:
    refused(acme.ben.get(ROUTE), 404, "not-found")
    refused(acme.ben.call("DELETE", ROUTE), 404, "not-found")
    refused(acme.ben.get("/models/none/route"), 404, "not-found")


def test_caller_keeps_its_version_and_callers_are_divided(acme: House) -> None:
    _route(acme, HALVES)
    for actor in (acme.rob, acme.ben, acme.ada):
        said = {actor.predict([1, 2], model="sums").get_json()["version"] for _ in range(5)}
        assert len(said) == 1

    _route(acme, HALVES | {"sticky": "header", "header": "X-Customer"})
    by_customer = [_answers(acme, 2, headers={"X-Customer": f"customer {n}"}) for n in range(30)]
    assert all(len(said) == 1 for said in by_customer)
    assert {version for said in by_customer for version in said} == {1, 2}

    _route(acme, HALVES | {"sticky": "none"})
    assert set(_answers(acme)) == {1, 2}


def test_call_that_names_a_version_gets_it_whatever_the_route_says(acme: House) -> None:
    _route(acme, {"split": [{"version": 2, "weight": 1}]})

    assert set(_answers(acme, 3)) == {2}
    assert acme.rob.predict([1, 2], model="sums", version=1).get_json()["version"] == 1
    assert acme.rob.predict([1, 2], model="sums", version="champion").get_json()["version"] == 1


def test_report_counts_every_call_by_version(acme: House) -> None:
    _route(acme, HALVES | {"sticky": "none"})
    said = _answers(acme, 30)
    report = _report(acme)

    counted = {version: arm["requests"] for (_, version), arm in report.items()}
    assert counted == {"champion": said[1], 2: said[2]}
    assert all(arm["errors"] == 0 and arm["p95_seconds"] > 0 for arm in report.values())
    assert {arm["number"] for arm in report.values()} == {1, 2}


def test_route_that_is_taken_away_leaves_the_champion_alone(acme: House) -> None:
    _route(acme, {"split": [{"version": 2, "weight": 1}]})
    assert acme.ben.call("DELETE", ROUTE).status_code == 204

    assert set(_answers(acme, 3)) == {1}
    refused(acme.ben.get(ROUTE), 404, "not-found")


def test_shadow_is_asked_and_compared_but_never_answers(acme: House) -> None:
    _route(acme, {"split": [{"version": "champion", "weight": 1}], "shadow": {"version": 2}})
    assert set(_answers(acme, 10)) == {1}

    until(lambda: _report(acme)["shadow", 2]["requests"] >= 1)
    shadow = _report(acme)["shadow", 2]
    assert shadow["agreement"] == 0  # it answers twice as much
    assert shadow["rows_compared"] >= 1


def test_shadow_that_answers_alike_agrees(acme: House) -> None:
    install(acme, "sums", SUM, promote=False)
    _route(acme, {"split": [{"version": "champion", "weight": 1}], "shadow": {"version": 3}})
    _answers(acme, 3)

    until(lambda: _report(acme)["shadow", 3]["requests"] >= 1)
    assert _report(acme)["shadow", 3]["agreement"] == 1


def test_canary_that_fails_is_taken_out_on_record(
    acme: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds = {"error_rate": 0.2, "least_requests": 5}
    _route(acme, HALVES | {"sticky": "none", "bounds": bounds})
    monkeypatch.setattr(acme.platform.executor, "answer", Failing(acme, 2).answer)
    for _ in range(60):
        acme.rob.predict([1, 2], model="sums")
    routing.write_traffic(acme.platform)
    routing.keep_bounds(acme.platform)

    assert set(_answers(acme, 20)) == {1}
    report = acme.ben.get(ROUTE).get_json()
    assert report["route"]["split"] == [{"version": "champion", "weight": 100}]
    assert "2 was taken out" in report["note"]
    actions = [record["action"] for record in acme.ada.get("/admin/audit").get_json()]
    assert "models.route.rollback" in actions


def test_canary_within_its_bounds_stays(acme: House) -> None:
    bounds = {"error_rate": 0.2, "p95_seconds": 60, "least_requests": 5}
    _route(acme, HALVES | {"sticky": "none", "bounds": bounds})
    _answers(acme, 30)
    routing.write_traffic(acme.platform)
    routing.keep_bounds(acme.platform)

    assert len(acme.ben.get(ROUTE).get_json()["route"]["split"]) == 2


def test_first_version_is_never_taken_out(acme: House, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = {"error_rate": 0.2, "least_requests": 5}
    _route(acme, HALVES | {"sticky": "none", "bounds": bounds})
    monkeypatch.setattr(acme.platform.executor, "answer", Failing(acme, 1).answer)
    for _ in range(40):
        acme.rob.predict([1, 2], model="sums")
    routing.write_traffic(acme.platform)
    routing.keep_bounds(acme.platform)

    assert len(acme.ben.get(ROUTE).get_json()["route"]["split"]) == 2


def test_counts_of_an_earlier_route_do_not_judge_the_next(
    acme: House, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds = {"error_rate": 0.2, "least_requests": 5}
    definition = HALVES | {"sticky": "none", "bounds": bounds}
    _route(acme, definition)
    with monkeypatch.context() as patched:
        patched.setattr(acme.platform.executor, "answer", Failing(acme, 2).answer)
        for _ in range(60):
            acme.rob.predict([1, 2], model="sums")
    clock.advance(0.5)
    _route(acme, definition)
    routing.write_traffic(acme.platform)
    routing.keep_bounds(acme.platform)

    assert len(acme.ben.get(ROUTE).get_json()["route"]["split"]) == 2


@pytest.mark.parametrize(
    ("definition", "pointer"),
    [
        ({}, "/split"),
        ({"split": []}, "/split"),
        ({"split": [{"version": 2, "weight": -1}]}, "/split/0/weight"),
        ({"split": [{"version": 2, "weight": "1"}]}, "/split/0/weight"),
        ({"split": [{"version": [], "weight": 1}]}, "/split/0/version"),
        ({"split": [{"version": 9, "weight": 1}]}, ""),
        ({"split": [{"version": "canary", "weight": 1}]}, ""),
        (HALVES | {"bounds": {"error_rate": 7}}, "/bounds/error_rate"),
        (HALVES | {"bounds": {"window_seconds": 60}}, "/bounds"),
        (HALVES | {"shadow": {"version": 2, "share": 0}}, "/shadow/share"),
        (HALVES | {"sticky": "header"}, "/header"),
        (HALVES | {"colour": 1}, "/colour"),
    ],
)
def test_impossible_route_is_refused_with_its_place(
    acme: House, definition: dict[str, Any], pointer: str
) -> None:
    answer = acme.ben.call("PUT", ROUTE, json=definition)

    assert pointers(refused(answer, 400, "invalid-input")) == {pointer}


def test_only_who_may_publish_divides_calls(acme: House) -> None:
    refused(acme.rob.call("PUT", ROUTE, json=HALVES), 403, "insufficient-scope")
    refused(acme.rob.call("DELETE", ROUTE), 403, "insufficient-scope")
    _route(acme, HALVES)
    assert acme.rob.get(ROUTE).status_code == 200
    refused(acme.gail.get(ROUTE), 404, "not-found")


def test_shadow_that_is_slow_or_broken_changes_no_answer(
    acme: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acme.platform.shadows._executor, "answer", Failing(acme, 2).answer)
    _route(acme, {"split": [{"version": "champion", "weight": 1}], "shadow": {"version": 2}})
    assert set(_answers(acme, 5)) == {1}

    until(lambda: _report(acme)["shadow", 2]["errors"] >= 1)


def test_model_shows_its_route_while_it_has_one(acme: House) -> None:
    assert "route" not in acme.ben.get("/models/sums").get_json()

    _route(acme, HALVES)

    assert acme.ben.get("/models/sums").get_json()["route"] == HALVES | {"sticky": "caller"}
