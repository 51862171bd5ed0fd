"""ETag, If-Match and If-None-Match (RFC 9110, sections 8.8.3 and 13.1).

A tag is strong: a word for the state of the thing, and one for the representation at hand, joined
by a dot. A change names the tag of any representation of the thing: whoever read it with other
counts beside it has read the same state.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

import flask
import orjson
from flask import g, request

from service.errors import PreconditionFailed
from service.operations.preconditions import Expected
from service.problems import MEDIA_TYPE, PRECONDITION, describe
from service.security import View

TAG: Final = re.compile(r'(W/)?"([!#-~\x80-\xff]*)"')  # RFC 9110, section 8.8.3
SEPARATOR: Final = "."
CONTENT_HEADERS: Final = ("Content-Type", "Content-Length")
NO_STATE: Final = ""  # of a listing, which nothing changes as a whole


@dataclass(frozen=True, slots=True)
class Tags:
    """What a header names: every state with `*`, or some; what is no tag names none."""

    every: bool
    strong: frozenset[str]
    all: frozenset[str]

    @classmethod
    def of(cls, header: str) -> Tags | None:
        """The tags of one of the request's headers, if it has that."""
        text = request.headers.get(header)
        if text is None:
            return None
        found = TAG.findall(text)
        strong = frozenset(tag for weak, tag in found if not weak)
        return cls(text.strip() == "*", strong, frozenset(tag for _, tag in found))


def is_tagged(view: View) -> View:
    """Mark a view that says which state it shows."""
    view.is_tagged = True  # type: ignore[attr-defined]
    return view


def heeds_conditions(view: View) -> View:
    """Mark a view whose change may depend on the state of what it changes."""
    view.heeds_conditions = True  # type: ignore[attr-defined]
    return view


def expected() -> Expected:
    """What the request takes for granted of the thing that it changes.

    If-Match compares strongly: a weak tag matches nothing. If-None-Match compares weakly.
    """
    match, none_match = Tags.of("If-Match"), Tags.of("If-None-Match")
    return Expected(
        one_of=None if match is None or match.every else frozenset(map(_state, match.strong)),
        there=match is not None and match.every,
        none_of=frozenset(map(_state, none_match.all if none_match else ())),
        absent=none_match is not None and none_match.every,
    )


def shown(state: str) -> None:
    """Say which state the answer to this request shows."""
    g.shown_state = state


def tag(response: flask.Response) -> flask.Response:
    """Give an answer its tag, or say that what the caller has is still what there is."""
    state: str | None = g.pop("shown_state", None)
    if state is None or response.status_code != 200:
        return response
    etag = f"{state}{SEPARATOR}{hashlib.sha256(response.get_data()).hexdigest()[:16]}"
    match, none_match = Tags.of("If-Match"), Tags.of("If-None-Match")
    if match is not None and not match.every and etag not in match.strong:
        return _failed()
    response.set_etag(etag)
    if none_match is not None and (none_match.every or etag in none_match.all):
        response.status_code = 304
        response.set_data(b"")
        for name in CONTENT_HEADERS:
            response.headers.pop(name, None)
    return response


def _failed() -> flask.Response:
    body = describe(PRECONDITION, PreconditionFailed(), g.request_id)
    return flask.Response(orjson.dumps(body), PRECONDITION.status, content_type=MEDIA_TYPE)


def _state(tag: str) -> str:
    return tag.rpartition(SEPARATOR)[0]
