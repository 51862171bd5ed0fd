"""What a log draws, copies, bounds and writes; and what it costs when nobody takes it."""

from __future__ import annotations

import io
import math
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from models.manifest import Contents, Manifest
from models.prediction_log import log as module
from models.prediction_log.excerpts import MOST_CELLS, Call, Sampler
from models.prediction_log.log import PredictionLog
from models.prediction_log.parquet import write_segment
from models.prediction_log.terms import LogRule, LogTerms
from models.prediction_log.writing import Batch
from models.signature import Kind, Output, Signature
from models.tables import Features, Table
from models.versions import Version

CALL = Call(at=1.5, request_id="r1", principal_id="usr_1", dialect="native", seconds=0.25)


def version(names: tuple[str, ...], kinds: tuple[Kind, ...] | None = None) -> Version:
    signature = Signature(
        task="other",
        columns=len(names),
        feature_names=names,
        kinds=kinds,
        missing=True,
        classes=None,
        methods={"predict": Output("number")},
    )
    contents = Contents(
        files={},
        flavour="sklearn",
        source_format="skops",
        source_digest="",
        estimator="",
        signature=signature,
        engine="native",
        engine_methods=(),
        engine_reason="",
        parity=None,
        libraries={},
    )
    manifest = Manifest(
        tenant_id="tnt_acme",
        model="m",
        number=7,
        created_by="",
        created_at=0.0,
        contents=contents,
    )
    return Version("ver_1", manifest)


def rule(tenant: str = "tnt_acme", **terms: Any) -> LogRule:
    made = LogTerms(**({"sample": 1.0} | terms))
    return LogRule(id=f"plog_{tenant}", tenant_id=tenant, model_id="mdl_1", terms=made)


