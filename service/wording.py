"""How a refusal is worded: as a problem document (RFC 9457), or as a dialect's clients know it.

What is refused, and why, is decided elsewhere and once; a wording only says it. It holds for
every address of its dialect, also where nothing is, and for what is refused before the
application is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from service.problems import MEDIA_TYPE, Problem

Document = Mapping[str, Any]
# What other servers have no status for: gone is not found, and rows that no model takes are wrong.
STATUSES: Final[Mapping[int, int]] = {410: 404, 422: 400}
# From a kind of problem and its document to the dialect's status and body.
Word = Callable[[Problem, Document], tuple[int, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Wording:
    """How one dialect says what is wrong, on the paths that are its own."""

    paths: re.Pattern[str]
    word: Word


@dataclass(frozen=True, slots=True)
class Worded:
    """A refusal as it goes out."""

    status: int
    media_type: str
    body: bytes


def sentence(document: Document) -> str:
    """What a problem document says, where there is room for one sentence."""
    return str(document.get("detail", document["title"]))


class Wordings:
    """The wordings of all dialects."""

    def __init__(self, wordings: Iterable[Wording] = ()) -> None:
        self._wordings = tuple(wordings)

    def say(self, path: str, problem: Problem, document: Document) -> Worded:
        """Word a problem for whoever called this path."""
        for wording in self._wordings:
            if wording.paths.fullmatch(path):
                status, body = wording.word(problem, document)
                return Worded(status, "application/json", orjson.dumps(body))
        return Worded(problem.status, MEDIA_TYPE, orjson.dumps(document))
