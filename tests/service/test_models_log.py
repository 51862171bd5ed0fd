"""/models/{model}/log: what is logged of predictions, who reads it, and that it costs nobody."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from auth.records import AuditRow
from config.settings import Settings
from models.errors import StoreUnavailable
from models.prediction_log import segments as segments_module
from models.records import LogSegmentRow, PredictionLogRow
from service.operations import prediction_logs, tenants
from service.operations.log_exports import Wanted, export_log
from tests.auth.clock import Clock
from tests.house import Actor, House, opened
from tests.journeys.served import until
from tests.service.problems import pointers, refused
from tests.service.test_predict import install

LOG = "/models/linear/log"
DAY = 86_400.0
CANARY = 12_345.671875  # exact in binary, so that its bytes can be looked for


@pytest.fixture
def clock() -> Clock:
    """The platform's time."""
    return Clock()


def later(house: House, clock: Clock, seconds: float) -> None:
    """Let time pass, and everybody log in again whose token has expired meanwhile."""
    clock.advance(seconds)
    for actor in house.actors.values():
        actor.tokens.clear()


@pytest.fixture
def acme(house_settings: Settings, clock: Clock) -> Iterator[House]:
    """Acme before anything is logged."""
    with opened(house_settings, clock) as house:
        yield house


def logged(house: House, actor: Actor | None = None, path: str = LOG, **terms: Any) -> Any:
    answer = (actor or house.ben).call("PUT", path, json={"sample": 1.0} | terms)
    assert answer.status_code == 200, answer.get_json()
    return answer.get_json()


def written(house: House) -> None:
    assert house.platform.prediction_logs.waiting.flush()


def listed(house: House, query: str = "") -> list[dict[str, Any]]:
    answer = house.ada.get(f"{LOG}/segments{query}")
    assert answer.status_code == 200, answer.get_json()
    found: list[dict[str, Any]] = answer.get_json()
    return found


def table(house: House) -> pa.Table:
    """Everything that is logged of the demo's model."""
    written(house)
    contents = [house.ada.get(f"{LOG}/segments/{found['id']}") for found in listed(house)]
    assert {answer.content_type for answer in contents} <= {"application/vnd.apache.parquet"}
    return pa.concat_tables([pq.read_table(io.BytesIO(answer.data)) for answer in contents])


def files(house: House) -> list[Path]:
    return [p for p in (house.folder / "prediction-logs").rglob("*") if p.is_file()]


def test_nothing_is_logged_until_it_is_asked_for(acme: House) -> None:
    assert acme.rob.predict([5, 10]).status_code == 200
    written(acme)

    assert files(acme) == []
    assert "no log" in refused(acme.ben.get(LOG), 404, "not-found")["detail"]
    refused(acme.ben.call("DELETE", LOG), 404, "not-found")
    refused(acme.ada.get(f"{LOG}/segments"), 404, "not-found")


def test_what_was_sent_and_answered_is_logged_row_by_row(acme: House, clock: Clock) -> None:
    logged(acme)
    answer = acme.rob.predict([[5, 10], [1, 2.5]])
    said = answer.get_json()["prediction"]

    found = table(acme).to_pydict()

    assert found["input.x0"] == [5.0, 1.0]
    assert found["input.x1"] == [10.0, 2.5]
    assert found["output"] == said
    assert found["row"] == [0, 1]
    assert {at.timestamp() for at in found["time"]} == {clock()}
    assert set(found["request_id"]) == {answer.headers["X-Request-Id"]}
    assert set(zip(found["version"], found["method"], found["role"], strict=True)) == {
        (1, "predict", "live")
    }
    (principal,) = set(found["principal_id"])
    assert principal
    assert "rob" not in principal
    assert all(ms > 0 for ms in found["compute_ms"])


def test_a_change_holds_for_the_next_call_of_every_worker(
    house_settings: Settings, clock: Clock
) -> None:
    with opened(house_settings, clock) as one, opened(house_settings, clock) as two:
        rob = one.rob.through(two.client)
        assert rob.predict([1, 2]).status_code == 200
        logged(one)
        two.platform.epoch.refresh()  # two in one process do not share the copy of the epoch
        assert one.rob.predict([1, 3]).status_code == 200
        assert rob.predict([1, 4]).status_code == 200
        written(two)
        assert sorted(table(one).column("input.x1").to_pylist()) == [3.0, 4.0]

        logged(one, enabled=False)
        two.platform.epoch.refresh()
        assert rob.predict([1, 5]).status_code == 200
        written(two)
        assert table(one).num_rows == 2
        assert one.ben.get(LOG).get_json()["rows"] == 2


