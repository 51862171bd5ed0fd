"""Uploads of models: admitted by their head, received part by part, and then put in line."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from auth.permissions import Permission, format_scope
from auth.rows import lock_tenant
from auth.scope import Scope
from config.sealing import Sealer
from config.settings import Settings
from models.errors import StoreUnavailable
from models.formats import FORMATS, recognise_bytes
from models.jobs import FILE, Job, Order, new_job_id
from models.marks import HEAD_BYTES
from models.names import check_alias, check_model_name
from models.uploads import PartWriter, StoredPart, UploadPlace
from service.bootstrap import Platform
from service.errors import InputMalformed, RateLimited, StorageFull
from service.operations.recording import recorded
from service.operations.registration import require_room as require_version_room
from service.spools import FULL, require_room

ROWS: Final = "rows"
ANSWERS: Final = "answers"
# What a part of a form may be called, and what is kept under which name.
PARTS: Final = {"file": FILE, "X": ROWS, "rows": ROWS, "y": ANSWERS}
MOST_ROWS_BYTES: Final = 64 * 1024 * 1024
PICKLED: Final = {"pickle": "joblib"}  # a name that people know the format by
HARMLESS: Final = frozenset(name for name, known in FORMATS.items() if not known.runs_code)
SHA_256: Final = re.compile(r"[0-9a-f]{64}")
WAITING: Final = "waiting_jobs"
RETRY_SECONDS: Final = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """What an uploader asks for besides; an empty `format` is for the file to tell."""

    format: str = ""
    promote: bool = False
    alias: str | None = None
    note: str = ""
    version_policy: str = "refuse"
    digest: str | None = None


def admit(platform: Platform, scope: Scope, model: str, form: str) -> None:
    """Refuse an upload that could not become a job, before any of it is read."""
    scope.require(Permission.MODELS_WRITE, model)
    check_model_name(model)
    known_format(scope, model, form)
    with platform.database.read() as session:
        _refuse_many(platform, platform.jobs.open_of(session, scope))
        require_version_room(platform, session, scope)


def known_format(scope: Scope, model: str, form: str) -> str:
    """The format's own name; raises InputMalformed, or PermissionMissing for one that runs code."""
    name = PICKLED.get(form, form)
    if not name:
        return name
    if name not in FORMATS:
        raise InputMalformed({"/format": f"not one of {', '.join(FORMATS)}"})
    if FORMATS[name].runs_code:
        scope.require(Permission.MODELS_PICKLE, model)
    return name


def read_digest(text: str) -> str:
    """A SHA-256 as people write it, in lower-case hexadecimal; raises InputMalformed."""
    digest = text.strip().lower().removeprefix("sha256:").removeprefix("sha-256:")
    if not SHA_256.fullmatch(digest):
        raise InputMalformed({"/digest": "no SHA-256: give 64 hexadecimal digits"})
    return digest


def formats_for(order: Order, scope: Scope) -> frozenset[str]:
    """The formats that a job may open: the one it names, or all that run no code.

    Raises PermissionMissing if the scope may not upload that format, or may not any more.
    """
    name = known_format(scope, order.model, order.format)
    return frozenset({name}) if name else HARMLESS


