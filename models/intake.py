"""How a model file becomes an artefact: recognised, opened, inspected, compiled and compared.

What comes out is plain arrays for an engine that is proven to agree, or else a skops file of our
own writing. The file that came in is never opened again.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Final, Literal

from models.errors import FormatRefused
from models.formats import Format, recognise_bytes
from models.library_versions import refuse_other_versions
from models.stages import Prepared, Progress, Stage

__all__ = ["Prepared", "Progress", "Stage", "import_file"]

MOST_FILE_BYTES: Final = 2 * 1024**3
DEFAULT_FORMATS: Final = frozenset({"skops"})
READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def import_file(
    source: Path | bytes,
    *,
    formats: Collection[str] = DEFAULT_FORMATS,
    expected_digest: str | None = None,
    version_policy: Literal["refuse", "accept"] = "refuse",
    on_progress: Progress | None = None,
    most_bytes: int = MOST_FILE_BYTES,
) -> Prepared:
    """Prepare a model file for registration; raises FormatRefused or EstimatorRefused.

    `formats` are those that may be opened; opening joblib runs what the file says, so that it has
    to be named. `expected_digest` is the SHA-256 that the file must have, `version_policy` what
    to do about a file of another minor version of its library.
    """
    tell = on_progress or _tell_nobody
    data = source if isinstance(source, bytes) else _read(source, most_bytes)
    if not 0 < len(data) <= most_bytes:
        raise FormatRefused(f"it has {len(data)} bytes, 1 to {most_bytes} are taken")
    tell(Stage.RECEIVED, f"{len(data)} bytes")
    digest = _verify(data, expected_digest)
    known = _format_of(data, formats, source)
    tell(Stage.VERIFIED, f"{known.name}, SHA-256 {digest}")
    # They import scikit-learn, for seconds, which a web worker must not pay.
    from models.estimators import limit_native_threads
    from models.handlers import handler_of
    from models.preparation import Origin, prepare

    limit_native_threads()
    opened = handler_of(known.name).open(data)
    if version_policy == "refuse":
        refuse_other_versions(known.library, opened.other_versions)
    return prepare(opened, Origin(format=known.name, digest=digest), tell=tell)


def _format_of(data: bytes, formats: Collection[str], source: Path | bytes) -> Format:
    known = recognise_bytes(data)
    if known is None:
        raise FormatRefused("its bytes are those of no known format", "give skops or joblib")
    suffix = "" if isinstance(source, bytes) else source.suffix
    if suffix == ".skops" and known.name != "skops":
        raise FormatRefused(f"its name says skops, its content is {known.name}")
    if known.name not in formats:
        runs = ": opening one runs whatever its author put in" if known.runs_code else ""
        raise FormatRefused(
            f"it is a {known.name} file, which was not asked for{runs}",
            f"allow {known.name} by name if you trust where it comes from",
        )
    return known


def _read(path: Path, most: int) -> bytes:
    """Read a regular file, and the file that was looked at, not one put in its place."""
    try:
        descriptor = os.open(path, READ)
    except OSError as error:
        raise FormatRefused(f"{path} cannot be opened: {error.strerror}") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise FormatRefused(f"{path} is not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        if status.st_size > most:
            raise FormatRefused(f"it has {status.st_size} bytes, at most {most} are taken")
        return file.read(most + 1)


def _verify(data: bytes, expected: str | None) -> str:
    digest = hashlib.sha256(data).hexdigest()
    if expected is not None and not hmac.compare_digest(digest, expected.lower()):
        raise FormatRefused(f"its SHA-256 is {digest}, expected was {expected}")
    return digest


def _tell_nobody(_stage: Stage, _note: str) -> None:
    return
