"""No two tuples share a counter."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from config.counters import Key
from config.counters.keys import LONGEST, encode, join, split

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=200)
KEYS = st.lists(ANY_TEXT, max_size=5).map(tuple)
NAMED = st.tuples(st.sampled_from([b"s", b"d", b"p"]), KEYS, st.integers(0, 10**12))


@given(one=NAMED, other=NAMED)
@example((b"s", ("a/b", "c"), 1), (b"s", ("a", "b/c"), 1))
@example((b"s", ("ab",), 1), (b"s", ("a", "b"), 1))
@example((b"s", (), 1), (b"s", ("",), 1))
@example((b"s", ("1",), 1), (b"s", ("",), 11))
@example((b"s", ("\ud83d\ude00",), 1), (b"s", ("\U0001f600",), 1))
@example((b"s", ("a" * 500,), 1), (b"s", ("a" * 501,), 1))
def test_different_tuples_have_different_keys(
    one: tuple[bytes, Key, int], other: tuple[bytes, Key, int]
) -> None:
    assert (encode(*one) == encode(*other)) == (one == other)


@given(KEYS)
def test_a_key_can_be_read_back(key: Key) -> None:
    assert split(join(key)) == key


@given(st.text(min_size=LONGEST))
def test_a_long_key_fits_into_the_store(text: str) -> None:
    assert len(encode(b"s", (text,))) < LONGEST
