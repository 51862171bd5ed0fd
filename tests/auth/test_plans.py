"""Plans and limits: what is in force is the plan, then what was set."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auth.errors import LimitRefused, NameMalformed, NotFound
from auth.plans import LIMITS, MODEL_LIMITS, PLANS, Plans
from auth.records import LimitRow, TenantRow
from auth.scope import Principal, Scope
from config.database import Base, Database
from tests.auth.cast import Cast

VALUES = st.none() | st.integers(1, 10**12)
MODELS = st.sampled_from(["linear", "forest", "a.b-c_d"])
CHANGES = st.lists(
    st.tuples(st.none(), st.dictionaries(st.sampled_from(sorted(LIMITS)), VALUES))
    | st.tuples(MODELS, st.dictionaries(st.sampled_from(sorted(MODEL_LIMITS)), VALUES)),
    max_size=8,
)


@pytest.fixture(scope="module")
def plain() -> Iterator[Database]:
    database = Database("sqlite://")
    Base.metadata.create_all(
        database.engine, tables=[TenantRow.metadata.tables[t] for t in ("tenants", "limits")]
    )
    yield database
    database.close()


def acting_in(tenant_id: str) -> Scope:
    return Scope(tenant_id, tenant_id, Principal("operator", "o", "o", "", "", frozenset()))


def test_new_tenant_has_its_plan_and_nothing_else(cast: Cast) -> None:
    with cast.database.read() as session:
        limits = cast.plans.effective(session, cast["ada"].tenant_id)
    assert limits.plan == "standard"
    assert limits.tenant == {name: limit.defaults["standard"] for name, limit in LIMITS.items()}
    assert limits.models == {}


def test_standard_plan_carries_a_load_test_of_one_user() -> None:
    a_minute_of_load = 500 * 60
    for name, limit in LIMITS.items():
        if name.endswith("requests_per_minute"):
            assert limit.defaults["standard"] >= a_minute_of_load


def test_plans_grow() -> None:
    for limit in LIMITS.values():
        values = [limit.defaults[plan] for plan in PLANS]
        assert values == sorted(values)
        assert values[0] > 0


def test_model_has_its_own_limit_or_the_tenants_for_any_model(cast: Cast) -> None:
    scope = cast.operator_in("acme")
    with cast.database.write() as session:
        cast.plans.set(session, scope, model_requests_per_minute=70)
        limits = cast.plans.set(session, scope, model="linear", requests_per_minute=7)
    assert limits.of("model_requests_per_minute", model="linear") == 7
    assert limits.of("model_requests_per_minute", model="forest") == 70
    assert limits.of("requests_per_minute", model="linear") == 600_000
    with cast.database.write() as session:
        limits = cast.plans.set(session, scope, model="linear", model_requests_per_minute=None)
    assert limits.of("model_requests_per_minute", model="linear") == 70


def test_listing_says_what_was_set(cast: Cast) -> None:
    scope = cast.operator_in("acme")
    with cast.database.write() as session:
        cast.plans.set(session, scope, rows_per_day=9)
        cast.plans.set(session, scope, model="linear", rows_per_minute=8)
    with cast.database.read() as session:
        listed = cast.plans.show(session, cast["ada"])
    assert [(s.name, s.value) for s in listed if s.is_set] == [
        ("rows_per_day", 9),
        ("model_rows_per_minute", 8),
    ]
    assert {s.name for s in listed} == set(LIMITS)
    assert listed[-1].model == "linear"


def test_other_plan_keeps_what_was_set(cast: Cast) -> None:
    with cast.database.write() as session:
        cast.plans.set(session, cast.operator_in("acme"), rows_per_day=9)
        cast.tenants.set_plan(session, "acme", "free")
        limits = cast.plans.effective(session, cast["ada"].tenant_id)
    assert limits.of("rows_per_day") == 9
    assert limits.of("requests_per_minute") == 600


@pytest.mark.parametrize("value", [0, -1, True, 10**12 + 1])
def test_value_that_no_limit_may_have_is_refused(cast: Cast, value: int) -> None:
    with cast.database.write() as session, pytest.raises(LimitRefused, match="not between"):
        cast.plans.set(session, cast.operator_in("acme"), rows_per_day=value)


def test_unknown_limit_is_refused_with_those_there_are(cast: Cast) -> None:
    scope = cast.operator_in("acme")
    with cast.database.write() as session:
        with pytest.raises(LimitRefused, match="rows_per_day"):
            cast.plans.set(session, scope, rows_per_week=5)
        with pytest.raises(LimitRefused, match="a model has"):
            cast.plans.set(session, scope, model="linear", rows_per_day=5)
        for model in ("", "../x", "A", "\x00"):
            with pytest.raises(NameMalformed):
                cast.plans.set(session, scope, model=model, requests_per_minute=5)


def test_deleted_tenant_has_no_limits(cast: Cast) -> None:
    scope = cast.operator_in("acme")
    with cast.database.write() as session:
        cast.tenants.delete(session, "acme")
        with pytest.raises(NotFound):
            cast.plans.effective(session, scope.tenant_id)
        with pytest.raises(NotFound):
            cast.plans.set(session, scope, rows_per_day=5)


@settings(max_examples=60, deadline=None)
@example(
    changes=[
        ("linear", {"model_requests_per_minute": 1}),
        ("linear", {"model_requests_per_minute": None, "requests_per_minute": 1}),
    ],
    others=[],
    plan="free",
)
@given(changes=CHANGES, others=CHANGES, plan=st.sampled_from(PLANS))
def test_last_setting_wins_and_only_in_its_own_tenant(
    plain: Database,
    changes: list[tuple[str | None, dict[str, int | None]]],
    others: list[tuple[str | None, dict[str, int | None]]],
    plan: str,
) -> None:
    plans = Plans()
    expected: dict[tuple[str | None, str], int | None] = {}
    with plain.write() as session:
        session.query(LimitRow).delete()
        session.query(TenantRow).delete()
        session.add_all(a_tenant(name, plan) for name in ("one", "two"))
        session.flush()
        for model, values in changes:
            plans.set(session, acting_in("one"), model=model, **values)
            for name, value in values.items():
                expected[model, MODEL_LIMITS[name] if model else name] = value
        before = plans.effective(session, "one")
        for model, values in others:
            plans.set(session, acting_in("two"), model=model, **values)
        assert plans.effective(session, "one") == before
    for name, limit in LIMITS.items():
        tenant_wide = expected.get((None, name)) or limit.defaults[plan]
        assert before.of(name) == tenant_wide
        for model in ("linear", "forest", "a.b-c_d"):
            assert before.of(name, model=model) == (expected.get((model, name)) or tenant_wide)


def a_tenant(name: str, plan: str) -> TenantRow:
    return TenantRow(id=name, name=name, state="active", plan=plan, data_key=b"", created_at=0.0)
