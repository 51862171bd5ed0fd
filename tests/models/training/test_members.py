from __future__ import annotations

from typing import Any

import pytest

from models.errors import SpecRefused
from models.training.members import MOST_LISTED, MOST_MEMBERS, MOST_TEXT, Members


def _refused(said: Any, take: Any) -> SpecRefused:
    with pytest.raises(SpecRefused) as refused:
        take(Members(said, "a"))
    return refused.value


def test_what_nobody_asked_for_is_refused_by_its_path() -> None:
    members = Members({"known": "x", "other": 1}, "a.b")
    members.text("known")

    with pytest.raises(SpecRefused) as refused:
        members.end()

    assert refused.value.where == "a.b.other"


def test_members_that_were_all_asked_for_are_fine() -> None:
    members = Members({"known": "x"})
    members.text("known")

    members.end()


def test_control_characters_of_an_unknown_name_are_not_repeated() -> None:
    refused = _refused({"\x1b[2J": 1}, Members.end)

    assert "\x1b" not in str(refused)


@pytest.mark.parametrize("said", [None, [], "x", 3, {1: 2}])
def test_only_a_table_of_names_has_members(said: Any) -> None:
    with pytest.raises(SpecRefused):
        Members(said, "a")


def test_table_of_too_many_members_is_refused() -> None:
    with pytest.raises(SpecRefused, match="more than"):
        Members({str(at): at for at in range(MOST_MEMBERS + 1)})


@pytest.mark.parametrize("value", [3, None, "a" * (MOST_TEXT + 1), "a\0", ""])
def test_text_that_is_none_is_refused(value: Any) -> None:
    assert _refused({"t": value}, lambda members: members.text("t")).where == "a.t"


def test_missing_text_is_told_as_missing() -> None:
    assert _refused({}, lambda members: members.text("t")).problem == "it is missing"


@pytest.mark.parametrize(
    "value", ["ab", 3, [1], ["a" * (MOST_TEXT + 1)], ["a"] * (MOST_LISTED + 1)]
)
def test_list_that_is_not_of_texts_is_refused(value: Any) -> None:
    assert _refused({"t": value}, lambda members: members.texts("t")).where == "a.t"


@pytest.mark.parametrize("value", [True, 1.0, "1", -1, 11, None])
def test_whole_number_is_no_other_and_within_bounds(value: Any) -> None:
    assert _refused({"n": value}, lambda members: members.whole("n", 0, most=10)).where == "a.n"


@pytest.mark.parametrize(
    "value",
    [True, "1", float("nan"), float("inf"), -0.1, 1.1, 10**400],
    ids=lambda value: f"{value!r:.9}",
)
def test_number_is_finite_and_within_bounds(value: Any) -> None:
    assert _refused({"n": value}, lambda members: members.number("n", 0.0, most=1)).where == "a.n"


def test_numbers_at_their_bounds_are_taken() -> None:
    members = Members({"a": 10, "b": 1, "c": 0.5})

    assert (members.whole("a", 0, most=10), members.number("b", 0, most=1)) == (10, 1.0)
    assert members.all_numbers() == {"c": 0.5}


def test_what_is_not_said_has_its_default() -> None:
    members = Members({})

    assert members.choice("kind", ("a", "b"), None) is None
    assert members.flag("flag") is False
    assert members.texts("several") == ()
    assert list(members.inner("table").all_inner()) == []
