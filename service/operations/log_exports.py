"""What was logged of a model, given to an operator in files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from auth.permissions import Permission
from auth.rows import everything
from auth.scope import Scope
from models.errors import SegmentLost
from service.bootstrap import Platform
from service.operations.prediction_logs import (
    SegmentView,
    find_segment,
    list_segments,
    record_reading,
)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which rows: of a time in Unix seconds, of one version, by one method; None is any."""

    since: float | None = None
    until: float | None = None
    version: int | None = None
    method: str | None = None

    def covers(self, segment: SegmentView) -> bool:
        """Whether a segment of that time is of the version and method."""
        version, method = self.version, self.method
        return version in (None, segment.version) and method in (None, segment.method)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What was written; `lost` are segments that the store does not have, as after a restore."""

    model: str
    files: tuple[str, ...]
    segments: int
    rows: int
    lost: int


def export_log(
    platform: Platform,
    scope: Scope,
    name: str,
    output: Path,
    wanted: Wanted | None = None,
    *,
    progress: Progress = lambda done, total: None,
) -> Exported:
    """Write what was logged to a file or folder, on record; raises ExportRefused."""
    # Imported here, for it brings a library that only this command needs.
    from models.prediction_log.export import Export

    scope.require(Permission.PREDICTIONS_READ, name)
    wanted = wanted or Wanted()
    found = list(_segments(platform, scope, name, wanted))
    rows = sum(segment.rows for segment in found)
    record_reading(platform, scope, name, {"segments": len(found), "rows": rows})
    lost = 0
    with Export(output, since=wanted.since, until=wanted.until) as export:
        for done, segment in enumerate(found):
            progress(done, len(found))
            lost += not _add(platform, scope, name, segment, export.add)
    return Exported(
        model=name,
        files=tuple(map(str, export.files)),
        segments=len(found) - lost,
        rows=export.rows,
        lost=lost,
    )


def _segments(platform: Platform, scope: Scope, name: str, wanted: Wanted) -> Iterator[SegmentView]:
    for segment in everything(
        lambda after: list_segments(
            platform, scope, name, cursor=after, since=wanted.since, until=wanted.until
        )
    ):
        if wanted.covers(segment):
            yield segment


def _add(
    platform: Platform,
    scope: Scope,
    name: str,
    view: SegmentView,
    add: Callable[..., None],
) -> bool:
    """Add a segment to an export; False if its file is not there any more."""
    with platform.database.read() as session:
        segment, kept = find_segment(platform, session, scope, name, view.id)
    try:
        content = platform.prediction_logs.files.open(segment, kept.sealer)
    except SegmentLost as error:
        if error.is_missing:
            return False
        raise
    add(segment, content)
    return True
