"""Every refusal and fault leaves as problem+json (RFC 9457), and says nothing of the inside."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Final

import flask
import structlog
from flask import g, request
from werkzeug.exceptions import HTTPException

from auth.errors import HashingBusy, StillRunning
from config.logging import frames_of
from service.errors import CodingRefused, RateLimited, TooBusy
from service.problems import BAD_REQUEST, BY_STATUS, INTERNAL, Problem, describe, problem_of
from service.security import takes_basic
from service.wording import Wordings

log = structlog.get_logger("sallyport.faults")
REALM = 'realm="sallyport"'
# Endpoints of OAuth 2.0: whatever is wrong with a request has a name there (RFC 6749, section 5.2).
OAUTH: Final = frozenset({"auth.token", "auth.revoke", "auth.introspect"})


def register(app: flask.Flask, wordings: Wordings) -> None:
    """Answer every exception with a problem document, or as the dialect of its path words it."""
    app.register_error_handler(HTTPException, partial(_answer_http, wordings))
    app.register_error_handler(Exception, partial(_answer_domain, wordings))


def _answer_http(wordings: Wordings, error: HTTPException) -> flask.Response:
    """The router's and the parser's own refusals: 404, 405, 413 and the like."""
    status = error.code or 500
    problem = BY_STATUS.get(status, BAD_REQUEST if status < 500 else INTERNAL)
    response = _answer(wordings, problem, None)
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def _answer_domain(wordings: Wordings, error: Exception) -> flask.Response:
    problem = problem_of(error)
    note(problem, error, endpoint=request.endpoint)
    response = _answer(wordings, problem, error)
    if isinstance(error, RateLimited):
        g.policies = error.policies
    if isinstance(error, CodingRefused):
        response.headers["Accept-Encoding"] = ", ".join(error.accepted)  # RFC 7694, section 3
    seconds = retry_after(error)
    if seconds is not None:
        response.headers["Retry-After"] = str(seconds)
    return response


def note(problem: Problem, error: Exception, *, endpoint: str | None) -> None:
    """Log what a caller is not told of a refusal.

    Of what callers bring about as they like only the kind is logged, and as no error: else
    whoever asks often enough is an alarm.
    """
    if problem is INTERNAL:
        log.error("unforeseen error", endpoint=endpoint, exception=frames_of(error))
    elif problem.at_will:
        log.info("refused", problem=problem.name)
    elif problem.status >= 500:
        log.error("failing", problem=problem.name, reason=str(error))
    elif not problem.tells:
        log.info("refused", problem=problem.name, reason=str(error))


def retry_after(error: Exception) -> int | None:
    """After how many seconds to come back, if that is known, rounded up: never too early."""
    seconds: float | None = error.seconds if isinstance(error, HashingBusy | StillRunning) else None
    if isinstance(error, RateLimited | TooBusy):
        seconds = error.retry_after
    if seconds is None or not math.isfinite(seconds):
        return None
    return max(1, math.ceil(seconds))


def _answer(wordings: Wordings, problem: Problem, error: Exception | None) -> flask.Response:
    problem = _as_oauth(problem) if request.endpoint in OAUTH else problem
    g.problem = problem.name
    body = describe(problem, error, g.get("request_id", ""))
    said = wordings.say(request.path, problem, body)
    response = flask.Response(said.body, said.status, content_type=said.media_type)
    _challenge(response, problem)
    return response


def _as_oauth(problem: Problem) -> Problem:
    """The problem as RFC 6749, section 5.2 has it: of these, only a wrong client is a 401."""
    if problem.oauth_error == "invalid_grant":
        return replace(problem, status=400)
    unnamed = 400 <= problem.status < 500 and problem.status not in (401, 403, 429)
    if problem.oauth_error is None and unnamed:
        return replace(problem, oauth_error="invalid_request")
    return problem


def _challenge(response: flask.Response, problem: Problem) -> None:
    """Say how to identify oneself, each way in a line of its own, as more clients understand it."""
    for challenge in _challenges(problem):
        response.headers.add("WWW-Authenticate", challenge)


def _challenges(problem: Problem) -> list[str]:
    """RFC 6750, section 3: no `error` when the request had no credentials at all."""
    bearer, basic = f"Bearer {REALM}", f"Basic {REALM}"
    if problem.oauth_error in ("invalid_token", "insufficient_scope"):
        bearer += f', error="{problem.oauth_error}"'
    if problem.status != 401:
        return [bearer] if problem.oauth_error == "insufficient_scope" else []
    if problem.oauth_error == "invalid_client":
        return [basic, bearer] if takes_basic() else [basic]
    return [bearer, basic] if takes_basic() else [bearer]
