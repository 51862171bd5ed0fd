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

from config.prose import one_line
from models.acceptance import accept, read_contents
from models.errors import (
    EstimatorRefused,
    ExtraMissing,
    FormatRefused,
    FrameMalformed,
    GivenRowsRefused,
    IntakeFailed,
)
from models.formats import FORMATS, Flavour, Format, recognise, unrecognised
from models.hosting.messages import Bounds, Message, MessagesEnded, receive, send
from models.library_versions import is_other_version, refuse_other_versions, running_version
from models.sealed_files import Given, SealedFile, open_regular, sealed
from models.stages import CONTENTS, Prepared, Progress, Stage

__all__ = ["Intake", "Prepared", "Progress", "Stage", "open_regular"]

MOST_FILE_BYTES: Final = 2 * 1024**3
MOST_STORED_BYTES: Final = 4 * 1024**3
MEMORY_BYTES: Final = 4 * 1024**3
SECONDS: Final = 600.0
MOST_NOTE: Final = 2_000
MOST_KIND: Final = 100
MOST_VERSIONS, MOST_VERSION = 8, 100
MOST_MESSAGES: Final = 50
ANSWERS: Final = {
    "convert": Bounds(blobs=1, bytes=MOST_STORED_BYTES, bringing=frozenset({"converted"})),
    "prepare": Bounds(blobs=3, bytes=MOST_STORED_BYTES, bringing=frozenset({"prepared"})),
}
# What each message says besides its kind, or a refusal besides what it is of: no less and no more.
MEMBERS: Final = {
    "opened": frozenset({"saved_by"}),
    "told": frozenset({"stage", "note"}),
    "converted": frozenset[str](),
    "prepared": frozenset({"roles"}),
}
REFUSALS: Final = {
    "format": frozenset({"problem", "remedy"}),
    "rows": frozenset({"problem", "remedy"}),
    "estimator": frozenset({"estimator", "problem", "remedy"}),
    "memory": frozenset[str](),
}
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
        blobs = _blobs(made)
        said = read_contents(blobs.pop(CONTENTS, b""))
        prepared = accept(said, blobs, source_format=case.known.name, source_digest=case.digest)
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
                return _conversation(connection, case, ANSWERS[kind])
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
            raise unrecognised(source, formats)
    if known.name not in formats:
        runs = ": opening one runs whatever its author put in" if known.runs_code else ""
        raise FormatRefused(
            f"its content is {known.name}, which was not asked for{runs}",
            f"say that it is {known.name} if that may be opened",
        )
    return known


def _conversation(
    connection: socket, case: _Case, bounds: Bounds
) -> tuple[Message, tuple[str, ...]]:
    """Listen until the workshop's last word."""

    def patience() -> None:
        case.patience()
        if time.monotonic() > case.deadline:
            raise IntakeFailed("it took longer than it may")

    saved_by: tuple[str, ...] = ()
    for _ in range(MOST_MESSAGES):
        message = receive(connection, bounds, patience=patience)
        for descriptor in message.descriptors:
            os.close(descriptor)  # it has none to give
        _check_members(message)
        if message.kind in bounds.bringing:
            return message, saved_by
        if message.kind == "opened":
            saved_by = _versions(message.body["saved_by"])
            _decide(case, saved_by)
        else:
            _hear(message, case.tell)
    raise FrameMalformed("more messages than are heard")


def _check_members(message: Message) -> None:
    """Raise FrameMalformed unless a message has the members of its kind, and what it must bring."""
    kind, body = message.kind, message.body
    members = MEMBERS.get(kind)
    if kind == "refused" and type(what := body.get("what")) is str and what in REFUSALS:
        members = REFUSALS[what] | {"what"}
    if members is None or body.keys() != members:
        raise FrameMalformed(f"a message {one_line(kind, 40)!r}, or its members")
    if kind == "converted" and not message.blobs:
        raise FrameMalformed("a conversion of nothing")


def _hear(message: Message, tell: Progress) -> None:
    match message.kind, message.body:
        case "told", {"stage": str(stage), "note": str(note)}:
            _pass_on(tell, stage, note)
        case "refused", body:
            _refuse(body)
        case kind, _:
            raise FrameMalformed(f"a message {one_line(kind, 40)!r}")


def _versions(said: object) -> tuple[str, ...]:
    if type(said) is not list or len(said) > MOST_VERSIONS or not all(map(_is_version, said)):
        raise FrameMalformed("its versions")
    return tuple(one_line(version, MOST_VERSION) for version in said)


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
    tell(Stage(stage), one_line(note, MOST_NOTE))


def _refuse(said: Mapping[str, Any]) -> None:
    """Raise what a workshop refuses, in words that are shown to people."""
    if not all(type(text) is str for text in said.values()):
        raise FrameMalformed("a refusal that is no text")
    told = {name: one_line(text, MOST_NOTE) for name, text in said.items()}
    match told["what"]:
        case "estimator":
            kind = told["estimator"][:MOST_KIND]
            raise EstimatorRefused(kind, told["problem"], told["remedy"])
        case "rows":
            raise GivenRowsRefused(told["problem"], told["remedy"])
        case "memory":
            raise FormatRefused("it takes more memory than an intake may have")
        case "format":
            raise FormatRefused(told["problem"], told["remedy"])


def _blobs(message: Message) -> dict[str, bytes]:
    roles = message.body["roles"]
    if type(roles) is not list or not len(roles) == len(message.blobs) == len(set(map(str, roles))):
        raise IntakeFailed("the process that opened it does not say what its files are")
    return {str(role): blob for role, blob in zip(roles, message.blobs, strict=True)}


def _with_saved_by(prepared: Prepared, library: str, saved_by: tuple[str, ...]) -> Prepared:
    contents = prepared.contents
    libraries = {name: v for name, v in contents.libraries.items() if name != "saved by"}
    if saved_by:
        libraries["saved by"] = f"{library} {', '.join(saved_by)}"
    return Prepared(replace(contents, libraries=libraries), prepared.blobs)
