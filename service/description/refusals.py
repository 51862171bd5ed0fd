"""Which refusals the rules of an operation lead to."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import auth.errors as auth_errors
import models.errors as models_errors
from auth.permissions import Permission
from service.description.operations import Operation
from service.errors import RateLimited
from service.problems import (
    ANSWER_LOST,
    BAD_REQUEST,
    BUSY,
    BY_STATUS,
    INPUT,
    INTERNAL,
    INVALID_TOKEN,
    KEY_REUSED,
    MEDIA_TYPE_REFUSED,
    NOT_FOUND,
    PRECONDITION,
    STILL_RUNNING,
    TABLE,
    TOO_LARGE,
    UNAUTHENTICATED,
    UNAVAILABLE,
    Problem,
)

ALWAYS: Final = (BAD_REQUEST, TABLE[RateLimited], INTERNAL, BUSY, UNAVAILABLE)
OF_PERMISSIONS: Final = (UNAUTHENTICATED, INVALID_TOKEN, TABLE[auth_errors.PermissionMissing])
OF_BODIES: Final = (INPUT, BY_STATUS[HTTPStatus.REQUEST_TIMEOUT], TOO_LARGE, MEDIA_TYPE_REFUSED)
OF_VERSIONS: Final = (
    NOT_FOUND,
    *(
        TABLE[kind]
        for kind in (
            models_errors.VersionRetired,
            models_errors.VersionDeleted,
            models_errors.VersionOutdated,
        )
    ),
)
OF_KEYS: Final = (INPUT, KEY_REUSED, STILL_RUNNING, ANSWER_LOST)
OF_PREDICTIONS: Final = (
    *OF_VERSIONS,
    *(
        TABLE[kind]
        for kind in (
            models_errors.VersionBroken,
            models_errors.HostCrashed,
            models_errors.DeadlineExceeded,
            models_errors.RowsRefused,
            models_errors.PredictionFailed,
        )
    ),
)


def problems_of(operation: Operation) -> list[Problem]:
    """Every problem that an operation may answer with."""
    problems = list(ALWAYS)
    if not operation.is_public:
        problems += OF_PERMISSIONS
    if operation.rule.arguments or operation.takes("tenant"):
        problems.append(NOT_FOUND)
    if operation.access.permission is Permission.PREDICT and operation.rule.arguments:
        problems += OF_VERSIONS
    if operation.takes_body:
        problems += OF_BODIES
    if operation.heeds_conditions or operation.is_tagged:
        problems.append(PRECONDITION)
    if operation.takes_key:
        problems += OF_KEYS
    if operation.predicts:
        problems += OF_PREDICTIONS
    return problems + _declared(operation)


def _declared(operation: Operation) -> list[Problem]:
    """Those that the view itself declares, by their status."""
    statuses = [int(status) for status in operation.described["responses"] if status.isdigit()]
    failing = [status for status in statuses if status >= HTTPStatus.BAD_REQUEST]
    return [Problem(status, "declared", HTTPStatus(status).phrase) for status in failing]
