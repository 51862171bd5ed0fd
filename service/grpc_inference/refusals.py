"""What a refusal is over gRPC: a status, the protocol's words, and what else a caller is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from grpc import StatusCode

from service import charging, faults
from service.errors import Policy
from service.problems import BUSY, NOT_FOUND, Problem, describe, problem_of
from service.protocols.open_inference import WORDING

MOST_WORDS: Final = 1000  # they travel in a header
Pairs = tuple[tuple[str, str], ...]
# From the HTTP statuses of service.problems; any other is the caller's fault, or from 500 on ours.
CODES: Final[Mapping[int, StatusCode]] = {
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.NOT_FOUND,
    408: StatusCode.DEADLINE_EXCEEDED,
    409: StatusCode.FAILED_PRECONDITION,
    410: StatusCode.FAILED_PRECONDITION,
    413: StatusCode.RESOURCE_EXHAUSTED,  # as gRPC itself calls a message that is too large
    429: StatusCode.RESOURCE_EXHAUSTED,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.DEADLINE_EXCEEDED,
    507: StatusCode.RESOURCE_EXHAUSTED,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal as it goes out; `trailing` is metadata."""

    problem: Problem
    code: StatusCode
    words: str
    trailing: Pairs = ()


NO_METHOD: Final = Refusal(NOT_FOUND, StatusCode.UNIMPLEMENTED, "there is no such method here")


def refuse(error: Exception, *, endpoint: str, request_id: str) -> Refusal:
    """Word an error, and log of it what its caller is not told."""
    problem = problem_of(error)
    faults.note(problem, error, endpoint=endpoint)
    _status, body = WORDING.word(problem, describe(problem, error, request_id))
    seconds = faults.retry_after(error)
    trailing = () if seconds is None else _pushback(seconds)
    return Refusal(problem, _code(problem), str(body["error"])[:MOST_WORDS], trailing)


def busy(words: str) -> Refusal:
    """The refusal of a call for which there is no room at the moment."""
    return Refusal(BUSY, StatusCode.UNAVAILABLE, words, _pushback(1))


def limits_told(policies: tuple[Policy, ...]) -> Pairs:
    """The IETF RateLimit fields as metadata."""
    if not policies:
        return ()
    return tuple((name.lower(), value) for name, value in charging.fields_of(policies).items())


def _code(problem: Problem) -> StatusCode:
    wrong = StatusCode.INVALID_ARGUMENT if problem.status < 500 else StatusCode.INTERNAL
    return CODES.get(problem.status, wrong)


def _pushback(seconds: int) -> Pairs:
    """When to come back: as HTTP says it, and for gRPC's own retries (its proposal A6)."""
    return ("retry-after", str(seconds)), ("grpc-retry-pushback-ms", str(seconds * 1000))
