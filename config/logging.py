"""Structured logs on standard error, with no secret and no feature value in any line."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from config.prose import printable

SECRET_WORDS: Final = ("password", "secret", "token", "otp", "authorization", "cookie", "features")
REDACTED: Final = "[redacted]"


def configure_logging(level: str, form: str) -> None:
    """Send every log of the process, libraries included, to standard error in one form."""
    threshold = getattr(logging, level.upper())
    renderers: list[Processor] = (
        # Not the pretty tracebacks: they show local variables, secrets among them.
        [
            readable,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ]
        if form == "console"
        else [structlog.processors.JSONRenderer(sort_keys=True)]
    )
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)


def frames_of(error: BaseException) -> str:
    """Where an error was raised, and of which kinds it and its causes are, without their words.

    An error that nobody foresaw may quote what a caller sent.
    """
    kinds, frames = [], ""
    cause: BaseException | None = error
    while cause is not None:
        kinds.append(type(cause).__name__)
        frames = "".join(traceback.format_tb(cause.__traceback__))
        cause = cause.__cause__ or cause.__context__
    return f"{frames}{' of '.join(kinds)}"


def readable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape what a terminal would obey; JSON escapes it by itself. Only a traceback has lines."""
    return {printable(key): _readable(key, value) for key, value in event.items()}


def _readable(key: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value  # is shown by its repr, which escapes
    lines = value.split("\n") if key in ("exception", "stack") else [value]
    return "\n".join(map(printable, lines))


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blank every member whose name says that it may be a secret or a caller's data."""
    return {key: _redacted(key, value) for key, value in event.items()}


def _redacted(key: str, value: Any) -> Any:
    if any(word in key.lower() for word in SECRET_WORDS):
        return REDACTED
    if isinstance(value, dict):
        return {inner: _redacted(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(key, item) for item in value]
    return value
