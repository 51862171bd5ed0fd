"""The bars: what was to be reached, what was, and where it is missed why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.comparison.loads import BARE, SALLYPORT, TWICE
from benchmarks.comparison.mixed import LOGINS, PLAIN
from benchmarks.comparison.peers import PEERS
from benchmarks.comparison.results import Results, ratio

UNSECURED: Final = tuple(peer.name for peer in PEERS if not peer.secured)
SAID: Final = 16  # connections of the loads of single rows


@dataclass(frozen=True, slots=True)
class Bar:
    """A number that is to be at least, or at most, another one."""

    what: str
    wanted: float
    found: float | None
    unit: str = "x"
    least: bool = True
    against: str = ""

    @property
    def met(self) -> bool | None:
        """Whether it is reached; None where nothing was measured."""
        if self.found is None:
            return None
        return self.found >= self.wanted if self.least else self.found <= self.wanted


# Why a bar is missed where it is, by what the bar is about. To be kept true by whoever measures.
BESIDE: Final = "beside 2 endless login clients and a model that takes 200 ms"
GATES: Final = "the gates, and what is kept of a call, take Python longer than the model"
LARGE: Final = "10,000 tenants, 100,000 users, 1,000 versions"
TOTALS: Final = "single runs differ by more than that; performance.md says what is known"
WHY: Final[Mapping[str, str]] = {
    "linear, one row, 16 connections": GATES,
    "forest of 100 trees, one row": GATES,
    "scaler and logistic regression, one row": GATES,
    "10,000 x 30 in JSON": "to parse six megabytes of text is most of it, by the fastest parser",
    "10,000 x 30 in binary": "both copy the same bytes, and only ours are encrypted",
    "every gate on": f"{GATES}, and a body comes by a second change of threads",
    "does not compile, one row": "a host answers, as quick as its library",
    "p99 at half of the maximum throughput": "performance.md says what is known of it",
    "2 workers": "one and what asks it fill three quarters of both cores; of two, calls cost more",
    "resident memory of a worker": "ONNX Runtime and Arrow are 60 of it; 120 MB by single rows",
    f"throughput {BESIDE}": "two cores for five busy processes",
    f"p99 {BESIDE}": "two cores for five busy processes",
    f"a known caller's call, {LARGE}": TOTALS,
    f"ten known callers' calls, {LARGE}": TOTALS,
}

FIXED: Final = {"fastapi": 12, "mlserver": 20, "litserve": 25, "mlflow": 30, "bentoml": 60}
BEST: Final = {
    "forest": ("forest of 100 trees, one row", 50),
    "pipeline": ("scaler and logistic regression, one row", 15),
    "native": ("does not compile, one row", 2),
    "bulk-json": ("10,000 x 30 in JSON", 5),
    "bulk-binary": ("10,000 x 30 in binary", 40),
}


def bars(results: Results) -> Iterator[Bar]:
    """Every bar that these measurements are about."""
    for make in (_linear, _best, _own, _half, _beside, _memory):
        yield from make(results)


def best(
    results: Results, load: str, number: str = "rate", *, choose: Callable[..., str] = max
) -> str:
    """The best of the peers without security; empty if none was measured."""
    found = {name: results.median(name, load, number) for name in UNSECURED}
    known = {name: value for name, value in found.items() if value}
    return choose(known, key=lambda name: known[name]) if known else ""


def _linear(results: Results) -> Iterator[Bar]:
    ours = results.median(SALLYPORT, "linear", "rate", connections=SAID)
    for name, times in FIXED.items():
        theirs = results.median(name, "linear", "rate", connections=SAID)
        yield Bar("linear, one row, 16 connections", times, ratio(ours, theirs), against=name)


def _best(results: Results) -> Iterator[Bar]:
    for load, (what, times) in BEST.items():
        name = best(results, load)
        ours, theirs = (results.median(one, load, "rate") for one in (SALLYPORT, name))
        yield Bar(what, times, ratio(ours, theirs), against=name or "the best peer")


def _own(results: Results) -> Iterator[Bar]:
    gates, bare = (results.median(one, "gates", "rate") for one in (SALLYPORT, BARE))
    share = ratio(gates, bare)
    yield Bar("every gate on", 60, share and 100 * share, "%", against="parse and predict only")
    one, two = (results.median(name, "workers", "rate") for name in (SALLYPORT, TWICE))
    yield Bar("2 workers", 1.6, ratio(two, one), against="1 worker")


def _half(results: Results) -> Iterator[Bar]:
    p50, p99 = (results.median(SALLYPORT, "half", number) for number in ("p50", "p99"))
    what = "p99 at half of the maximum throughput"
    yield Bar(what, 3, ratio(p99, p50), least=False, against="its own p50")
    name = best(results, "half", "p99", choose=min)
    theirs = results.median(name, "half", "p99")
    yield Bar(what, 1, ratio(p99, theirs), least=False, against=name or "the best peer's")


def _beside(results: Results) -> Iterator[Bar]:
    rates = [results.median(SALLYPORT, "mixed", "rate", beside=b) for b in (LOGINS, PLAIN)]
    slows = [results.median(SALLYPORT, "mixed", "p99", beside=b) for b in (LOGINS, PLAIN)]
    share = ratio(*rates)
    yield Bar(f"throughput {BESIDE}", 70, share and 100 * share, "%", against="alone")
    yield Bar(f"p99 {BESIDE}", 2, ratio(*slows), least=False, against="alone")


def _memory(results: Results) -> Iterator[Bar]:
    worker = results.start(SALLYPORT, "worker")
    yield Bar("resident memory of a worker", 150, worker, "MB", least=False)
    cold = results.start(SALLYPORT, "cold_seconds")
    yield Bar("start to first answer", 3, cold, "s", least=False)
