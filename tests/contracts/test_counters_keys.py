"""No two tuples share a counter."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from config.counters import Key
from config.counters.keys import LONGEST, encode, join, of_kind, parts_of, split

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=200)
KEYS = st.lists(ANY_TEXT, min_size=1, max_size=5).map(tuple)
NAMED = st.tuples(st.sampled_from([b"c", b"d", b"p"]), KEYS, st.integers(0, 10**12))


@given(one=NAMED, other=NAMED)
@example((b"c", ("a/b", "c"), 1), (b"c", ("a", "b/c"), 1))
@example((b"c", ("ab",), 1), (b"c", ("a", "b"), 1))
@example((b"c", ("1",), 1), (b"c", ("",), 11))
@example((b"c", ("\ud83d\ude00",), 1), (b"c", ("\U0001f600",), 1))
@example((b"c", ("a" * 500,), 1), (b"c", ("a" * 501,), 1))
def test_different_tuples_have_different_keys(
    one: tuple[bytes, Key, int], other: tuple[bytes, Key, int]
) -> None:
    assert (encode(*one) == encode(*other)) == (one == other)


@given(KEYS)
def test_a_key_can_be_read_back(key: Key) -> None:
    assert split(join(key)) == key


@given(st.text(min_size=LONGEST))
def test_a_long_key_fits_into_the_store(text: str) -> None:
    assert len(encode(b"c", (text,))) < LONGEST


@given(NAMED)
def test_the_kind_of_a_key_can_be_told(named: tuple[bytes, Key, int]) -> None:
    assert of_kind(encode(*named))[:1] == named[0]


@given(KEYS)
def test_a_key_begins_with_whose_it_is_and_can_be_read_back(key: Key) -> None:
    name = encode(b"c", key, 7)
    if name.startswith(b"="):  # else it is hashed
        assert name[1:].startswith(join(key[:1]))
        assert parts_of(name) == (key[0], "7", *key[1:])
