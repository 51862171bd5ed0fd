"""Keys of requests that may be sent again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from auth.errors import AnswerLost, KeyReused, KeysExhausted, Overtaken, StillRunning
from auth.idempotency import (
    KEPT_SECONDS,
    LEASE_SECONDS,
    MOST_ANSWER,
    IdempotencyKeys,
    Kept,
    Reservation,
)
from auth.records import IdempotencyRow
from tests.auth.cast import Cast

ANSWER = Kept(201, (("Content-Type", "application/json"),), b'{"secret":"sps_\xff"}')


@pytest.fixture
def keys(cast: Cast) -> IdempotencyKeys:
    return IdempotencyKeys(cast.tenants.data_key, cast.clock, most=3)


def begin(
    cast: Cast, keys: IdempotencyKeys, who: str = "ada", key: str = "k", request: bytes = b"PUT /x"
) -> Reservation | Kept:
    with cast.database.write() as session:
        return keys.begin(session, cast[who].principal, key, request)


def reserve(
    cast: Cast, keys: IdempotencyKeys, who: str = "ada", key: str = "k", request: bytes = b"PUT /x"
) -> Reservation:
    made = begin(cast, keys, who, key, request)
    assert isinstance(made, Reservation)
    return made


def act(cast: Cast, keys: IdempotencyKeys, mine: Reservation) -> None:
    with cast.database.write() as session:
        keys.mark(session, mine)


def settle(cast: Cast, keys: IdempotencyKeys, mine: Reservation, answer: Kept = ANSWER) -> None:
    with cast.database.write() as session:
        keys.settle(session, cast["ada"].principal, mine, answer)


def release(cast: Cast, keys: IdempotencyKeys, mine: Reservation) -> None:
    with cast.database.write() as session:
        keys.release(session, mine)


def test_the_same_request_gets_the_same_answer(cast: Cast, keys: IdempotencyKeys) -> None:
    mine = reserve(cast, keys)
    act(cast, keys, mine)
    settle(cast, keys, mine)

    assert begin(cast, keys) == ANSWER


def test_an_answer_is_sealed_and_a_request_cannot_be_guessed(
    cast: Cast, keys: IdempotencyKeys
) -> None:
    mine = reserve(cast, keys)
    settle(cast, keys, mine)
    reserve(cast, keys, "gail")

    with cast.database.read() as session:
        rows = session.scalars(select(IdempotencyRow)).all()
    assert b"sps_" not in b"".join(row.answer or b"" for row in rows)
    assert len({row.fingerprint for row in rows}) == 2, "one request, two tenants"
    assert len({row.key for row in rows}) == 2


def test_another_request_with_the_same_key_is_refused(cast: Cast, keys: IdempotencyKeys) -> None:
    mine = reserve(cast, keys)
    with pytest.raises(KeyReused):
        begin(cast, keys, request=b"PUT /y")
    settle(cast, keys, mine)
    with pytest.raises(KeyReused):
        begin(cast, keys, request=b"PUT /y")


def test_a_key_is_of_one_principal(cast: Cast, keys: IdempotencyKeys) -> None:
    settle(cast, keys, reserve(cast, keys))

    for other in ("ben", "gail", "olga"):
        reserve(cast, keys, other, request=b"PUT /y")


def test_of_many_at_once_one_acts(cast: Cast, keys: IdempotencyKeys) -> None:
    def attempt(_: int) -> str:
        try:
            return type(begin(cast, keys)).__name__
        except StillRunning:
            return "StillRunning"

    with ThreadPoolExecutor(4) as pool:
        told = sorted(pool.map(attempt, range(8)))

    assert told == ["Reservation"] + ["StillRunning"] * 7


def test_what_was_cut_off_before_it_acted_is_done_by_the_next(
    cast: Cast, keys: IdempotencyKeys
) -> None:
    slow = reserve(cast, keys)
    cast.clock.advance(LEASE_SECONDS - 1)
    with pytest.raises(StillRunning):
        begin(cast, keys)
    cast.clock.advance(1)
    successor = reserve(cast, keys)

    with pytest.raises(Overtaken):
        act(cast, keys, slow)
    settle(cast, keys, slow, Kept(200, (), b"of the slow one"))
    act(cast, keys, successor)
    settle(cast, keys, successor)
    assert begin(cast, keys) == ANSWER


def test_what_was_cut_off_after_it_acted_is_not_done_again(
    cast: Cast, keys: IdempotencyKeys
) -> None:
    mine = reserve(cast, keys)
    act(cast, keys, mine)
    with pytest.raises(StillRunning):
        begin(cast, keys)
    cast.clock.advance(LEASE_SECONDS)

    with pytest.raises(AnswerLost):
        begin(cast, keys)


def test_a_key_is_given_back_unless_something_was_done(cast: Cast, keys: IdempotencyKeys) -> None:
    release(cast, keys, reserve(cast, keys))
    mine = reserve(cast, keys, request=b"PUT /y")
    act(cast, keys, mine)
    release(cast, keys, mine)

    with pytest.raises(AnswerLost):
        begin(cast, keys, request=b"PUT /y")


def test_an_answer_that_is_too_long_is_not_kept(cast: Cast, keys: IdempotencyKeys) -> None:
    mine = reserve(cast, keys)
    act(cast, keys, mine)
    settle(cast, keys, mine, Kept(200, (), b"x" * MOST_ANSWER))

    with pytest.raises(AnswerLost):
        begin(cast, keys)


def test_keys_end_after_a_day(cast: Cast, keys: IdempotencyKeys) -> None:
    settle(cast, keys, reserve(cast, keys))
    reserve(cast, keys, key="other")
    cast.clock.advance(KEPT_SECONDS)

    reserve(cast, keys, request=b"PUT /y")
    with cast.database.write() as session:
        assert keys.purge(session) == 1


def test_a_principal_holds_only_so_many(cast: Cast, keys: IdempotencyKeys) -> None:
    for key in "abc":
        reserve(cast, keys, key=key)
    with pytest.raises(KeysExhausted) as refused:
        begin(cast, keys, key="d")
    assert refused.value.seconds == KEPT_SECONDS
    reserve(cast, keys, "ben", key="d")
    cast.clock.advance(KEPT_SECONDS)

    reserve(cast, keys, key="d")


def test_keys_go_with_their_tenant(cast: Cast, keys: IdempotencyKeys) -> None:
    slow = reserve(cast, keys)
    with cast.database.write() as session:
        cast.tenants.delete(session, "acme")

    with pytest.raises(Overtaken):
        act(cast, keys, slow)
