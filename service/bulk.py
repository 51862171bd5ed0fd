"""Files of rows on the way of every prediction: the gates of service.dataplane for each batch.

One version answers the whole call. Rows are charged before they are answered: as many as the file
says it has at once, so that what a limit refuses has cost nothing, and further ones as they come.
Answers go to a sink of the caller's, who shows them when all are there: an error in the last row
is an error, and not the end of an answer that looked good.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO, Final, Protocol, cast

from auth.permissions import Permission
from config.sealed_stream import Sealed
from models.errors import DeadlineExceeded, InputRefused
from models.readers import Batch, RowsFile, path_of
from models.routing.plans import Plan
from models.signature import Signature
from models.tables import row_count
from models.versions import Version
from models.wanted import Wanted
from service import charging, dataplane
from service.charging import Slot
from service.columnar.forms import Form
from service.columnar.writers import Answering, AnswerWriter
from service.columnar.writing import writer_of
from service.dataplane import Admitted
from service.operations import identity, resolution
from service.statistics import failure, success
from service.visits import Visit

DIALECT: Final = "columnar"
ROWS_AT_ONCE: Final = 16 * 1024
WRITTEN_BYTES: Final = 256 * 1024
FEATURE: Final = re.compile(r"/features/(\d+)(?:/(\d+))?")

Told = Callable[[int, int], None]


class Source(Protocol):
    """A file that has arrived: sealed on the disk, or in memory and to be sealed if need be."""

    @property
    def body(self) -> bytes | None:
        """The whole of it, if it is in memory."""
        ...

    def sealed(self) -> Sealed:
        """What opens it in another process."""
        ...


Write = Callable[[bytes], object]


@dataclass(frozen=True, kw_only=True, slots=True)
class BulkCall:
    """What is asked about a file of rows, but for the rows; no methods are the model's default."""

    model: str
    version: int | str | None = None
    methods: tuple[str, ...] = ()
    form: Form
    options: Mapping[str, Any] = field(default_factory=dict)
    answer: Form


@dataclass(frozen=True, slots=True)
class BulkAnswer:
    """What became of a call: `head` stands before what its sink was given."""

    version: Version
    methods: tuple[str, ...]
    rows: int
    head: bytes


def admit(visit: Visit, call: BulkCall) -> None:
    """Charge a call, and refuse one that cannot be answered before any of its rows is read."""
    scope = visit.scope
    try:
        _, version, methods = _planned(visit, call)
        writer_of(call.answer, Answering(version, methods), io.BytesIO())
    except Exception:
        visit.policies = charging.charge(visit.platform, scope, None, rows=0)
        raise
    visit.policies = charging.charge(visit.platform, scope, version.model, rows=0)


def predict(
    visit: Visit,
    call: BulkCall,
    source: Source,
    write: Write,
    *,
    goes_on: Callable[[], None] = lambda: None,
    told: Told = lambda _rows, _bytes: None,
) -> BulkAnswer:
    """Answer every row of an admitted call, or raise; `write` is given the answers as they come.

    `goes_on` is called several times a second and may raise to end the call. `told` learns how
    many rows are answered, and how many bytes of the file were needed for them.
    """
    visit.stages.done("authenticate")
    with charging.slot(visit.platform, visit.scope) as place:
        plan, version, methods = _planned(visit, call)
        visit.stages.done("admit")
        place.statistics = partial(failure, visit, version)  # unless it comes to an answer
        patience = _Patience(visit, version, goes_on)
        file = RowsFile(
            sealed=source.sealed, form=call.form.read_as, options=call.options, body=source.body
        )
        sink = _Sink(write, visit.platform.settings.max_bulk_bytes)
        try:
            answering = Answering(version, methods)
            writer = writer_of(call.answer, answering, cast(BinaryIO, sink))
            work = _Work(visit, place, plan, answering, writer)
            with visit.platform.hosting.readers.open(
                file,
                Wanted.of(version.signature),
                rows_at_once=min(ROWS_AT_ONCE, visit.platform.settings.max_rows),
                seconds=visit.platform.settings.bulk_seconds,
                goes_on=patience.check,
            ) as reading:
                work.announced(reading.rows)
                for batch in reading:
                    work.answer(batch)
                    patience.check_standing()
                    told(work.rows, batch.place)
            return work.finished(sink)
        finally:
            sink.abandon()


def _planned(visit: Visit, call: BulkCall) -> tuple[Plan, Version, tuple[str, ...]]:
    plan = resolution.plan(visit.platform, visit.scope, call.model, call.version)
    version = resolution.choose(plan, visit.scope, visit.header)
    signature = version.signature
    methods = tuple(signature.check_method(method) for method in call.methods)
    if len(set(methods)) < len(methods):
        raise InputRefused("/method", "a method is given more than once")
    return plan, version, methods or (signature.default_method,)


