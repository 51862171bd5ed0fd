"""One suite over every dialect: the same answers, the same gates, and refusals in its own words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from models.handlers.skops_file import write_skops
from service.operations import plans, tenants, usage
from service.operations.registration import register
from tests.contracts.columnar_dialects import COLUMNAR
from tests.contracts.dialects import HTTP_DIALECTS, Dialect, Native, Wish
from tests.contracts.grpc_dialect import GrpcInference
from tests.house import House
from tests.service.grpc_door import open_door

DIALECTS: Final = (*HTTP_DIALECTS, *COLUMNAR, GrpcInference)
ROWS = [[1.0, 2.0], [-0.1, 1e300], [3.5, 0.30000000000000004]]


@pytest.fixture(scope="module")
def place(shared_house: House) -> House:
    """Acme has another second version of its model, an alias, and models of other kinds."""
    house = shared_house
    points = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [3.0, 3.0]])
    add(house, "linear", LinearRegression().fit(points, points @ [7.0, 11.0]))
    add(house, "kinds", LogisticRegression().fit(points, ["no", "no", "no", "yes"]))
    add(house, "people", people())
    add(house, "pairs", LinearRegression().fit(points, points * [2.0, 3.0]))
    house.add_version("secret", tenant="globex")
    moved = house.ben.call("PUT", "/models/linear/aliases/next", json={"version": 2})
    assert moved.status_code == 200, moved.text
    house.add_version("asleep")
    assert house.ben.post("/v2/repository/models/asleep/unload").status_code == 200
    house.add_version()
    retired = house.ben.call("PATCH", "/models/linear/versions/3", json={"state": "retired"})
    assert retired.status_code == 200, retired.text
    return house


def add(house: House, model: str, estimator: Any) -> None:
    """Register an estimator as the next version of a model of Acme."""
    run = house.platform.hosting.intake.run
    prepared = run(write_skops(estimator), formats={"skops"})
    register(house.platform, house.operator("acme"), model, prepared)


def people() -> Any:
    """A classifier of a number, which may be missing, and a text, by name."""
    table = pandas.DataFrame(
        {"age": [1.0, 2.0, None, 40.0, 50.0, 60.0], "city": ["a", "b", "a", "b", "c", "c"]}
    )
    columns = ColumnTransformer(
        [("age", SimpleImputer(), ["age"]), ("city", OneHotEncoder(), ["city"])]
    )
    return make_pipeline(columns, LogisticRegression()).fit(table, [0, 0, 0, 1, 1, 1])


@pytest.fixture(scope="module", params=DIALECTS, ids=lambda kind: kind.name)
def dialect(request: pytest.FixtureRequest, place: House) -> Iterator[Dialect]:
    with speaking(request.param, place) as made:
        yield made


@contextmanager
def speaking(kind: Any, house: House) -> Iterator[Dialect]:
    """Somebody who speaks a dialect to a house."""
    if kind is not GrpcInference:
        yield kind(house.client)
        return
    with open_door(house) as door:
        yield GrpcInference(door)


def native(house: House, wish: Wish) -> list[Any]:
    reply = Native(house.client).predict(house.rob.token, wish)
    assert reply.status == 200, reply.error
    return reply.answers


def same(dialect: Dialect, answers: list[Any], others: list[Any]) -> None:
    """Require the same answers: to the last bit where the rows were answered together."""
    if dialect.in_portions and not isinstance(others[0], str):
        np.testing.assert_allclose(answers, others, rtol=1e-13)
    else:
        assert answers == others


# The same answers.


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1]], ids=["many rows", "one row"])
def test_answers_are_those_of_the_native_dialect_to_the_last_bit(
    place: House, dialect: Dialect, rows: list[list[float]]
) -> None:
    reply = dialect.predict(place.rob.token, Wish(rows))

    assert reply.status == 200, reply.error
    same(dialect, reply.answers, native(place, Wish(rows)))


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_every_method_of_a_model_can_be_asked_for(
    place: House, dialect: Dialect, method: str
) -> None:
    wish = Wish(ROWS[:1] + ROWS[2:], "kinds", method=method)

    reply = dialect.predict(place.rob.token, wish)

    assert reply.status == 200, reply.error
    same(dialect, reply.answers, native(place, wish))


def test_versions_and_aliases_answer_as_themselves(place: House, dialect: Dialect) -> None:
    first, second = (native(place, Wish(ROWS, version=number)) for number in (1, 2))
    assert first != second

    for version, expected in ((1, first), (2, second), ("next", second), ("champion", first)):
        reply = dialect.predict(place.rob.token, Wish(ROWS, version=version))
        assert reply.status == 200, reply.error
        same(dialect, reply.answers, expected)


def test_several_answers_to_a_row_stay_together(place: House, dialect: Dialect) -> None:
    reply = dialect.predict(place.rob.token, Wish(ROWS, "pairs"))

    assert reply.status == 200, reply.error
    same(dialect, reply.answers, native(place, Wish(ROWS, "pairs")))


def test_columns_by_name_hold_numbers_texts_and_what_is_missing(
    place: House, dialect: Dialect
) -> None:
    if not dialect.takes_texts:
        pytest.skip("it has no texts")
    wish = Wish([], "people", columns={"city": ["a", "c", "b"], "age": [3.5, None, 80.0]})

    for method in ("predict", "predict_proba"):
        reply = dialect.predict(place.rob.token, replace(wish, method=method))
        assert reply.status == 200, reply.error
        same(dialect, reply.answers, native(place, replace(wish, method=method)))

    of_another_kind: dict[str, list[Any]] = {"city": ["a"], "age": ["old"]}
    reply = dialect.predict(place.rob.token, replace(wish, columns=of_another_kind))
    assert reply.status == 400
    assert "old" not in reply.error.split()


def test_every_answer_says_where_its_time_went_and_what_is_left(
    place: House, dialect: Dialect
) -> None:
    headers = dialect.predict(place.rob.token, Wish(ROWS)).headers

    for stage in ("decode", "admit", "bind", "compute", "encode"):
        assert f"{stage};dur=" in headers["server-timing"]
    assert "requests_per_minute" in headers["ratelimit-policy"]
    assert "rows_per_minute" in headers["ratelimit-policy"]
    assert headers["x-request-id"]


# The same gates.


def test_callers_without_a_token_or_with_a_wrong_one_are_refused(
    place: House, dialect: Dialect
) -> None:
    for token in (None, "wrong", place.rob.token[:-4] + "AAAA"):
        assert dialect.predict(token, Wish(ROWS)).status == 401


def test_accounts_that_may_not_predict_are_refused(place: House, dialect: Dialect) -> None:
    token = place.olga.token  # operates the platform, and predicts nothing
    assert dialect.predict(token, Wish(ROWS)).status == 403


def test_service_account_of_one_model_does_not_learn_of_another(
    place: House, dialect: Dialect
) -> None:
    identifier, secret = place.robot("predict:kinds")
    form = {"grant_type": "client_credentials"}
    answer = place.client.post("/auth/token", data=form, auth=(identifier, secret))
    token = answer.get_json()["access_token"]

    assert dialect.predict(token, Wish(ROWS[:1], "kinds")).status == 200
    existing = dialect.predict(token, Wish(ROWS))
    absent = dialect.predict(token, Wish(ROWS, "absent"))
    assert existing.status == absent.status == 403
    assert existing.error.replace("linear", "absent") == absent.error


def test_model_of_another_tenant_is_as_one_that_is_not_there(
    place: House, dialect: Dialect
) -> None:
    foreign = dialect.predict(place.rob.token, Wish(ROWS, "secret"))
    absent = dialect.predict(place.rob.token, Wish(ROWS, "absent"))

    assert foreign.status == absent.status == 404
    assert foreign.error.replace("secret", "absent") == absent.error
    assert dialect.predict(place.gail.token, Wish(ROWS, "secret")).status == 200


def test_versions_that_are_not_there_are_not_found(place: House, dialect: Dialect) -> None:
    for version, status in ((99, 404), ("never", dialect.unknown_alias)):
        reply = dialect.predict(place.rob.token, Wish(ROWS, version=version))
        assert (reply.status, bool(reply.error)) == (status, True)


def test_rows_that_the_model_does_not_take_are_refused_in_its_own_words(
    place: House, dialect: Dialect
) -> None:
    for rows in ([[1.0]], [[1.0, 2.0, 3.0]])[: 1 if dialect.drops_columns else 2]:
        reply = dialect.predict(place.rob.token, Wish(rows))
        assert reply.status == 400
        assert reply.error


def test_models_that_are_unloaded_and_versions_that_are_retired_answer_nobody(
    place: House, dialect: Dialect
) -> None:
    unloaded = dialect.predict(place.rob.token, Wish(ROWS, "asleep"))
    retired = dialect.predict(place.rob.token, Wish(ROWS, version=3))

    assert (unloaded.status, bool(unloaded.error)) == (503, True)
    assert retired.status in (404, 410)


def test_places_for_calls_at_once_are_the_tenants(place: House, dialect: Dialect) -> None:
    platform, tenant = place.platform, place.operator("acme").tenant_id
    plans.set_limits(platform, place.operator("acme"), values={"concurrent_requests": 1})
    key = (tenant, "concurrent_requests")
    assert platform.counters.enter(key, 1, "somebody else")

    refused = dialect.predict(place.rob.token, Wish(ROWS))
    platform.counters.leave(key, "somebody else")
    plans.set_limits(platform, place.operator("acme"), values={"concurrent_requests": None})

    assert (refused.status, bool(refused.error)) == (429, True)


def test_method_that_the_model_does_not_have_is_refused(place: House, dialect: Dialect) -> None:
    for method in ("predict_proba", "__class__"):
        reply = dialect.predict(place.rob.token, Wish(ROWS, method=method))
        assert reply.status == 400
        assert reply.error


# Limits and metering, on an installation of its own.


@pytest.fixture(params=DIALECTS, ids=lambda kind: kind.name)
def alone(request: pytest.FixtureRequest, house: House) -> Iterator[tuple[House, Dialect]]:
    with speaking(request.param, house) as made:
        yield house, made


def limit(house: House, **values: int) -> None:
    plans.set_limits(house.platform, house.operator("acme"), values=values)


def test_rows_and_requests_are_charged_metered_and_told(alone: tuple[House, Dialect]) -> None:
    house, dialect = alone
    limit(house, rows_per_minute=7)

    first, second, over = (dialect.predict(house.rob.token, Wish(ROWS)) for _ in range(3))

    assert [first.status, second.status, over.status] == [200, 200, 429]
    assert over.error
    assert int(over.headers["retry-after"]) >= 1
    assert '"rows_per_minute";r=1' in over.headers["ratelimit"]
    with house.platform.database.write() as session:
        house.platform.usage.flush(session, house.platform.counters)
    [used] = usage.show_usage(house.platform, house.operator("acme"))
    assert (used.requests, used.rows) == (2, 6)


def test_refused_requests_count_as_well(alone: tuple[House, Dialect]) -> None:
    house, dialect = alone
    limit(house, requests_per_minute=3)
    token = house.rob.token

    bad = [dialect.predict(token, Wish(rows)).status for rows in ([[1.0]], [[1.0]], [[1.0]])]

    assert bad == [400, 400, 400]
    assert dialect.predict(token, Wish(ROWS)).status == 429


def test_tenants_that_are_suspended_are_refused_at_once(alone: tuple[House, Dialect]) -> None:
    house, dialect = alone
    token = house.rob.token
    assert dialect.predict(token, Wish(ROWS)).status == 200

    tenants.suspend_tenant(house.platform, house.operator(), "acme")

    assert dialect.predict(token, Wish(ROWS)).status == 401
