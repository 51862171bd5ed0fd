"""What a caller takes for granted of a thing: compared in the transaction that changes it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import orjson

from service.errors import PreconditionFailed


@dataclass(frozen=True, slots=True)
class Expected:
    """Which states a thing may be in; None: any, or that it is not there.

    `one_of` names states, or is empty where it names none that could be; `there` asks that the
    thing exists, `absent` that it does not, and `none_of` names the states that it may not be in.
    """

    one_of: frozenset[str] | None = None
    there: bool = False
    none_of: frozenset[str] = frozenset()
    absent: bool = False

    def check(self, state: str | None) -> None:
        """Raise PreconditionFailed unless the state, None of what is not there, is expected."""
        is_other = self.one_of is not None and state not in self.one_of
        is_missing = self.there and state is None
        is_there = self.absent and state is not None
        if is_other or is_missing or is_there or state in self.none_of:
            raise PreconditionFailed


ANYTHING = Expected()


def state_of(*facts: object) -> str:
    """A word for a state: another one whenever any of the facts is another."""
    return hashlib.sha256(orjson.dumps(facts)).hexdigest()[:16]
