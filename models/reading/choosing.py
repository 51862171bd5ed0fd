"""Which column of a file is which of the model's: by name where both have names, else by place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from config.prose import listed
from models.reading import Unreadable
from models.wanted import Wanted, are_numbers

SHOWN: Final = 3
LONGEST_NAME: Final = 100
INDEX: Final = "; if one is the index of a data frame, write that with index=False"
FIRST: Final = "; if it is the index of a data frame, write that with index=False"


def choose(given: Sequence[str], wanted: Wanted) -> list[int]:
    """The place in the file of each of the model's columns; raises Unreadable."""
    places = wanted.places(given)
    if places is not None:
        return places
    repeated = [name for name, count in Counter(given).items() if count > 1]
    if repeated:
        raise Unreadable(f"the column {named(repeated[0])} is there more than once")
    if wanted.named and not are_numbers(given):
        _refuse_other_names(given, wanted)
    choose_by_place(len(given), wanted, remedy=INDEX)
    raise AssertionError("what fits is chosen above")


def choose_by_place(count: int, wanted: Wanted, *, remedy: str = "") -> None:
    """Raise Unreadable unless there are as many columns as the model takes.

    The remedy is said where there is one too many.
    """
    if count != wanted.count:
        raise Unreadable(
            f"{count} columns, where the model takes {wanted.count} ({_listed(wanted.names)})"
            + (remedy if count == wanted.count + 1 else "")
        )


def named(name: str) -> str:
    """A name as it is shown: cut to a length."""
    return repr(name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}...")


def _refuse_other_names(given: Sequence[str], wanted: Wanted) -> None:
    known, there = frozenset(wanted.names), frozenset(given)
    for name in given:
        if name not in known:
            problem = f"{named(name)} is no column of the model, which has {_listed(wanted.names)}"
            surplus = name == given[0] and there > known
            raise Unreadable(problem + (FIRST if surplus else ""))
    for position, name in enumerate(wanted.names):
        if name not in there:
            problem = f"there is no column {named(name)}, which the model takes"
            raise Unreadable(problem, column=position)


def _listed(names: Sequence[str]) -> str:
    return listed([name[:LONGEST_NAME] for name in names[: SHOWN + 1]], SHOWN)
