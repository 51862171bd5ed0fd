"""What an uploaded file becomes before it is a version of anything: prepared in the sandbox."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from models import intake
from models.stages import Prepared, Progress
from service.bootstrap import Platform


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A file, with rows and answers if they were given, as open descriptors; and what it may be."""

    file: int
    rows: int | None
    answers: int | None
    digest: str | None
    formats: frozenset[str]
    accept_version: bool


def prepare(
    platform: Platform, source: Source, *, tell: Progress, goes_on: Callable[[], None]
) -> Prepared:
    """Prepare a version; raises IntakeRefused, HostsUnavailable, or what `goes_on` raises."""
    size = os.fstat(source.file).st_size
    return intake.import_file(
        os.pread(source.file, size, 0),
        formats=source.formats,
        expected_digest=source.digest,
        version_policy="accept" if source.accept_version else "refuse",
        on_progress=tell,
    )