class _Patience:
    """Ends a call whose time is over, or whose caller may not call any more."""

    def __init__(self, visit: Visit, version: Version, goes_on: Callable[[], None]) -> None:
        self._visit = visit
        self._version = version
        self._goes_on = goes_on
        self._seconds = visit.platform.settings.bulk_seconds
        self._until = time.monotonic() + self._seconds
        self._seen = visit.platform.epoch.newest(visit.scope.tenant_id)

    def check(self) -> None:
        """Raise DeadlineExceeded, or what the caller's own check raises."""
        self._goes_on()
        if time.monotonic() >= self._until:
            version = self._version
            raise DeadlineExceeded(version.model, version.number, self._seconds)

    def check_standing(self) -> None:
        """Raise TokenRefused or PermissionMissing after a change that took the leave away."""
        self.check()
        platform, scope = self._visit.platform, self._visit.scope
        newest = platform.epoch.newest(scope.tenant_id)
        if newest != self._seen:
            self._seen = newest
            identity.require_live(platform, scope, Permission.PREDICT, self._version.model)


class _Work:
    """A call that is being answered, batch by batch."""

    def __init__(
        self,
        visit: Visit,
        place: Slot,
        plan: Plan,
        answering: Answering,
        writer: AnswerWriter,
    ) -> None:
        self.rows = 0
        self._visit = visit
        self._place = place
        self._plan = plan
        self._version = answering.version
        self._methods = answering.methods
        self._writer = writer
        self._charged = 0
        self._executions = 0

    def announced(self, rows: int) -> None:
        """Charge the rows that are to come; raises InputRefused if they are too many."""
        most = self._visit.platform.settings.max_bulk_rows
        if rows > most:
            raise InputRefused("/rows", f"more than {most} rows")
        if rows > self._charged:
            more = (rows - self._charged) * len(self._methods)
            visit = self._visit
            visit.policies = charging.charge(
                visit.platform, visit.scope, self._version.model, rows=more, requests=0
            )
            self._charged = rows

    def answer(self, batch: Batch) -> None:
        """Take a batch through the gates, and write what the version says to it."""
        stages, rows = self._visit.stages, row_count(batch.features)
        stages.done("decode")
        self.announced(batch.first + rows)
        _check(self._version.signature, batch)
        stages.done("bind")
        call = Admitted(self._plan, self._version, self._methods, batch.features)
        answers = dataplane.execute(self._visit, call)
        self.rows += rows
        self._executions += len(self._methods)
        charged = self.rows * len(self._methods)
        self._place.usage = dataplane.usage_of(self._visit, self._version, rows=charged)
        self._writer.write(answers)
        stages.done("encode")

    def finished(self, sink: _Sink) -> BulkAnswer:
        """Write the end of the answers."""
        if not self.rows:
            raise InputRefused("", "there are no rows")
        head = self._writer.finish()
        sink.end()
        self._visit.stages.done("encode")
        self._place.statistics = partial(
            success, self._visit, self._version, rows=self.rows, executions=self._executions
        )
        return BulkAnswer(self._version, self._methods, self.rows, head)


class _Sink(io.RawIOBase):
    """Where a writer writes; raises InputRefused beyond so many bytes.

    Writers of Arrow's write their end when they are forgotten: of a call that failed, nowhere.
    """

    def __init__(self, write: Write, most: int) -> None:
        self._write: Write | None = write
        self._left = self._most = most
        self._pending = bytearray()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Hand on what a writer has, once it is enough."""
        size = memoryview(data).nbytes
        self._left -= size
        if self._left < 0 and self._write is not None:
            problem = f"the answers have more than {self._most} bytes; ask about fewer rows at once"
            raise InputRefused("", problem)
        self._pending += data
        if len(self._pending) >= WRITTEN_BYTES:
            self.end()
        return size

    def end(self) -> None:
        """Hand on the rest."""
        if self._write is not None:
            self._write(bytes(self._pending))
        self._pending.clear()

    def abandon(self) -> None:
        """Hand on nothing any more."""
        self._write = None


def _check(signature: Signature, batch: Batch) -> None:
    """Raise InputRefused unless the rows fit; where they do not, by the row of the file."""
    try:
        signature.check(batch.features)
    except InputRefused as refused:
        found = FEATURE.fullmatch(refused.path)
        if found is None:
            raise
        row, column = batch.first + int(found[1]), found[2]
        wanted = Wanted.of(signature)
        where = path_of(wanted, row, None if column is None else int(column))
        raise InputRefused(where, refused.problem) from refused