@dataclass(slots=True)
class Reception:
    """An upload on its way into the store; what is not accepted leaves nothing there."""

    platform: Platform
    scope: Scope
    model: str
    place: UploadPlace
    sealer: Sealer
    _open: dict[str, PartWriter] = field(default_factory=dict)
    _parts: dict[str, StoredPart] = field(default_factory=dict)
    _head: bytearray = field(default_factory=bytearray)

    def begin(self, name: str) -> None:
        """Begin a part of the form; raises InputMalformed for one that is unknown or repeated."""
        if name not in PARTS:
            raise InputMalformed({f"/{name}"[:64]: "no file part; send file, X (or rows) and y"})
        kept = PARTS[name]
        if kept in self._open or kept in self._parts:
            raise InputMalformed({f"/{name}": "given twice"})
        self._open[kept] = PartWriter(self.platform.uploads, self.place, kept, self.sealer)

    def write(self, name: str, data: bytes) -> None:
        """Append to a part; raises StorageFull, or InputMalformed where rows are too many."""
        writer = self._open[PARTS[name]]
        with leaving_room(self.platform.settings, len(data)):
            writer.write(data)
        if PARTS[name] == FILE:
            self._head += data[: HEAD_BYTES - len(self._head)]
        elif writer.size > MOST_ROWS_BYTES:
            raise InputMalformed({f"/{name}": f"larger than {MOST_ROWS_BYTES} bytes"})

    def finish(self, name: str, content_type: str = "") -> None:
        """End a part."""
        kept = PARTS[name]
        with leaving_room(self.platform.settings, 0):
            self._parts[kept] = self._open.pop(kept).finish(content_type[:128])

    def accept(self, wishes: Wishes) -> Job:
        """Put the upload in line; raises InputMalformed where it is not what was announced."""
        self._check(wishes)
        order = Order(
            model=self.model,
            format=known_format(self.scope, self.model, wishes.format),
            parts=self._parts,
            grants=format_scope(self.scope.principal.grants),
            promote=wishes.promote,
            alias=wishes.alias,
            note=wishes.note,
            version_policy=wishes.version_policy,
        )
        permission, jobs = Permission.MODELS_WRITE, self.platform.jobs
        with recorded(
            self.platform, self.scope, permission, "models.upload", self.model, model=self.model
        ) as act:
            lock_tenant(act.session, self.scope.tenant_id)
            _refuse_many(self.platform, jobs.open_of(act.session, self.scope))
            job = jobs.add(
                act.session,
                self.scope,
                self.place.job_id,
                order,
                created_by=str(self.scope.principal),
                principal_id=self.scope.principal.id,
            )
            act.details |= {"job": job.id, "digest": job.digest, "size": job.size}
        return job

    def abandon(self) -> None:
        """Keep nothing of what arrived."""
        self.platform.uploads.delete(self.place)

    def _check(self, wishes: Wishes) -> None:
        file = self._parts.get(FILE)
        if file is None or not file.size:
            raise InputMalformed({"/file": "no model was sent"})
        if not wishes.format:
            self._refuse_undeclared()
        if ANSWERS in self._parts and ROWS not in self._parts:
            raise InputMalformed({"/y": "answers need the rows that they are to: send X"})
        if wishes.alias is not None:
            check_alias(wishes.alias)
        if wishes.digest is not None and not hmac.compare_digest(wishes.digest, file.digest):
            raise InputMalformed({"/digest": f"the SHA-256 of what arrived is {file.digest}"})

    def _refuse_undeclared(self) -> None:
        """Refuse what runs code when it is opened, unless its uploader has said what it is."""
        known = recognise_bytes(bytes(self._head))
        if known is None or not known.runs_code:
            return
        self.scope.require(Permission.MODELS_PICKLE, self.model)
        raise InputMalformed(
            {
                "/format": f"the file is {known.name}, and opening one runs what its author put "
                f"in: declare it, with X-Model-Format: {known.name}"
            }
        )


@contextmanager
def leaving_room(settings: Settings, size: int) -> Iterator[None]:
    """Store so many bytes in the block; raises StorageFull where others would suffer from it."""
    try:
        if not settings.artefacts_url:
            settings.uploads.mkdir(mode=0o700, parents=True, exist_ok=True)
            require_room(settings.uploads, settings.free_disk_bytes + size)
        yield
    except StoreUnavailable as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in FULL:
            raise StorageFull from error
        raise


@contextmanager
def receiving(platform: Platform, scope: Scope, model: str) -> Iterator[Reception]:
    """Receive an upload; if the block does not end with a job, nothing of it stays."""
    scope.require(Permission.MODELS_WRITE, model)
    with platform.database.read() as session:
        sealer = Sealer((platform.tenants.data_key(session, scope),))
    place = UploadPlace(scope.tenant_id, new_job_id(platform.clock()))
    try:
        yield Reception(platform, scope, model, place, sealer)
    except BaseException:
        platform.uploads.delete(place)
        raise


def _refuse_many(platform: Platform, waiting: int) -> None:
    if waiting >= platform.settings.waiting_jobs:
        raise RateLimited(WAITING, RETRY_SECONDS)
