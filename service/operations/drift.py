"""Drift: what was logged of a model's predictions beside what the model was trained on.

It is computed where trainings run: a web worker reads no table of a stranger's, and draws nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from auth.permissions import Permission
from auth.rows import everything
from auth.scope import Scope
from models.errors import DataRefused, DriftUnknown, SegmentLost, TrainingFailed
from models.manifest import REFERENCE
from models.names import Reference
from models.trainers.drifting import MOST_LOG_BYTES, Question, find_drift
from models.versions import Version
from service.bootstrap import Platform
from service.operations.prediction_logs import (
    SegmentView,
    find_segment,
    list_segments,
    record_reading,
)
from service.operations.version_files import read_file
from service.streams import Streams

MOST_ROWS: Final = 500_000  # the latest; older ones are left out, and counted
# Each holds its log in memory, and a process that compares.
PLACES: Final = Streams(most=4, most_each=1, what="logs are compared right now")
TOLD: Final = (
    *("model", "version", "verdict", "words", "since", "until"),
    *("rows", "reference_rows", "predictions"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """Of which time, in Unix seconds; None is any."""

    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DriftReport:
    """How far what was logged is from what a version was trained on.

    `left_out` are rows that were logged and not looked at, for there were too many, or whose file
    is lost.
    """

    model: str
    version: int
    verdict: str
    words: str
    since: float | None
    until: float | None
    rows: int
    reference_rows: int
    left_out: int
    features: tuple[Mapping[str, Any], ...]
    predictions: Mapping[str, Any] | None
    page: bytes | None = None


ANY_TIME: Final = Period()


def show_drift(
    platform: Platform,
    scope: Scope,
    name: str,
    version: Reference = None,
    *,
    period: Period = ANY_TIME,
    page: bool = False,
    goes_on: Callable[[], None] = lambda: None,
) -> DriftReport:
    """Compare what was logged of a version, the champion unless one is named; on record.

    Raises LogNotFound, TooBusy, or DriftUnknown where there is nothing to compare.
    """
    scope.require(Permission.PREDICTIONS_READ, name)
    leave = PLACES.open(scope.tenant_id)
    try:
        return _drift(platform, scope, name, version, period, page=page, goes_on=goes_on)
    finally:
        leave()


def _drift(
    platform: Platform,
    scope: Scope,
    name: str,
    version: Reference,
    period: Period,
    *,
    page: bool,
    goes_on: Callable[[], None],
) -> DriftReport:
    with platform.database.read() as session:
        target = platform.registry.find(session, scope, name, version).kept()
    reference = _reference(platform, target)
    found = list(_segments(platform, scope, target, period))
    chosen = _latest(found)
    if not chosen:
        problem = f"nothing of version {target.number} was logged in that time"
        raise DriftUnknown(name, problem, "log its predictions, or name another time or version")
    rows = sum(segment.rows for segment in chosen)
    record_reading(platform, scope, name, {"segments": len(chosen), "rows": rows, "for": "drift"})
    contents, lost = _contents(platform, scope, name, chosen)
    question = Question(
        model=name,
        version=target.number,
        method=target.signature.default_method,
        since=period.since,
        until=period.until,
        page=page,
    )
    trainers = platform.hosting.trainers
    try:
        drifted = find_drift(trainers, question, reference, contents, goes_on=goes_on)
    except (DataRefused, TrainingFailed) as error:
        raise DriftUnknown(name, str(error), "ask for a shorter time") from error
    told = {member: drifted.told[member] for member in TOLD}
    left_out = sum(segment.rows for segment in found) - rows + lost
    features = tuple(drifted.told["features"])
    return DriftReport(**told, features=features, left_out=left_out, page=drifted.page)


def _reference(platform: Platform, target: Version) -> bytes:
    reference = read_file(platform, target, REFERENCE)
    if reference is None:
        problem = f"it is not on record what version {target.number} was trained on"
        raise DriftUnknown(target.model, problem, "train it with the platform")
    return reference


def _segments(
    platform: Platform, scope: Scope, target: Version, period: Period
) -> Iterator[SegmentView]:
    for segment in everything(
        lambda after: list_segments(
            platform, scope, target.model, cursor=after, since=period.since, until=period.until
        )
    ):
        if segment.version == target.number:
            yield segment


def _latest(found: list[SegmentView]) -> list[SegmentView]:
    """As many of the latest as are looked at together."""
    chosen: list[SegmentView] = []
    rows = size = 0
    for segment in reversed(found):
        rows, size = rows + segment.rows, size + segment.bytes
        if chosen and (rows > MOST_ROWS or size > MOST_LOG_BYTES):
            break
        chosen.append(segment)
    return chosen[::-1]


def _contents(
    platform: Platform, scope: Scope, name: str, segments: list[SegmentView]
) -> tuple[list[bytes], int]:
    """The files, and how many rows were in those that the store does not have any more."""
    contents, lost = [], 0
    for view in segments:
        with platform.database.read() as session:
            segment, kept = find_segment(platform, session, scope, name, view.id)
        try:
            contents.append(platform.prediction_logs.files.open(segment, kept.sealer))
        except SegmentLost as error:
            if not error.is_missing:
                raise
            lost += segment.rows
    return contents, lost
