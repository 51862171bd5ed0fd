"""From the bytes of a plain prediction to the bytes of its answer.

decode -> whose pass -> check the signature -> execute -> charge and record, in one transaction ->
encode. Only what is charged is released. A call that is refused, fails or is new is not answered
here; the application decides about it from the beginning.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Final

from auth.errors import AuthError
from config.counters import Answered
from config.errors import CounterStoreDown
from config.logging import frames_of
from models.errors import ModelsError
from models.requests.tensors import PredictionRequest, read_prediction_request
from service import native, observing
from service.bootstrap import Platform
from service.express.errands import Errand, Read, errand
from service.express.passes import Detour, Key, Pass, Passes
from service.express.telling import JSON, tell
from service.wsgi import Answer

log = logging.getLogger(__name__)

PATH: Final = "/predict"
MOST_BYTES: Final = 64 * 1024
SIZE: Final = re.compile("[1-9][0-9]{0,4}")
# Of the thread that all such calls share: what takes longer gets a thread of its own.
MOST_MICROSECONDS: Final = 500.0
SPELLINGS: Final = frozenset({JSON, f"{JSON}; charset=utf-8", f"{JSON};charset=utf-8"})
SCHEME: Final = "Bearer "
# What asks for more than a plain answer, or says that the body is not what it looks like.
UNUSUAL: Final = frozenset(
    {"content-encoding", "expect", "idempotency-key", "transfer-encoding", "upgrade"}
)

Lesson = Callable[[], None]


class Express:
    """Answers plain predictions of callers that are known; to be asked by one thread."""

    path: Final = PATH

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self.passes = Passes(platform)

    def recognise(self, headers: Mapping[str, str]) -> tuple[str, str, int] | None:
        """The token, the tenant and the size of a call that may be plain, judged by its head."""
        length = headers.get("content-length", "")
        if not SIZE.fullmatch(length) or int(length) > MOST_BYTES:
            return None
        authorization = headers.get("authorization", "")
        if headers.get("content-type", "") not in SPELLINGS or authorization[:7] != SCHEME:
            return None
        token = authorization[7:]
        caller = self._platform.caches.callers.last(token)
        if caller is None or not UNUSUAL.isdisjoint(headers):
            return None
        if not observing.is_plain(self._platform, headers.get("traceparent")):
            return None
        return token, caller.scope.tenant_id, int(length)

    def answer(self, token: str, body: bytes) -> Answer | Errand | Lesson | None:
        """The answer to a call, which is charged and recorded by then; else it is left alone.

        One that is waited for is an errand, of which nothing but the reading is done.

        What is new is answered by the application, which proves that it may be: the lesson is to
        be called then, outside of this thread.
        """
        began = perf_counter()
        try:
            asked = read_prediction_request(body, self._platform.bounds)
            decoded = perf_counter()
            key = token, asked.model, asked.version, asked.method
            mine = self.passes.find(key)
            if mine is None:
                return partial(self._learn, key)
            if isinstance(mine, Detour):
                return None
            return self._predict(mine, key, asked, began, decoded)
        except (ModelsError, CounterStoreDown):
            return None
        except Exception as error:  # noqa: BLE001 - the application meets it again, and answers
            log.error("the express way failed\n%s", frames_of(error))  # noqa: TRY400
            return None

    def _learn(self, key: Key) -> None:
        with suppress(AuthError, ModelsError):  # something changed meanwhile
            self.passes.issue(key)

    def _predict(
        self, mine: Pass, key: Key, asked: PredictionRequest, began: float, decoded: float
    ) -> Answer | Errand | None:
        if mine.pace == "waiting":
            return self._errand(mine, key, asked, began, decoded)
        predictor = self._platform.executor.at_hand(mine.version, mine.method)
        if predictor is None:
            return None
        rows = len(asked)
        if predictor.microseconds(mine.method, rows) > MOST_MICROSECONDS:
            return self._errand(mine, key, asked, began, decoded)
        known = perf_counter()
        features = asked.bound(mine.signature)
        bound = perf_counter()
        prediction = predictor.answer(mine.method, features)
        computed = perf_counter()
        body = native.encode(mine.version, prediction)
        if len(body) > MOST_BYTES:
            return None  # it is counted until it is fetched
        encoded = perf_counter()
        receipt = self._platform.counters.settle(
            mine.tariff.bill,
            Answered(
                total_ns=int((encoded - began) * 1e9),
                queue_ns=int((known - decoded) * 1e9),
                decode_ns=int((decoded - began + bound - known) * 1e9),
                compute_ns=int((computed - bound) * 1e9),
                encode_ns=int((encoded - computed) * 1e9),
                rows=rows,
            ),
        )
        if receipt is None:
            return None
        settled = perf_counter()
        spent = (
            known - decoded,
            decoded - began,
            settled - encoded,
            bound - known,
            computed - bound,
            encoded - computed,
        )
        headers = tell(mine, receipt, rows=rows, total=settled - began, spent=spent)
        return Answer(200, headers, body)

    def _errand(
        self, mine: Pass, key: Key, asked: PredictionRequest, began: float, decoded: float
    ) -> Errand | None:
        if self._platform.tracing.is_on:
            return None  # what its host did is told within a trace of its own
        return errand(self._platform, self.passes, mine, Read(key, asked, decoded - began))
