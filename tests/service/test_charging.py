"""A call that is charged after its answer: on the same counters, and told in the same words."""

from __future__ import annotations

import re

import pytest

from config.counters import ROWS, Answered, Charge, Verdict
from service import charging
from service.errors import RateLimited
from service.operations import plans, resolution
from tests.house import House

CALL = Answered(9_000, 1_000, 2_000, 3_500, 500, rows=3)
SECONDS = re.compile(r"t=\d+")


def test_a_settled_call_is_charged_and_told_of_as_any_other(house: House) -> None:
    platform, scope = house.platform, house.operator("acme")
    plans.set_limits(platform, scope, values={"rows_per_day": 20})
    tariff = tariff_of(house)

    receipt = platform.counters.settle(tariff.bill, CALL)
    assert receipt is not None
    told = tariff.fields(receipt)
    fields = charging.fields_of(charging.charge(platform, scope, "linear", rows=3))

    assert told[0] == fields["RateLimit-Policy"]
    assert '"requests_per_minute";r=599999;t=' in told[1]
    assert '"rows_per_day";r=17;t=' in told[1]
    one_later = told[1].replace("r=599999", "r=599998").replace("r=17", "r=14")
    assert SECONDS.sub("", one_later) == SECONDS.sub("", fields["RateLimit"])


def test_a_tariff_makes_the_charges_of_a_call(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform, scope = house.platform, house.operator("acme")
    plans.set_limits(platform, scope, model="linear", values={"rows_per_minute": 7})
    tariff = tariff_of(house)
    made: list[Charge] = []
    charge = platform.counters.charge

    def noted(charges: tuple[Charge, ...]) -> Verdict:
        made.extend(charges)
        return charge(charges)

    monkeypatch.setattr(platform.counters, "charge", noted)

    charging.charge(platform, scope, "linear", rows=5)

    assert tariff.bill.charges(5) == tuple(made)
    assert len(made) == 7
    assert sum(each.unit == ROWS for each in made) == 4
    assert platform.counters.settle(tariff.bill, CALL) is None, "five and three are over seven"
    assert platform.counters.settle(tariff.bill, CALL._replace(rows=2)) is not None


def test_a_settled_call_respects_the_places_that_others_hold(house: House) -> None:
    platform, scope = house.platform, house.operator("acme")
    plans.set_limits(platform, scope, values={"concurrent_requests": 1})
    bill = tariff_of(house).bill

    with charging.slot(platform, scope):
        assert platform.counters.settle(bill, CALL) is None
        with pytest.raises(RateLimited), charging.slot(platform, scope):
            pass

    assert platform.counters.settle(bill, CALL) is not None


def tariff_of(house: House) -> charging.Tariff:
    """What Acme's operator is charged for the demo's linear model."""
    platform, scope = house.platform, house.operator("acme")
    (version,) = resolution.plan(platform, scope, "linear", None).versions
    return charging.tariff(platform, scope, version)
