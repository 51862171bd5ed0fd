"""What an uploaded file becomes before it is a version of anything: prepared in the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from models.sealed_files import Given
from models.stages import Prepared, Progress
from service.bootstrap import Platform


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A file, with rows and answers if they were given, and what it may be.

    They are bytes or open descriptors.
    """

    file: Given
    rows: Given | None
    answers: Given | None
    digest: str | None
    formats: frozenset[str]
    accept_version: bool


def prepare(
    platform: Platform, source: Source, *, tell: Progress, goes_on: Callable[[], None]
) -> Prepared:
    """Prepare a version; raises IntakeRefused, HostsUnavailable, or what `goes_on` raises."""
    return platform.hosting.intake.run(
        source.file,
        formats=source.formats,
        expected_digest=source.digest,
        version_policy="accept" if source.accept_version else "refuse",
        rows=source.rows,
        answers=source.answers,
        on_progress=tell,
        goes_on=goes_on,
        seconds=platform.settings.intake_seconds,
    )