def test_only_what_may_be_kept_is(acme: House) -> None:
    logged(acme, columns=["x1", "of-a-version-to-come"])
    acme.rob.predict([CANARY, 1])
    logged(acme, inputs=False)
    acme.rob.predict([CANARY, 2])
    written(acme)

    names = [
        set(pq.read_schema(io.BytesIO(acme.ada.get(f"{LOG}/segments/{f['id']}").data)).names)
        for f in listed(acme)
    ]
    kept = [[name for name in each if name.startswith("input.")] for each in names]
    assert sorted(kept) == [[], ["input.x1"]]


def test_who_reads_what_was_logged_is_permitted_to_and_on_record(acme: House) -> None:
    logged(acme)
    acme.rob.predict([5, 10])
    written(acme)
    (segment,) = listed(acme)

    for actor in (acme.ben, acme.rob):
        refused(actor.get(f"{LOG}/segments"), 403, "insufficient-scope")
        refused(actor.get(f"{LOG}/segments/{segment['id']}"), 403, "insufficient-scope")
    refused(acme.rob.call("PUT", LOG, json={"sample": 1}), 403, "insufficient-scope")
    assert acme.ada.get(f"{LOG}/segments/{segment['id']}").status_code == 200

    with acme.platform.database.read() as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.action.startswith("models.log")))
        records = [(row.action, row.subject, row.actor.partition("@")[0]) for row in rows]
    assert records == [
        ("models.log.set", "linear", "user:ben"),
        ("models.log.read", "linear", "user:ada"),
    ]


def test_another_tenant_sees_nothing_of_a_log(acme: House) -> None:
    logged(acme)
    acme.rob.predict([5, 10])
    written(acme)
    (segment,) = listed(acme)

    logged(acme, acme.gail)
    assert acme.gail.get(f"{LOG}/segments").get_json() == []
    there = acme.gail.get(f"{LOG}/segments/{segment['id']}")
    absent = acme.gail.get(f"{LOG}/segments/{'seg_' + '0' * 28}")
    assert there.status_code == absent.status_code == 404
    assert refused(there, 404, "not-found")["detail"].replace(segment["id"], "") == refused(
        absent, 404, "not-found"
    )["detail"].replace("seg_" + "0" * 28, "")


def test_what_lies_in_the_store_is_sealed_to_its_place(acme: House) -> None:
    logged(acme)
    acme.rob.predict([CANARY, 1])
    acme.rob.predict([CANARY, 2])
    written(acme)
    logged(acme, retention_days=7)
    acme.rob.predict([CANARY, 3])
    written(acme)

    first, second = files(acme)
    for file in (first, second):
        sealed = file.read_bytes()
        assert b"PAR1" not in sealed
        assert b"input.x0" not in sealed
        assert file.stat().st_mode & 0o777 == 0o600
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    for segment in listed(acme):
        refused(acme.ada.get(f"{LOG}/segments/{segment['id']}"), 503, "unavailable")


def test_segments_come_in_pages_and_by_time(acme: House, clock: Clock) -> None:
    logged(acme)
    start = clock()
    for _ in range(3):
        acme.rob.predict([1, 2])
        written(acme)
        later(acme, clock, 60)

    first = acme.ada.get(f"{LOG}/segments?limit=2")
    assert len(first.get_json()) == 2
    assert 'rel="next"' in first.headers["Link"]
    rest = acme.ada.get(first.headers["Link"].partition(">")[0].removeprefix("<"))
    assert [s["first_at"] for s in first.get_json() + rest.get_json()] == [
        start,
        start + 60,
        start + 120,
    ]
    assert len(listed(acme, f"?since={start + 30}&until={start + 90}")) == 1
    assert pointers(refused(acme.ada.get(f"{LOG}/segments?cursor=x"), 400, "invalid-input"))


