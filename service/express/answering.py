"""From the bytes of a plain prediction to the bytes of its answer.

decode -> whose pass -> check the signature -> execute -> charge and record, in one transaction ->
encode. Only what is charged is released. A call that is refused, fails or is new is not answered
here; the application decides about it from the beginning.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Final

from auth.errors import AuthError
from config.errors import CounterStoreDown
from config.logging import frames_of
from models.errors import ModelsError
from service import observing
from service.bootstrap import Platform
from service.express.addresses import address_of
from service.express.errands import Done, Errand, Lesson, Read, errand, foreseen
from service.express.heads import Address, Head, Reading
from service.express.passes import Detour, Pass, Passes, key_of
from service.express.telling import Spent, counted, tell
from service.wsgi import Answer

log = logging.getLogger(__name__)

MOST_BYTES: Final = 64 * 1024
# What is read in the thread that all such calls share, of more than so many bytes: a cell takes up
# to 0.2 us, an object 15. Longer texts alone take no longer.
EAGER_BYTES: Final = 8 * 1024
EAGER_CELLS: Final = 2048
EAGER_OBJECTS: Final = 128
SIZE: Final = re.compile("[1-9][0-9]{0,4}")
# Of the thread that all such calls share: what takes longer gets a thread of its own.
MOST_MICROSECONDS: Final = 500.0
SCHEME: Final = "Bearer "
# What asks for more than a plain answer, or says that the body is not what it looks like.
UNUSUAL: Final = frozenset(
    {"content-encoding", "expect", "idempotency-key", "transfer-encoding", "upgrade"}
)


class Express:
    """Answers plain predictions of callers that are known; to be asked by one thread."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self.passes = Passes(platform)

    def address(self, path: str) -> Address | None:
        """The address of a path, if plain calls may come there."""
        return address_of(path)

    def recognise(self, address: Address, headers: Mapping[str, str]) -> Head | None:
        """A call of that address that may be plain, judged by its head."""
        length = headers.get("content-length", "")
        if not SIZE.fullmatch(length) or int(length) > MOST_BYTES:
            return None
        authorization = headers.get("authorization", "")
        if authorization[:7] != SCHEME or not address.dialect.takes(headers):
            return None
        token = authorization[7:]
        caller = self._platform.caches.callers.last(token)
        if caller is None or not UNUSUAL.isdisjoint(headers):
            return None
        if not observing.is_plain(self._platform, headers.get("traceparent")):
            return None
        return Head(address, headers, token, caller.scope.tenant_id, int(length))

    def answer(self, head: Head, body: bytes) -> Answer | Errand | Lesson | None:
        """The answer to a call, which is charged and recorded by then; else it is left alone.

        One that is large or waited for is an errand, of which nothing but the reading is done.

        What is new is answered by the application, which proves that it may be: the lesson is to
        be called then, outside of this thread.
        """
        if not _is_quickly_read(body):
            return Errand("quick", head.tenant, partial(foreseen, partial(self._large, head, body)))
        began = perf_counter()
        try:
            reading = head.address.dialect.read(head, body, self._platform.bounds)
            decoded = perf_counter()
            mine = self.passes.find(key_of(head, reading))
            if mine is None:
                return partial(self._learn, head, reading)
            if isinstance(mine, Detour):
                return None
            return self._predict(mine, head, reading, began, decoded)
        except (ModelsError, CounterStoreDown):
            return None
        except Exception as error:  # noqa: BLE001 - the application meets it again, and answers
            log.error("the express way failed\n%s", frames_of(error))  # noqa: TRY400
            return None

    def _large(self, head: Head, body: bytes) -> Done:
        """Read a body in a thread of its own, and go on there if its model is at hand."""
        began = perf_counter()
        try:
            reading = head.address.dialect.read(head, body, self._platform.bounds)
        except ModelsError:
            return None
        mine = self.passes.find(key_of(head, reading))
        if mine is None:
            return partial(self._learn, head, reading)
        if isinstance(mine, Detour):
            return None
        made = self._errand(mine, Read(head, reading, perf_counter() - began))
        return made.run() if made is not None and made.pace == "quick" else made

    def _learn(self, head: Head, reading: Reading) -> None:
        with suppress(AuthError, ModelsError):  # something changed meanwhile
            self.passes.issue(head, reading)

    def _predict(
        self, mine: Pass, head: Head, reading: Reading, began: float, decoded: float
    ) -> Answer | Errand | None:
        if mine.pace == "waiting":
            return self._errand(mine, Read(head, reading, decoded - began))
        predictor = self._platform.executor.at_hand(mine.version, mine.method)
        if predictor is None:
            return None
        rows = len(reading.asked)
        if predictor.microseconds(mine.method, rows) > MOST_MICROSECONDS:
            return self._errand(mine, Read(head, reading, decoded - began))
        known = perf_counter()
        features = reading.asked.bound(mine.signature)
        bound = perf_counter()
        prediction = predictor.answer(mine.method, features)
        computed = perf_counter()
        dialect = head.address.dialect
        described, body = dialect.write(head, reading, mine.version, mine.method, prediction)
        if len(body) > MOST_BYTES:
            return None  # it is counted until it is fetched
        encoded = perf_counter()
        stages = bound - known, computed - bound, encoded - computed
        spent = Spent(known - decoded, decoded - began, 0.0, *stages)
        call = counted(spent, rows=rows, total=encoded - began)
        receipt = self._platform.counters.settle(mine.tariff.bill, call)
        if receipt is None:
            return None
        settled = perf_counter()
        spent = Spent(known - decoded, decoded - began, settled - encoded, *stages)
        headers = tell(mine, receipt, described, rows=rows, total=settled - began, spent=spent)
        return Answer(200, headers, body)

    def _errand(self, mine: Pass, read: Read) -> Errand | None:
        if self._platform.tracing.is_on:
            return None  # what its host did is told within a trace of its own
        return errand(self._platform, self.passes, mine, read)


def _is_quickly_read(body: bytes) -> bool:
    if len(body) <= EAGER_BYTES:
        return True
    return body.count(b",") <= EAGER_CELLS and body.count(b"{") <= EAGER_OBJECTS
