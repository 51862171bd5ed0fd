"""Every prediction of the tests is sent both ways: the express may only say what Flask says.

Each request that Flask answers here was shown to the express first, with counters that keep
nothing. Where the express says yes, the two answers must be alike; whatever was refused it must
have left alone.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from wsgiref.types import WSGIApplication

from config.counters import Answered, Charge, Receipt, Usage, Verdict, VersionStatistics
from config.counters.bills import Bill
from config.counters.embedded import NO_SEEDS, EmbeddedCounters
from config.counters.ledger import SeedMissing
from config.errors import CounterStoreDown
from service.bootstrap import Platform
from service.express.addresses import address_of
from service.express.answering import Express
from service.express.errands import Done, Errand
from service.visits import Setback
from service.wsgi import Answer, run_wsgi

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

VOLATILE: Final = frozenset({"x-request-id", "server-timing", "content-length", "traceresponse"})
COUNTED: Final = "ratelimit"


class TrialCounters:
    """Say what the counters of a platform would say, and keep nothing."""

    def __init__(self, platform: Platform) -> None:
        self._store: Any = platform.counters._store

    def settle(self, bill: Bill, call: Answered) -> Receipt | None:
        """What settling would say."""
        if not isinstance(self._store, EmbeddedCounters):
            raise CounterStoreDown("the store of this test", "not one that can be tried")
        store: Any = self._store
        txn = store._store.env.begin(write=True)
        try:
            receipt: Receipt | None = store._settled(txn, bill, call, None, NO_SEEDS)
        except SeedMissing as missing:
            raise CounterStoreDown("the store of this test", str(missing)) from missing
        finally:
            txn.abort()
        return receipt

    def enter(self, *_place: Any) -> bool:
        """Find a place."""
        return True

    def charge(self, charges: Sequence[Charge]) -> Verdict:
        """What was left after the call that Flask has answered, which is the same one."""
        verdict: Verdict = self._store.peek([replace(charge, amount=0) for charge in charges])
        return verdict

    def leave(self, *_place: Any, usage: Usage, statistics: VersionStatistics) -> None:
        """Leave it."""
        assert statistics.success_count == 1
        assert usage.requests == 1


class Uncounted:
    """Telemetry and tracing of calls that nobody made."""

    is_on = False

    def predictions(self, **_labels: str) -> Uncounted:
        """What counts nothing."""
        return self

    def add(self, **_numbers: Any) -> None:
        """Count nothing."""


@dataclass
class BothWays:
    """A WSGI application whose plain predictions are compared with what the express says."""

    application: WSGIApplication
    platform: Platform
    agreed: int = 0  # how often the express has said yes, and the application the same
    express: Express = field(init=False)

    def __post_init__(self) -> None:
        nobody: Any = Uncounted()
        counters: Any = TrialCounters(self.platform)
        self.express = Express(
            replace(self.platform, counters=counters, telemetry=nobody, tracing=nobody)
        )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer as the application does, once it is seen that the express agrees."""
        if environ["REQUEST_METHOD"] != "POST" or address_of(environ["PATH_INFO"]) is None:
            return self.application(environ, start_response)
        body = environ["wsgi.input"].read()
        said = self._ask(environ, body)
        answer = self._answer(environ, body)
        if isinstance(said, Answer):
            self._compare(said, answer)
        elif said is None or answer.status != 200:
            pass  # a model is not asked again what it has failed on
        else:
            while isinstance(said, Errand):
                said = said.run()
            if isinstance(said, Answer):
                self._compare(said, answer)
            elif said is not None:
                assert not isinstance(said, Setback)
                said()
        status = f"{answer.status} {'OK' if answer.status < 400 else 'REFUSED'}"
        start_response(status, answer.headers)
        assert isinstance(answer.body, bytes)
        return [answer.body]

    def _ask(self, environ: WSGIEnvironment, body: bytes) -> Done:
        stands_in = "answer" in vars(self.platform.executor)  # a test has its own, for Flask
        if stands_in or environ.get("QUERY_STRING"):
            return None
        address = address_of(environ["PATH_INFO"])
        assert address is not None
        head = self.express.recognise(address, headers_of(environ))
        return None if head is None else self.express.answer(head, body)

    def _answer(self, environ: WSGIEnvironment, body: bytes) -> Answer:
        return run_wsgi(self.application, environ | {"wsgi.input": io.BytesIO(body)})

    def _compare(self, said: Answer, answer: Answer) -> None:
        assert (said.status, said.body) == (answer.status, answer.body)
        assert comparable(said) == comparable(answer)
        self.agreed += 1


def headers_of(environ: Mapping[str, Any]) -> dict[str, str]:
    """The headers of a request as a server hands them over."""
    headers = {
        name[5:].lower().replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.lower().replace("_", "-")] = environ[name]
    return headers


def comparable(answer: Answer) -> dict[str, str]:
    """The headers of an answer, without what differs from one moment to the next."""
    headers = {name.lower(): value for name, value in answer.headers}
    kept = {name: value for name, value in headers.items() if name not in VOLATILE}
    if COUNTED in kept:  # `t` are seconds, from now
        parts = kept[COUNTED].replace(", ", ";").split(";")
        kept[COUNTED] = ";".join(part for part in parts if not part.startswith("t="))
    return kept
