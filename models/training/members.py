"""The members of a text that a user wrote, each taken once and checked; what is left is unknown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from config.prose import one_line
from models.errors import SpecRefused

MOST_TEXT: Final = 200
MOST_LISTED: Final = 1_000
MOST_MEMBERS: Final = 10_000


class _Required:
    """Stands for a member that has no default."""


REQUIRED: Final = _Required()


class Members:
    """One table of a spec; `path` is how its user would name it."""

    def __init__(self, said: object, path: str = "") -> None:
        self.path = path or "members"
        if not isinstance(said, Mapping) or not all(isinstance(name, str) for name in said):
            raise SpecRefused(self.path, "a table of members is wanted")
        if len(said) > MOST_MEMBERS:
            raise SpecRefused(self.path, f"it has more than {MOST_MEMBERS} members")
        self._left = dict(said)
        self._known: list[str] = []
        self._prefix = f"{path}." if path else ""

    def text(self, name: str, default: Any = REQUIRED, *, most: int = MOST_TEXT) -> str:
        """A text, without control characters but for the ends of its lines."""
        value = self._take(name, default)
        if not isinstance(value, str) or len(value) > most or "\0" in value:
            raise self._unfit(name, f"a text of at most {most} characters is wanted")
        if value == "" and default is REQUIRED:
            raise self._unfit(name, "it is empty")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; none where it is not said."""
        value = self._take(name, ())
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > MOST_LISTED:
            raise self._unfit(name, f"a list of at most {MOST_LISTED} texts is wanted")
        if not all(isinstance(each, str) and len(each) <= MOST_TEXT for each in value):
            raise self._unfit(name, "each of them has to be a text")
        return tuple(value)

    def choice(self, name: str, choices: Sequence[str], default: Any = REQUIRED) -> Any:
        """One of some words."""
        value = self._take(name, default)
        if value is default or value in choices:
            return value
        raise self._unfit(name, f"it is one of {', '.join(choices)}")

    def flag(self, name: str) -> bool:
        """Whether something is to be; not, where it is not said."""
        value = self._take(name, False)
        if not isinstance(value, bool):
            raise self._unfit(name, "true or false is wanted")
        return value

    def whole(self, name: str, default: int, *, least: int = 0, most: int) -> int:
        """A whole number within bounds."""
        value = self._take(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self._unfit(name, f"a whole number from {least} to {most} is wanted")
        return value

    def number(self, name: str, default: float, *, least: float = 0.0, most: float) -> float:
        """A number within bounds."""
        value = self._take(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._unfit(name, "a number is wanted")
        if not least <= value <= most:  # as NaN is neither
            raise self._unfit(name, f"it is from {least:g} to {most:g}")
        return float(value)

    def inner(self, name: str) -> Members:
        """A table within this one; empty where it is not said."""
        return Members(self._take(name, {}), f"{self._prefix}{name}")

    def all_inner(self, word: str = "") -> Iterator[tuple[str, Members]]:
        """Every member as a table by itself; a lone word stands for a table with that member."""
        for name, value in self._take_all():
            said = {word: value} if word and isinstance(value, str) else value
            yield name, Members(said, f"{self._prefix}{name}")

    def all_numbers(self) -> dict[str, float]:
        """Every member as a number that is not negative."""
        names = list(self._left)
        return {name: self.number(name, 0.0, most=1e12) for name in names}

    def end(self) -> None:
        """Raise SpecRefused if anything is left that nobody asked for."""
        for name in self._left:
            close = get_close_matches(name, self._known, 1)
            meant = f"did you mean {close[0]}?" if close else f"known are {', '.join(self._known)}"
            raise SpecRefused(
                f"{self._prefix}{one_line(name, 80)}", "there is no such member", meant
            )

    def _take(self, name: str, default: Any) -> Any:
        self._known.append(name)
        if name in self._left:
            return self._left.pop(name)
        if default is REQUIRED:
            raise SpecRefused(f"{self._prefix}{name}", "it is missing")
        return default

    def _take_all(self) -> Iterator[tuple[str, Any]]:
        taken, self._left = self._left, {}
        yield from taken.items()

    def _unfit(self, name: str, problem: str) -> SpecRefused:
        return SpecRefused(f"{self._prefix}{name}", problem)