def test_rows_go_when_their_time_is_over(acme: House, clock: Clock) -> None:
    logged(acme, retention_days=30)
    acme.rob.predict([1, 2])
    written(acme)
    assert listed(acme)[0]["expires_at"] == clock() + 30 * DAY
    later(acme, clock, DAY)
    acme.rob.predict([3, 4])
    written(acme)

    logged(acme, retention_days=2)
    later(acme, clock, 1.5 * DAY)

    assert [segment["created_at"] for segment in listed(acme)] == [clock() - 1.5 * DAY]
    prediction_logs.remove_expired(acme.platform)
    assert len(files(acme)) == 1
    assert acme.ben.get(LOG).get_json()["rows"] == 1


def test_what_a_worker_left_half_written_is_found(
    acme: House, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged(acme)
    monkeypatch.setattr(segments_module.Segments, "show", lambda *_: 1 / 0)
    acme.rob.predict([1, 2])
    written(acme)
    assert len(files(acme)) == 1
    assert listed(acme) == []

    later(acme, clock, segments_module.ANNOUNCED_SECONDS)
    prediction_logs.remove_expired(acme.platform)

    assert files(acme) == []
    with acme.platform.database.read() as session:
        assert session.scalars(select(LogSegmentRow)).all() == []


def test_a_log_that_is_deleted_is_destroyed(acme: House) -> None:
    logged(acme)
    acme.rob.predict([1, 2])
    written(acme)
    (segment,) = listed(acme)
    acme.rob.predict([3, 4])  # waits in memory while its log goes
    assert acme.ben.call("DELETE", LOG).status_code == 204
    written(acme)

    logged(acme)
    assert listed(acme) == []
    refused(acme.ada.get(f"{LOG}/segments/{segment['id']}"), 404, "not-found")
    prediction_logs.remove_expired(acme.platform)
    assert files(acme) == []


def test_with_its_model_or_tenant_a_log_goes(acme: House) -> None:
    logged(acme)
    logged(acme, acme.gail)
    acme.rob.predict([1, 2])
    acme.gail.predict([1, 2])
    written(acme)
    assert len(files(acme)) == 2

    assert acme.ben.call("DELETE", "/models/linear?confirm=linear").status_code == 204
    tenants.delete_tenant(acme.platform, acme.operator(), "globex")
    prediction_logs.remove_expired(acme.platform)

    assert files(acme) == []
    with acme.platform.database.read() as session:
        for row in (PredictionLogRow, LogSegmentRow):
            assert session.scalars(select(row)).all() == []


def test_a_suspended_tenants_log_is_kept_and_read_by_nobody(acme: House) -> None:
    logged(acme)
    acme.rob.predict([1, 2])
    assert acme.ada.token
    tenants.suspend_tenant(acme.platform, acme.operator(), "acme")

    assert acme.ada.call("GET", f"{LOG}/segments").status_code == 401
    assert acme.rob.predict([1, 2]).status_code == 401
    tenants.resume_tenant(acme.platform, acme.operator(), "acme")
    acme.ada.login()
    assert table(acme).num_rows == 1


def test_a_day_holds_no_more_than_it_may(acme: House, clock: Clock) -> None:
    logged(acme, rows_per_day=3)
    for rows in ([[1, 2], [3, 4]], [[5, 6], [7, 8]], [[9, 9]]):
        assert acme.rob.predict(rows).status_code == 200
        written(acme)
    assert acme.ben.get(LOG).get_json()["rows"] == 3

    later(acme, clock, DAY)
    acme.rob.predict([1, 2])
    written(acme)
    assert acme.ben.get(LOG).get_json()["rows"] == 4


def test_shadows_are_logged_as_such(acme: House) -> None:
    acme.add_version()
    route = {"split": [{"version": 1, "weight": 1}], "shadow": {"version": 2}}
    assert acme.ben.call("PUT", "/models/linear/route", json=route).status_code == 200
    logged(acme)
    answer = acme.rob.predict([5, 10])
    assert answer.get_json()["version"] == 1

    until(lambda: len({s["version"] for s in _flushed(acme)}) == 2)
    found = table(acme).to_pydict()
    assert sorted(zip(found["version"], found["role"], strict=True)) == [
        (1, "live"),
        (2, "shadow"),
    ]
    assert set(found["request_id"]) == {answer.headers["X-Request-Id"]}


def test_rows_of_a_file_keep_their_positions(acme: House) -> None:
    logged(acme)
    body = "x0,x1\n" + "".join(f"{n},0\n" for n in range(3_000))
    with acme.rob.post("/models/linear/predict", data=body, content_type="text/csv") as answer:
        assert answer.status_code == 200
        assert answer.data

    found = table(acme).to_pydict()

    assert sorted(found["row"]) == list(range(3_000))
    assert found["row"] == found["input.x0"]


def _flushed(house: House) -> list[dict[str, Any]]:
    written(house)
    return listed(house)


class Broken:
    """A store in which nothing works."""

    name = "broken"

    def __getattr__(self, name: str) -> Any:
        raise StoreUnavailable("store", "planted")


@pytest.mark.parametrize("what", ["store", "database", "parquet", "sampler", "thread"])
def test_an_answer_is_the_same_whatever_fails_in_the_log(
    acme: House, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    logged(acme)
    before = acme.rob.predict([5, 10]).get_json()
    logs = acme.platform.prediction_logs

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("planted")

    match what:
        case "store":
            monkeypatch.setattr(logs.files, "_store", Broken())
        case "database":
            monkeypatch.setattr(type(logs.settings), "kept", fail)
        case "parquet":
            monkeypatch.setattr("models.prediction_log.writing.write_segment", fail)
        case "sampler":
            monkeypatch.setattr("models.prediction_log.excerpts.Sampler.draw", fail)
        case "thread":
            monkeypatch.setattr("threading.Thread.start", fail)
            monkeypatch.setattr(logs.waiting, "_thread", None)
    lost = _counted(acme, "failed")

    answer = acme.rob.predict([5, 10])

    assert (answer.status_code, answer.get_json()) == (200, before)
    if what not in ("sampler", "thread"):
        written(acme)
    assert _counted(acme, "failed") > lost


def _counted(house: House, outcome: str) -> float:
    value = house.platform.telemetry.registry.get_sample_value(
        "sallyport_prediction_log_rows_total", {"outcome": outcome}
    )
    return value or 0.0


def test_terms_that_cannot_be_are_refused(acme: House) -> None:
    for body, where in (
        ({"sample": 0}, "/sample"),
        ({"sample": 1.5}, "/sample"),
        ({}, "/sample"),
        ({"sample": 1, "retention_days": 0}, "/retention_days"),
        ({"sample": 1, "rows_per_day": 10**18}, "/rows_per_day"),
        ({"sample": 1, "bytes_per_day": 5}, "/bytes_per_day"),
        ({"sample": 1, "columns": [1]}, "/columns/0"),
        ({"sample": 1, "other": 1}, "/other"),
    ):
        answer = acme.ben.call("PUT", LOG, json=body)
        assert pointers(refused(answer, 400, "invalid-input")) == {where}, body
    refused(acme.ben.call("PUT", "/models/none/log", json={"sample": 1}), 404, "not-found")


def test_an_export_is_one_file_or_one_of_each_kind(acme: House, tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    install(acme, "sides", LogisticRegression().fit([[0.0], [1.0]], [0, 1]), promote=True)
    logged(acme, path="/models/sides/log")
    for method in ("predict", "predict_proba", "predict"):
        assert acme.rob.predict([[0.0], [1.0]], model="sides", method=method).status_code == 200
        written(acme)
    scope = acme.operator("acme")

    made = export_log(acme.platform, scope, "sides", tmp_path / "out")

    assert (made.segments, made.rows, made.lost) == (3, 6, 0)
    labels = pq.read_table(tmp_path / "out" / "version-1-predict.parquet")
    assert labels.column("output").to_pylist() == [0, 1, 0, 1]
    shares = pq.read_table(tmp_path / "out" / "version-1-predict_proba.parquet")
    pairs = zip(*(shares.column(f"output.{at}").to_pylist() for at in (0, 1)), strict=True)
    assert all(math.isclose(sum(pair), 1.0) for pair in pairs)

    one = tmp_path / "labels.csv"
    export_log(acme.platform, scope, "sides", one, Wanted(method="predict"))
    assert len(one.read_text().splitlines()) == 5
    assert one.stat().st_mode & 0o777 == 0o600
