"""The current HTTP request as a visit of the data plane."""

from __future__ import annotations

from typing import cast

from flask import g, request

from service import dataplane
from service.dataplane import Answer, Decode
from service.security import current_platform, current_scope
from service.visits import SETBACK, Visit


def visit_of(dialect: str) -> Visit:
    """The current request, whose caller is authorised already."""
    g.visit = Visit(
        platform=current_platform(),
        scope=current_scope(),
        dialect=dialect,
        header=request.headers.get,
        request_id=g.request_id,
        stages=g.stages,
        setback=request.environ.get(SETBACK),
    )
    return cast(Visit, g.visit)


def predict(dialect: str, decode: Decode) -> Answer:
    """Take the current request through every gate to a prediction; see service.dataplane."""
    visit = visit_of(dialect)
    try:
        return dataplane.predict(visit, decode)
    finally:
        g.policies = visit.policies
