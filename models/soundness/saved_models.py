"""The files of a SavedModel within an archive, looked at before TensorFlow sees them.

Nothing is unpacked to a disk: the files go into a file system that TensorFlow keeps in memory, and
their names are of a list of patterns, whatever else the archive holds.
"""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
from collections.abc import Iterator
from typing import Final

from models.errors import FormatRefused
from models.marks import ZIP
from models.soundness.archives import check_archive

GRAPH: Final = "saved_model.pb"
FOLDER: Final = re.compile(r"(?:\./)?(?:[A-Za-z0-9][A-Za-z0-9._-]{0,100}/)?")
FILE: Final = re.compile(
    r"saved_model\.pb|fingerprint\.pb|keras_metadata\.pb"
    r"|variables/variables\.(?:index|data-[0-9]{5}-of-[0-9]{5})"
    r"|assets/[A-Za-z0-9][A-Za-z0-9._-]{0,100}"
)
MOST_MEMBERS: Final = 1_000


def read_saved_model(data: bytes, *, most_bytes: int) -> dict[str, bytes]:
    """The files of a SavedModel by their paths in it; raises FormatRefused for any other."""
    members = dict(_zipped(data, most_bytes) if data.startswith(ZIP) else _tarred(data, most_bytes))
    folder = next((name.removesuffix(GRAPH) for name in members if name.endswith(GRAPH)), None)
    if folder is None or not FOLDER.fullmatch(folder):
        raise FormatRefused(f"its archive has no {GRAPH}, alone or in one folder")
    files = {}
    for name, content in members.items():
        path = name.removeprefix(folder)
        if not name.startswith(folder) or not FILE.fullmatch(path):
            raise FormatRefused(
                f"its archive holds {name[:80]!r}, which is no part of a SavedModel"
            )
        files[path] = content
    return files


def _zipped(data: bytes, most_bytes: int) -> Iterator[tuple[str, bytes]]:
    check_archive(data, most_bytes=most_bytes)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                yield member.filename, archive.read(member)


def _tarred(data: bytes, most_bytes: int) -> Iterator[tuple[str, bytes]]:
    # No member can be longer than the archive, which is not compressed.
    assert len(data) <= most_bytes
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for number, member in enumerate(archive):
                if number > MOST_MEMBERS:
                    raise FormatRefused("its archive has too many members")
                if member.isdir():
                    continue
                stream = archive.extractfile(member) if member.isreg() else None
                if stream is None:
                    raise FormatRefused(f"its archive holds a link or device {member.name[:80]!r}")
                yield member.name, stream.read()
    except (tarfile.TarError, EOFError, ValueError, OSError) as error:
        raise FormatRefused(f"its archive is broken: {error}"[:300]) from error
