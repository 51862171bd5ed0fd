"""How a model file becomes a version: recognised here, opened and compiled in the sandbox.

What comes out is plain arrays for an engine that is proven to agree, and the file that a host
opens: of scikit-learn's models a skops file of our own writing. A file that may run code is opened
once, in a workshop of its own, and written anew as data.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from socket import socket
from typing import Any, Final, Literal, Protocol

from models.acceptance import accept
from models.errors import (
    EstimatorRefused,
    ExtraMissing,
    FormatRefused,
    FrameMalformed,
    GivenRowsRefused,
    IntakeFailed,
)
from models.formats import FORMATS, Flavour, Format, recognise
from models.hosting.messages import Bounds, Message, MessagesEnded, receive, send
from models.library_versions import is_other_version, refuse_other_versions, running_version
from models.sealed_files import Given, SealedFile, open_regular, sealed
from models.stages import Prepared, Progress, Stage

__all__ = ["Intake", "Prepared", "Progress", "Stage", "open_regular"]

MOST_FILE_BYTES: Final = 2 * 1024**3
MOST_STORED_BYTES: Final = 4 * 1024**3
MEMORY_BYTES: Final = 4 * 1024**3
SECONDS: Final = 600.0
MOST_NOTE: Final = 2_000
MOST_VERSIONS, MOST_VERSION = 8, 100
MOST_MESSAGES: Final = 1_000
ANSWER: Final = Bounds(head=64 * 1024**2, blobs=2, bytes=MOST_STORED_BYTES)
ENDED: Final = (
    "the process that opened it ended: it takes more memory than it may, or does what none may"
)

Patience = Callable[[], None]


class Workshop(Protocol):
    """A process of the sandbox that waits for an order; it ends when the connection is closed."""

    @property
    def connection(self) -> socket:
        """The way to it."""
        ...


class Parent(Protocol):
    """Starts workshops of one flavour."""

    def workshop(self, *, memory_bytes: int, seconds: float) -> Workshop:
        """Open a workshop; raises HostsUnavailable."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class _Case:
    """One intake while it runs."""

    known: Format
    digest: str
    version_policy: Literal["refuse", "accept"]
    tell: Progress
    patience: Patience
    deadline: float


class Intake:
    """Prepares model files for registration, in workshops of the parents given by flavour."""

    def __init__(
        self,
        parents: Mapping[Flavour, Parent],
        *,
        memory_bytes: int = MEMORY_BYTES,
        most_bytes: int = MOST_FILE_BYTES,
    ) -> None:
        self._parents = parents
        self._memory = memory_bytes
        self._most = most_bytes

    def run(
        self,
        source: Given,
        *,
        formats: Collection[str],
        expected_digest: str | None = None,
        version_policy: Literal["refuse", "accept"] = "refuse",
        rows: Given | None = None,
        answers: Given | None = None,
        on_progress: Progress | None = None,
        goes_on: Patience | None = None,
        seconds: float = SECONDS,
    ) -> Prepared:
        """Prepare a file; raises IntakeRefused, HostsUnavailable, or what `goes_on` raises.

        Files are bytes or descriptors. `formats` are those that the file may be of: the one that
        its uploader declared, or all that the uploader may use. `rows` and `answers` are given
        with the model, to see it give the one to the other. `goes_on` is called several times a
        second and may raise to end the intake.
        """
        tell = on_progress or (lambda _stage, _note: None)
        with ExitStack() as stack:
            file = stack.enter_context(sealed(source, self._most))
            tell(Stage.RECEIVED, f"{file.size} bytes")
            _verify(file, expected_digest)
            known = _recognised(file, formats)
            tell(Stage.VERIFIED, f"{known.name}, SHA-256 {file.digest}")
            given = [stack.enter_context(sealed(each, self._most)) for each in (rows, answers)]
            case = _Case(
                known=known,
                digest=file.digest,
                version_policy=version_policy,
                tell=tell,
                patience=goes_on or (lambda: None),
                deadline=time.monotonic() + seconds,
            )
            return self._prepare(case, file, given)

    def _prepare(self, case: _Case, file: SealedFile, given: list[SealedFile]) -> Prepared:
        saved_by: tuple[str, ...] = ()
        form = case.known.name
        with ExitStack() as stack:
            if case.known.runs_code:
                converted, saved_by = self._ask("convert", case, form, [file])
                form = "skops"
                file = stack.enter_context(sealed(converted.blobs[0], MOST_STORED_BYTES))
                case.tell(Stage.VERIFIED, f"converted to skops, {file.size} bytes")
            made, also = self._ask("prepare", case, form, [file, *given])
        prepared = accept(
            _contents(made), _blobs(made), source_format=case.known.name, source_digest=case.digest
        )
        return _with_saved_by(prepared, case.known.library, saved_by or also)

    def _ask(
        self, kind: str, case: _Case, form: str, files: list[SealedFile]
    ) -> tuple[Message, tuple[str, ...]]:
        """Have a workshop carry out an order, and return its last word, and who saved the file."""
        left = case.deadline - time.monotonic()
        workshop = self._parent(form).workshop(memory_bytes=self._memory, seconds=max(1.0, left))
        body = {
            "format": form,
            "source_format": case.known.name,
            "source_digest": case.digest,
            "sizes": [file.size for file in files],
        }
        with closing(workshop.connection) as connection, ExitStack() as stack:
            readers = [stack.enter_context(file.reader()) for file in files if file.size]
            descriptors = tuple(reader.fileno() for reader in readers)
            try:
                send(connection, Message(kind, body, (), descriptors))
                return _conversation(connection, case)
            except MessagesEnded as error:
                raise IntakeFailed(ENDED) from error
            except FrameMalformed as error:
                problem = f"what the process that opened it says is malformed: {error.problem}"
                raise IntakeFailed(problem) from error

    def _parent(self, form: str) -> Parent:
        known = FORMATS[form]
        parent = self._parents.get(known.flavour)
        if parent is None:
            raise ExtraMissing(form, known.extra or known.flavour)
        return parent


