"""The files of a version beside its model: what a training told of it."""

from __future__ import annotations

from models.versions import Version
from service.bootstrap import Platform


def read_file(platform: Platform, version: Version, role: str) -> bytes | None:
    """The file of a role; None of a version that has none, as one that was uploaded.

    Raises ArtefactMissing, ArtefactBroken or VersionDeleted.
    """
    if role not in version.files:
        return None
    with platform.database.read() as session:
        sealer = platform.registry.sealer(session, version)
    return platform.artefacts.open(version, role, sealer)
