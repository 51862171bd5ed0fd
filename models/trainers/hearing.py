"""What a trainer says on its way, checked member by member, and passed on in words to be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn

import orjson

from config.prose import one_line
from models.errors import DataRefused, FrameMalformed, SpecRefused, TrainingFailed
from models.hosting.messages import Message
from models.training import messages as words
from models.training.progress import Keep, Phase, Progress, Result, Tell

MOST_STEPS: Final = 10**9
MOST_RESULT_DEPTH: Final = 16
MOST_RESULT_VALUES: Final = 8_000_000  # of all together: an empty list takes ten times its text

# What each message says besides its kind: no less and no more.
MEMBERS: Final[Mapping[str, frozenset[str]]] = {
    words.TOLD: frozenset({"phase", "done", "total", "note"}),
    words.RESULT: frozenset({"key", "value"}),
    words.REFUSED: words.REFUSAL,
}


class Hearing:
    """Hears one trainer, and counts what it wants to have kept."""

    def __init__(self, tell: Tell, keep: Keep) -> None:
        self._tell = tell
        self._keep = keep
        self._results = 0
        self._bytes = 0
        self._values = 0

    def hear(self, message: Message) -> None:
        """Pass a message on; raises FrameMalformed, or what a refusal stands for."""
        kind, body = message.kind, message.body
        if kind not in MEMBERS or body.keys() != MEMBERS[kind] or message.blobs:
            raise FrameMalformed(f"a message {one_line(kind, 40)!r}, or its members")
        match kind:
            case words.TOLD:
                self._tell(progress_of(body))
            case words.RESULT:
                self._take(body)
            case _:
                refuse(body)

    def _take(self, body: Mapping[str, Any]) -> None:
        key, value = body["key"], body["value"]
        if type(key) is not str or not 0 < len(key) <= words.MOST_KEY or not key.isprintable():
            raise FrameMalformed("the key of a result")
        if type(value) is not dict or not is_shallow(value, MOST_RESULT_DEPTH):
            raise FrameMalformed("a result that is none")
        self._results += 1
        text = orjson.dumps(value)
        self._bytes += len(text)
        self._values += sum(map(text.count, (b",", b"[", b"{")))
        if (
            self._results > words.MOST_RESULTS
            or self._bytes > words.MOST_KNOWN_BYTES
            or self._values > MOST_RESULT_VALUES
        ):
            raise FrameMalformed("more results than are kept")
        self._keep(Result(key, value))


def progress_of(body: Mapping[str, Any]) -> Progress:
    """How far it says it is; raises FrameMalformed."""
    phase, done, total, note = (body[name] for name in ("phase", "done", "total", "note"))
    if type(phase) is not str or phase not in set(Phase):
        raise FrameMalformed("a phase that is not known")
    if not all(type(count) is int and 0 <= count <= MOST_STEPS for count in (done, total)):
        raise FrameMalformed("its steps")
    if type(note) is not str:
        raise FrameMalformed("a note that is no text")
    return Progress(Phase(phase), done, total, one_line(note, words.MOST_NOTE))


def refuse(body: Mapping[str, Any]) -> NoReturn:
    """Raise what a trainer refuses, in words that are shown to people."""
    lines = body["report"]
    if type(lines) is not list or len(lines) > words.MOST_LINES:
        raise FrameMalformed("its report on the data")
    if not all(type(text) is str for text in (*lines, *_texts(body))):
        raise FrameMalformed("a refusal that is no text")
    report = tuple(one_line(line, words.MOST_LINE) for line in lines)
    what, where, problem, remedy = (one_line(text, words.MOST_NOTE) for text in _texts(body))
    match what:
        case "spec":
            raise SpecRefused(where, problem, remedy)
        case "data":
            raise DataRefused(problem, remedy, report=report)
        case "memory":
            raise TrainingFailed(problem or "it takes more memory than a training may have")
        case "failed":
            raise TrainingFailed(problem)
    raise FrameMalformed("a refusal of something that is not known")


def is_shallow(value: object, most: int) -> bool:
    """Whether JSON is not nested deeper than that; counted without recursion."""
    level: list[object] = [value]
    for _ in range(most):
        level = [inner for each in level for inner in _within(each)]
        if not level:
            return True
    return False


def _within(value: object) -> list[object]:
    if type(value) is dict:
        return [inner for inner in value.values() if type(inner) in (dict, list)]
    if type(value) is list:
        return [inner for inner in value if type(inner) in (dict, list)]
    return []


def _texts(body: Mapping[str, Any]) -> tuple[Any, Any, Any, Any]:
    return body["what"], body["where"], body["problem"], body["remedy"]