def _verify(file: SealedFile, expected: str | None) -> None:
    if not file.size:
        raise FormatRefused("it is empty")
    if expected is not None and not hmac.compare_digest(file.digest, expected.lower()):
        raise FormatRefused(f"its SHA-256 is {file.digest}, expected was {expected}")


def _recognised(file: SealedFile, formats: Collection[str]) -> Format:
    with file.reader() as source:
        known = recognise(source)
    if known is None:
        raise FormatRefused(
            "its bytes are those of no known format", f"give one of {', '.join(sorted(formats))}"
        )
    if known.name not in formats:
        runs = ": opening one runs whatever its author put in" if known.runs_code else ""
        raise FormatRefused(
            f"its content is {known.name}, which was not asked for{runs}",
            f"say that it is {known.name} if that may be opened",
        )
    return known


def _conversation(connection: socket, case: _Case) -> tuple[Message, tuple[str, ...]]:
    """Listen until the workshop's last word."""

    def patience() -> None:
        case.patience()
        if time.monotonic() > case.deadline:
            raise IntakeFailed("it took longer than it may")

    saved_by: tuple[str, ...] = ()
    for _ in range(MOST_MESSAGES):
        message = receive(connection, ANSWER, patience=patience)
        for descriptor in message.descriptors:
            os.close(descriptor)  # it has none to give
        if message.blobs and message.kind in ("converted", "prepared"):
            return message, saved_by
        if message.kind == "opened":
            saved_by = _versions(message.body.get("saved_by"))
            _decide(case, saved_by)
        else:
            _hear(message, case.tell)
    raise FrameMalformed("more messages than are heard")


def _hear(message: Message, tell: Progress) -> None:
    match message.kind, message.body:
        case "told", {"stage": str(stage), "note": str(note)}:
            _pass_on(tell, stage, note)
        case "refused", body:
            _refuse(body)
        case kind, _:
            raise FrameMalformed(f"a message {kind[:40]!r}")


def _versions(said: object) -> tuple[str, ...]:
    if type(said) is not list or len(said) > MOST_VERSIONS or not all(map(_is_version, said)):
        raise FrameMalformed("its versions")
    return tuple(said)


def _is_version(said: object) -> bool:
    return type(said) is str and len(said) <= MOST_VERSION


def _decide(case: _Case, saved_by: tuple[str, ...]) -> None:
    """Tell of another release of the library, and go on only if that is the policy."""
    library = case.known.library
    if case.version_policy == "refuse":
        refuse_other_versions(library, saved_by)
    others = [version for version in saved_by if is_other_version(library, version)]
    if others:
        case.tell(
            Stage.VERIFIED,
            f"saved by {library} {', '.join(others)}, this platform runs "
            f"{running_version(library)}: accepted as was asked for",
        )


def _pass_on(tell: Progress, stage: str, note: str) -> None:
    if stage not in (Stage.INSPECTED, Stage.COMPILED, Stage.COMPARED, Stage.READY):
        raise FrameMalformed("a stage that is not its own")
    tell(Stage(stage), "".join(sign if sign.isprintable() else " " for sign in note[:MOST_NOTE]))


def _refuse(said: Mapping[str, Any]) -> None:
    problem, remedy = str(said.get("problem", ""))[:MOST_NOTE], str(said.get("remedy", ""))
    match said.get("what"):
        case "estimator":
            kind = str(said.get("estimator", ""))[:100]
            raise EstimatorRefused(kind, problem, remedy[:MOST_NOTE])
        case "rows":
            raise GivenRowsRefused(problem, remedy[:MOST_NOTE])
        case "memory":
            raise FormatRefused("it takes more memory than an intake may have")
        case "format":
            raise FormatRefused(problem, remedy[:MOST_NOTE])
    raise FrameMalformed("a refusal without a reason")


def _contents(message: Message) -> Mapping[str, Any]:
    contents = message.body.get("contents")
    if message.kind != "prepared" or type(contents) is not dict:
        raise IntakeFailed("the process that opened it says nothing of it")
    return contents


def _blobs(message: Message) -> dict[str, bytes]:
    roles = message.body.get("roles")
    if type(roles) is not list or not len(roles) == len(message.blobs) == len(set(map(str, roles))):
        raise IntakeFailed("the process that opened it does not say what its files are")
    return {str(role): blob for role, blob in zip(roles, message.blobs, strict=True)}


def _with_saved_by(prepared: Prepared, library: str, saved_by: tuple[str, ...]) -> Prepared:
    contents = prepared.contents
    libraries = {name: v for name, v in contents.libraries.items() if name != "saved by"}
    if saved_by:
        libraries["saved by"] = f"{library} {', '.join(saved_by)}"
    return Prepared(replace(contents, libraries=libraries), prepared.blobs)
