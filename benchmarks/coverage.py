"""Which engine serves which estimator: `python -m benchmarks.coverage` writes the reference page.

Every estimator of scikit-learn is prepared as an upload is: inspected, compiled, compared, stored
and opened again. One row is then answered by the engine and by the model's own library.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[pool] = "1"

import numpy as np  # noqa: E402  after the threads are counted

from benchmarks.estimators import KINDS, TITLES, Case, cases, listed  # noqa: E402
from models.arrays import unpack_arrays  # noqa: E402
from models.engines import ENGINES, NATIVE  # noqa: E402
from models.errors import ModelsError  # noqa: E402
from models.estimators import NativePredictor, serve_natively  # noqa: E402
from models.handlers import Opened  # noqa: E402
from models.landmarks import landmarks_of  # noqa: E402
from models.manifest import ENGINE  # noqa: E402
from models.preparation import Origin, prepare  # noqa: E402
from models.probes import Source  # noqa: E402
from models.signature import METHODS  # noqa: E402
from models.stages import Stage  # noqa: E402
from models.tables import Features  # noqa: E402

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "coverage.md"
SECONDS = 0.05
NO_ROWS = "answers no new rows"
NO_ENGINE = "no engine knows it"
PASSED_ON = (
    "that this engine knows",
    "is no model of Keras",
    "graph: skl2onnx",
    "graph: it answers no method",
    "graph: it does not say how many columns",
)
HEAD = """\
# Which engine serves what

A model answers through the first engine that is proven to answer as its own library does:

| engine | takes | runs on | where |
|---|---|---|---|
| `linear` | linear models | numpy | worker |
| `trees` | trees, forests, boosting; XGBoost and LightGBM too | treelite | worker |
| `numeric` | other single estimators | numpy | worker |
| `chain` | pipelines and other estimators made of estimators | an engine for each part | worker |
| `layers` | Keras | numpy | worker |
| `graph-chain` | the same, where a part needs a graph | an engine for each part | host |
| `graph` | ONNX files, and what else has a float64 graph | ONNX Runtime | host |

They answer from plain arrays that were checked. What no engine answers alike stays with the
library, in the tenant's sandboxed host; a model may have some methods here and some there.

`python -m benchmarks.coverage` writes this page: it prepares every estimator of scikit-learn as an
upload is prepared. *Rows* are those that both answered: near the data, around it, beside the jumps
of the answers, and at the ends of what numbers can be. Labels were equal on all of them; *largest
error* is that of numbers, relative. *µs* are for one row, in one thread.

- A row that the library refuses is refused by an engine as well: a number that is not finite
  between two steps of a pipeline, an unknown category, a number outside of a transformer's domain.
- Which of equally near neighbours are asked, which of equal votes win, and in which order sums are
  rounded, follows scikit-learn.
- Graphs come last because numpy answers what they answer with smaller differences and sooner (a
  linear model: 3 µs against 10). None of their operators loops, reads files, draws at random,
  sizes its result by its data, or compares float64 as float32, as ONNX's trees do."""