class Written:
    """Takes batches as a store would, or stands still until it is let go."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.counts: Counter[str] = Counter()
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.entered = threading.Event()

    def write(self, batches: list[Batch]) -> None:
        self.entered.set()
        self.goes_on.wait()
        self.batches += batches

    def count(self, outcome: str, rows: int) -> None:
        self.counts[outcome] += rows

    @property
    def rows(self) -> int:
        return sum(batch.rows for batch in self.batches)


@pytest.fixture
def written() -> Iterator[Written]:
    store = Written()
    yield store
    store.goes_on.set()


def read(batch: Batch) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = pq.read_table(
        io.BytesIO(write_segment(batch.excerpts))
    ).to_pydict()
    return found


def offered(written: Written, own: Version, features: Features, answer: Any) -> dict[str, Any]:
    log = PredictionLog(written.write, written.count)
    log.offer(rule(), own, CALL, features, {"predict": np.asarray(answer)})
    log.stop()
    (batch,) = written.batches
    return read(batch)


def test_numbers_and_texts_come_back_as_they_were(written: Written) -> None:
    table = Table(
        (
            np.array([1.5, math.nan, -0.0]),
            np.array(["a", None, "ü\n"], dtype=object),
        )
    )

    found = offered(written, version(("size", "kind"), ("number", "text")), table, ["x", "y", "z"])

    assert found["input.kind"] == ["a", None, "ü\n"]
    size = np.array(found["input.size"])
    assert size.tobytes() == np.array([1.5, math.nan, -0.0]).tobytes()
    assert found["output"] == ["x", "y", "z"]
    assert found["compute_ms"] == [250.0] * 3
    assert found["version"] == [7] * 3


@pytest.mark.parametrize(
    ("answers", "columns"),
    [
        (np.array([1, 2], np.int32), {"output": [1, 2]}),
        (np.array([True, False]), {"output": [True, False]}),
        (np.array([0.1, 0.2], np.float64), {"output": [0.1, 0.2]}),
        (np.array([[1.0, 2.0], [3.0, 4.0]]), {"output.0": [1.0, 3.0], "output.1": [2.0, 4.0]}),
        (np.array(["b", "c"], dtype=object), {"output": ["b", "c"]}),
    ],
)
def test_answers_of_every_kind_are_kept(
    written: Written, answers: Any, columns: dict[str, Any]
) -> None:
    found = offered(written, version(("a",)), np.array([[1.0], [2.0]]), answers)
    assert {name: found[name] for name in found if name.startswith("output")} == columns


def test_what_is_kept_is_a_copy(written: Written) -> None:
    features, answers = np.array([[1.0]]), np.array([2.0])
    log = PredictionLog(written.write, written.count)
    log.offer(rule(), version(("a",)), CALL, features, {"predict": answers})
    features[:], answers[:] = 8.0, 9.0
    log.stop()

    found = read(written.batches[0])
    assert (found["input.a"], found["output"]) == ([1.0], [2.0])


@pytest.mark.parametrize("rows", [1, 50])
def test_so_many_rows_are_drawn_as_were_asked_for(written: Written, rows: int) -> None:
    sampler = Sampler(np.random.default_rng(7))
    calls, share = 20_000 // rows, 0.1

    drawn = [sampler.draw(rows, share) for _ in range(calls)]

    count = sum(map(len, drawn))
    deviation = math.sqrt(20_000 * share * (1 - share))
    assert abs(count - 20_000 * share) < 4 * deviation
    if rows > 1:  # each place is as likely
        places = np.bincount(np.concatenate(drawn), minlength=rows)
        assert places.min() > 0
        assert places.max() < 3 * calls * share


def test_of_a_huge_call_a_fair_part_is_copied(written: Written) -> None:
    log = PredictionLog(written.write, written.count, sampler=Sampler(np.random.default_rng(3)))
    features = np.arange(200_000.0).reshape(-1, 1)

    log.offer(rule(), version(("a",)), CALL, features, {"predict": features[:, 0]})
    log.stop()

    assert written.counts["offered"] == 200_000
    assert written.rows == MOST_CELLS // 2
    assert written.counts["full"] == 200_000 - MOST_CELLS // 2
    found = read(written.batches[0])
    assert found["row"] == sorted(set(found["row"]))
    assert found["input.a"] == found["row"] == found["output"]
    assert abs(np.mean(found["row"]) - 100_000) < 1_000


def test_rows_wider_than_what_is_copied_are_counted_and_dropped(written: Written) -> None:
    log = PredictionLog(written.write, written.count)
    wide = np.zeros((2, MOST_CELLS + 1))
    log.offer(rule(), version(("a",)), CALL, np.zeros((2, 1)), {"predict": wide})
    log.stop()
    assert written.counts == {"offered": 2, "full": 2}


def test_a_store_that_stands_still_holds_up_nobody_and_memory_is_bounded(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 400_000)
    monkeypatch.setattr(module, "MOST_TENANT_BYTES", 200_000)
    written.goes_on.clear()
    log = PredictionLog(written.write, written.count, file_seconds=0.0)
    log.offer(rule(), version(("a",)), CALL, np.zeros((1, 1)), {"predict": np.zeros(1)})
    assert written.entered.wait(10)

    many = np.zeros((1_000, 1))
    for _ in range(100):
        log.offer(rule(), version(("a",)), CALL, many, {"predict": many[:, 0]})
    own = log.waiting_bytes
    log.offer(rule("tnt_globex"), version(("a",)), CALL, many, {"predict": many[:, 0]})

    assert 150_000 < own <= 200_000
    assert own < log.waiting_bytes <= 400_000, "another tenant has room of its own"
    assert written.counts["full"] + written.counts["offered"] > 100_000
    assert not log.flush(0.05)

    written.goes_on.set()
    assert log.flush()
    assert written.rows + written.counts["full"] == written.counts["offered"] == 101_001
    assert log.waiting_bytes == 0
    log.stop()


def test_what_is_offered_after_the_end_is_dropped(written: Written) -> None:
    log = PredictionLog(written.write, written.count)
    log.stop()
    log.offer(rule(), version(("a",)), CALL, np.zeros((1, 1)), {"predict": np.zeros(1)})
    assert written.counts == {"offered": 1, "full": 1}
    assert written.batches == []


def test_a_log_without_inputs_or_with_some_keeps_only_those(written: Written) -> None:
    own = version(("a", "b"))
    log = PredictionLog(written.write, written.count)
    both = np.array([[1.0, 2.0]])
    for terms in ({"inputs": False}, {"columns": ("b",)}, {"columns": ()}):
        log.offer(rule(**terms), own, CALL, both, {"predict": both[:, 0]})
    log.stop()

    names = [{n for n in read(batch) if n.startswith("input.")} for batch in written.batches]
    assert sorted(map(sorted, names)) == [[], ["input.b"]]
    assert written.rows == 3
