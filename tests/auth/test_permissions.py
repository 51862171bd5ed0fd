"""Grants: what covers what, and what two sets of them allow together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from auth.permissions import Grant, Grants, Permission, format_scope, narrow, parse_scope

MODELS = ("linear", "trees", None)
grants = st.frozensets(
    st.builds(Grant, st.sampled_from([Permission.PREDICT, Permission.MODELS_READ]))
    | st.builds(Grant, st.just(Permission.PREDICT), st.sampled_from(MODELS))
    | st.builds(Grant, st.just(Permission.USERS))
)


def allows(held: Grants, wanted: Grant) -> bool:
    return any(grant.covers(wanted) for grant in held)


@given(grants, grants)
def test_narrowed_grants_allow_exactly_what_both_allow(one: Grants, other: Grants) -> None:
    both = narrow(one, other)

    for permission in (Permission.PREDICT, Permission.MODELS_READ, Permission.USERS):
        for model in MODELS:
            wanted = Grant(permission, model)
            assert allows(both, wanted) == (allows(one, wanted) and allows(other, wanted))


@given(grants)
def test_a_scope_reads_as_it_was_written(held: Grants) -> None:
    assert parse_scope(format_scope(held)) == held
