"""A tally adds what prometheus_client would have counted, whoever else counts beside it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest

from config.metric_files import summed
from config.tallies import (
    SECONDS,
    STAGE_SECONDS,
    STAGES,
    Kind,
    LoneTally,
    Predictions,
    SharedTallies,
)
from config.telemetry import Telemetry

NAMES = ("requests_total", "predicted_rows_total", "request_seconds", "stage_seconds")
KIND = Kind("predict.predict", "POST", "200", "native", "linear")
SPENT = [0.001] * len(STAGES)
ENDPOINTS, DIALECTS, ENGINES = ("predict.predict", "v2"), ("native", "v2"), ("linear", "trees")

kinds = st.builds(
    Kind,
    st.sampled_from(ENDPOINTS),
    st.just("POST"),
    st.sampled_from(["200", "201"]),
    st.sampled_from(DIALECTS),
    st.sampled_from(ENGINES),
)
seconds = st.sampled_from([0.0, *SECONDS, *STAGE_SECONDS]) | st.floats(0, 20)
spent = st.lists(seconds, min_size=len(STAGES), max_size=len(STAGES))
calls = st.lists(st.tuples(kinds, st.integers(0, 1000), seconds, spent), max_size=12)


def predictions() -> tuple[Telemetry, Predictions]:
    telemetry = Telemetry()
    return telemetry, Predictions(
        requests=telemetry.requests,
        rows=telemetry.rows,
        seconds=telemetry.request_seconds,
        stage_seconds=telemetry.stage_seconds,
    )


def shown(text: bytes) -> list[str]:
    """What is told of predictions; a process alone also tells since when it counts."""
    lines = text.decode().splitlines()
    told = [line for line in lines if any(f"sallyport_{name}" in line for name in NAMES)]
    return sorted(line for line in told if "_created" not in line)


def took(folder: Path) -> float:
    """The sum of all durations of requests."""
    text = shown(summed(folder))
    [line] = [line for line in text if line.startswith("sallyport_request_seconds_sum")]
    return float(line.rpartition(" ")[2])


class Seconds(float):
    """So many seconds, which something happens in the midst of adding."""

    meanwhile: Callable[[], object]

    def __radd__(self, before: float) -> float:
        self.meanwhile()
        return before + float(self)


@settings(max_examples=25, deadline=None)
@given(calls)
def test_what_is_shown_is_what_prometheus_client_would_have_shown(
    made: list[tuple[Kind, int, float, list[float]]],
) -> None:
    telemetry, metrics = predictions()
    with TemporaryDirectory() as folder:
        tallies = SharedTallies(Path(folder), metrics)
        for kind, number, total, stages in made:
            for tally in (tallies.of(kind), LoneTally(metrics, kind)):
                tally.add(rows=number, total=total, spent=stages)

        expected = shown(generate_latest(telemetry.registry))
        told = shown(summed(Path(folder)))
    assert told == (expected if made else [])


def test_tallies_made_before_and_after_their_files_grow_count_alike(tmp_path: Path) -> None:
    tallies = SharedTallies(tmp_path, predictions()[1])
    made = [tallies.of(KIND._replace(dialect=f"dialect-{number}")) for number in range(5)]
    assert (tmp_path / f"histogram_direct_{os.getpid()}.db").stat().st_size > 1 << 16
    for tally in made:
        tally.add(rows=1, total=0.5, spent=SPENT)

    told = shown(summed(tmp_path))
    assert sum(line.endswith('engine="linear"} 1.0') for line in told) == len(made)
    assert sum(line.endswith('stage="bind"} 0.001') for line in told) == len(made)


def test_a_process_goes_on_from_what_one_of_the_same_number_has_left(tmp_path: Path) -> None:
    for _ in range(2):
        tallies = SharedTallies(tmp_path, predictions()[1])
        tallies.of(KIND).add(rows=1, total=3.0, spent=SPENT)

    assert took(tmp_path) == 6


def test_threads_do_not_undo_what_others_add(tmp_path: Path) -> None:
    tally = SharedTallies(tmp_path, predictions()[1]).of(KIND)
    other = threading.Thread(
        target=tally.add, kwargs={"rows": 1, "total": 5.0, "spent": SPENT}, daemon=True
    )

    def add_as_well() -> None:
        other.start()
        other.join(0.1)  # which it does in that time, if nothing keeps it from adding

    total = Seconds(2)
    total.meanwhile = add_as_well
    tally.add(rows=1, total=total, spent=SPENT)
    other.join(10)

    assert took(tmp_path) == 7


def test_a_fork_adds_to_numbers_of_its_own(tmp_path: Path) -> None:
    tallies = SharedTallies(tmp_path, predictions()[1])
    tally = tallies.of(KIND)
    ends: list[int] = []

    def fork_and_add() -> None:
        child = os.fork()
        if child == 0:
            # It ends also if it waits for a lock that its parent's thread holds.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(10)
            tally.add(rows=1, total=5.0, spent=SPENT)
            os._exit(0)
        ends.append(os.waitpid(child, 0)[1])

    total = Seconds(2)
    total.meanwhile = fork_and_add
    tally.add(rows=1, total=total, spent=SPENT)

    assert ends == [0]
    assert took(tmp_path) == 7