HEADER = (
    "| estimator | fitted on | engine | by the engine | by the library | rows | largest error "
    "| µs | µs, library | why not all |\n|---|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one fitted estimator."""

    kind: str
    name: str
    data: str
    engine: str
    compiled: tuple[str, ...]
    native: tuple[str, ...]
    rows: int
    error: float
    engine_us: float
    native_us: float
    reason: str

    @property
    def served(self) -> bool:
        return bool(self.compiled or self.native)

    def text(self) -> str:
        """The line as a row of the page."""
        cells = [
            self.name,
            self.data,
            self.engine,
            ", ".join(self.compiled),
            ", ".join(self.native),
            f"{self.rows:,}" if self.rows else "",
            f"{self.error:.0e}" if self.rows else "",
            f"{self.engine_us:.0f}" if self.compiled else "",
            f"{self.native_us:.0f}" if self.native_us else "",
            self.reason.replace("|", "/"),
        ]
        return f"| {' | '.join(cells)} |"


def line_of(case: Case, *, timed: bool = True) -> Line:
    """Prepare a case as an upload is prepared, and time one row."""
    if not any(hasattr(case.estimator, method) for method in METHODS):
        return _unserved(case, NO_ROWS)
    digest = hashlib.sha256(f"{case.name} {case.data}".encode()).hexdigest()
    opened = Opened(case.estimator, ())
    try:
        prepared = prepare(
            opened, Origin(format="skops", digest=digest), tell=lambda _stage, _note: None
        )
    except ModelsError as error:
        return _unserved(case, str(error))
    contents = prepared.contents
    methods = tuple(contents.signature.methods)
    compiled = tuple(method for method in methods if method in contents.engine_methods)
    own = serve_natively(case.estimator)
    row = _row(own)
    fast = 0.0
    if compiled:
        predictor = ENGINES[contents.engine].load(unpack_arrays(prepared.blobs[ENGINE]))
        fast = micros(lambda: predictor.answer(compiled[0], row), timed=timed)
    parity = contents.parity
    return Line(
        kind=case.kind,
        name=case.name,
        data=case.data,
        engine=contents.engine if compiled else NATIVE,
        compiled=compiled,
        native=tuple(method for method in methods if method not in compiled),
        rows=parity.rows if parity and compiled else 0,
        error=parity.relative_error if parity else 0.0,
        engine_us=fast,
        native_us=micros(lambda: own.answer(methods[0], row), timed=timed),
        reason=_short(contents.engine_reason, contents.engine),
    )


def _row(own: NativePredictor) -> Features:
    """One row that a model takes."""
    source = Source(own.columns, landmarks_of(own.estimator), given=None, seed=0)
    likely = (source.within(1), source.known(1), *(source.filled(x, 1) for x in (1.0, 0.5, 0.0)))
    method = next(method for method in METHODS if method in own.methods)
    for row in likely:
        with contextlib.suppress(Exception):
            own.answer(method, row)
            return row
    raise LookupError(f"{type(own.estimator).__name__} takes no row that is likely")


def micros(work: Callable[[], Any], *, timed: bool = True) -> float:
    """µs per call, the best of a few tries."""
    work()
    if not timed:
        return 0.0
    best, until = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best * 1e6


def _tell_nobody(_stage: Stage, _note: str) -> None:
    return


def _unserved(case: Case, reason: str) -> Line:
    return Line(case.kind, case.name, case.data, "", (), (), 0, 0.0, 0.0, 0.0, reason)


def _short(reason: str, engine: str) -> str:
    """Of the engines' reasons that which tells most: the last that knows the estimator."""
    told = [part for part in reason.split("; ") if not any(words in part for words in PASSED_ON)]
    chosen = [part for part in told if part.startswith(f"{engine}:")] or told
    return chosen[0][:200] if chosen else NO_ENGINE if reason else ""


def measured(*, timed: bool = True) -> Iterable[Line]:
    """A line for each estimator and data."""
    for kind, name in sorted(listed(), key=lambda pair: (KINDS.index(pair[0]), pair[1])):
        for case in cases(kind, name):
            line = line_of(case, timed=timed)
            print(line.text(), file=sys.stderr, flush=True)
            yield line


def totals(lines: Iterable[Line]) -> str:
    """How many of each kind are served, and how."""
    known = list(lines)
    rows = ["| | estimators | serve new rows | `predict` compiled | every method compiled |"]
    rows.append("|---|---|---|---|---|")
    for kind in KINDS:
        own = [line for line in known if line.kind == kind]
        names = {line.name for line in own}
        serving = {n for n in names if all(line.served for line in own if line.name == n)}
        first = {n for n in serving if all(line.compiled for line in own if line.name == n)}
        whole = {n for n in first if not any(line.native for line in own if line.name == n)}
        share = f"{len(first)} ({100 * len(first) // max(1, len(serving))} %)"
        rows.append(f"| {TITLES[kind]} | {len(names)} | {len(serving)} | {share} | {len(whole)} |")
    return "\n".join(rows)


def page(lines: list[Line]) -> str:
    """The whole reference page."""
    parts = [HEAD, totals(lines)]
    for kind in KINDS:
        own = "\n".join(line.text() for line in lines if line.kind == kind)
        parts.append(f"## {TITLES[kind]}\n\n{HEADER}\n{own}")
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="a name to measure, instead of writing the page")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    if options.only:
        for kind, name in listed():
            for case in cases(kind, name) if name == options.only else ():
                print(line_of(case).text())
        return
    lines = list(measured())
    PAGE.write_text(page(lines))
    print(totals(lines))


if __name__ == "__main__":
    main()
