"""How a model file becomes an artefact: recognised, opened, inspected, compiled and compared.

What comes out is plain arrays for an engine that is proven to agree, or else a skops file of our
own writing. The file that came in is never opened again.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal

from models.arrays import pack_arrays, unpack_arrays
from models.compilation import Predictor, Unsuitable
from models.engines import ENGINES, NATIVE
from models.errors import ArraysMalformed, FormatRefused
from models.estimators import inspect, limit_native_threads, serve_natively
from models.handlers import Handler, Opened
from models.library_versions import refuse_other_versions, running_version
from models.manifest import ENGINE, MODEL, Contents, StoredFile
from models.parity import Parity, compare, drawn_rows
from models.tables import Matrix

MOST_FILE_BYTES: Final = 2 * 1024**3
DEFAULT_FORMATS: Final = frozenset({"skops"})
READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Stage(StrEnum):
    """How far an intake has come."""

    RECEIVED = "received"
    VERIFIED = "verified"
    INSPECTED = "inspected"
    COMPILED = "compiled"
    COMPARED = "compared"
    READY = "ready"


Progress = Callable[[Stage, str], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """An artefact that is ready to be registered, and what is known about it."""

    contents: Contents
    blobs: Mapping[str, bytes]  # by role


@dataclass(frozen=True, slots=True)
class _Compiled:
    engine: str
    blobs: Mapping[str, bytes]
    reason: str
    parity: Parity | None


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
    handler = _handler_of(data, formats, source)
    tell(Stage.VERIFIED, f"{handler.name}, SHA-256 {digest}")
    opened = handler.open(data)
    if version_policy == "refuse":
        refuse_other_versions(handler.library, opened.other_versions)
    return _prepare(handler, opened, digest, tell)


def _prepare(handler: Handler, opened: Opened, digest: str, tell: Progress) -> Prepared:
    estimator = opened.estimator
    name = type(estimator).__name__
    signature = inspect(estimator)
    tell(Stage.INSPECTED, f"{name}: {signature.task}, {signature.columns} columns")
    seed = int(digest[:8], 16)
    own = serve_natively(estimator)
    compiled = _compile(estimator, own, drawn_rows(signature.columns, seed=seed), seed, tell)
    contents = Contents(
        files={role: _stored(role, blob) for role, blob in compiled.blobs.items()},
        flavour="sklearn",
        source_format=handler.name,
        source_digest=digest,
        estimator=name,
        signature=signature,
        engine=compiled.engine,
        engine_methods=() if compiled.engine == NATIVE else tuple(signature.methods),
        engine_reason=compiled.reason,
        parity=compiled.parity,
        libraries=_libraries(handler, opened),
    )
    tell(Stage.READY, f"served by the {contents.engine} engine")
    return Prepared(contents, compiled.blobs)


def _stored(role: str, blob: bytes) -> StoredFile:
    form = "skops" if role == MODEL else "arrays"
    return StoredFile(hashlib.sha256(blob).hexdigest(), len(blob), form)


def _compile(estimator: Any, own: Predictor, rows: Matrix, seed: int, tell: Progress) -> _Compiled:
    """Take the first engine that agrees with the model's own library, else that library."""
    reasons = []
    for engine in ENGINES.values():
        arrays = engine.compile(estimator)
        if isinstance(arrays, Unsuitable):
            reasons.append(f"{engine.name}: {arrays.reason}")
            continue
        try:
            artefact = pack_arrays(arrays)
            predictor = engine.load(unpack_arrays(artefact))
        except ArraysMalformed as error:
            reasons.append(f"{engine.name}: {error.problem}")
            continue
        tell(Stage.COMPILED, engine.name)
        parity = compare(own, predictor, rows, seed=seed)
        tell(Stage.COMPARED, _summary(parity))
        if parity.agrees:
            blobs = {ENGINE: artefact, MODEL: _own_writing(estimator)}
            return _Compiled(engine.name, blobs, "", parity)
        reasons.append(f"{engine.name}: {_summary(parity)}")
    return _keep_native(estimator, own, rows, seed, "; ".join(reasons), tell)


def _keep_native(
    estimator: Any, own: Predictor, rows: Matrix, seed: int, reason: str, tell: Progress
) -> _Compiled:
    """Store the estimator as skops, and prove that what opens again answers as it did."""
    from models.handlers.skops_file import SkopsFile

    artefact = _own_writing(estimator)
    again = serve_natively(SkopsFile().open(artefact).estimator)
    tell(Stage.COMPILED, f"{NATIVE}, because {reason}")
    try:
        parity = compare(own, again, rows, seed=seed)
    except ValueError as error:  # how scikit-learn refuses rows outside a model's domain
        note = f"not compared: the model refuses the drawn rows ({error})"
        tell(Stage.COMPARED, note)
        return _Compiled(NATIVE, {MODEL: artefact}, f"{reason}; {note}"[:2000], None)
    tell(Stage.COMPARED, _summary(parity))
    if not parity.agrees:
        raise FormatRefused(f"stored as skops the model answers otherwise: {_summary(parity)}")
    return _Compiled(NATIVE, {MODEL: artefact}, reason, parity)


def _own_writing(estimator: Any) -> bytes:
    from models.handlers.skops_file import write_skops

    return write_skops(estimator)


def _handlers() -> tuple[Handler, ...]:
    """Every format: a new one is a module in `models.handlers` and a line here."""
    # Their libraries take seconds to import, which a web worker must not pay.
    limit_native_threads()
    from models.handlers.joblib_file import JoblibFile
    from models.handlers.skops_file import SkopsFile

    return (SkopsFile(), JoblibFile())


def _handler_of(data: bytes, formats: Collection[str], source: Path | bytes) -> Handler:
    handler = next((handler for handler in _handlers() if handler.sniff(data)), None)
    if handler is None:
        raise FormatRefused("its first bytes are those of no known format", "give skops or joblib")
    suffix = "" if isinstance(source, bytes) else source.suffix
    if suffix == ".skops" and handler.name != "skops":
        raise FormatRefused(f"its name says skops, its content is {handler.name}")
    if handler.name not in formats:
        runs = ": opening one runs whatever its author put in" if handler.runs_code else ""
        raise FormatRefused(
            f"it is a {handler.name} file, which was not asked for{runs}",
            f"allow {handler.name} by name if you trust where it comes from",
        )
    return handler


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


def _libraries(handler: Handler, opened: Opened) -> dict[str, str]:
    libraries = {name: running_version(name) for name in (handler.library, "numpy", "skops")}
    if opened.other_versions:
        libraries["saved by"] = f"{handler.library} {', '.join(opened.other_versions)}"
    return libraries


def _summary(parity: Parity) -> str:
    return (
        f"{parity.labels_differing} labels differ, relative error {parity.relative_error:.1e} "
        f"on {parity.rows} rows"
    )


def _tell_nobody(_stage: Stage, _note: str) -> None:
    return
