"""The index of prediction logs, on each database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest

from config.database import Database
from config.sealing import Sealer
from models.errors import LogNotFound, SegmentLost
from models.prediction_log.files import LogFiles
from models.prediction_log.segments import (
    ANNOUNCED_SECONDS,
    DAY_SECONDS,
    Segment,
    Segments,
    day_of,
    new_segment_id,
)
from models.prediction_log.settings import LogSettings
from models.prediction_log.terms import LogRule, LogTerms
from tests.auth.clock import Clock
from tests.contracts.test_stores import settings_of
from tests.models.conftest import Register, Tenant, data_key
from tests.servers import Bucket

MODEL = "linear"
TERMS = LogTerms(sample=0.5, rows_per_day=9, columns=("x0",))


def segment(rule: LogRule, now: float, rows: int = 5) -> Segment:
    return Segment(
        id=new_segment_id(now),
        tenant_id=rule.tenant_id,
        model_id=rule.model_id,
        log_id=rule.id,
        version=1,
        method="predict",
        day=day_of(now),
        rows=rows,
        bytes=100,
        digest="d" * 64,
        first_at=now - 10,
        last_at=now,
        created_at=now,
        expires_at=now + 30 * DAY_SECONDS,
    )


@dataclass(frozen=True)
class Logs:
    """Acme's model with a log, and its index."""

    database: Database
    clock: Clock
    settings: LogSettings
    segments: Segments
    rule: LogRule

    def announced(self) -> Segment:
        """A segment that is announced and not stored yet."""
        made = segment(self.rule, self.clock())
        with self.database.write() as session:
            self.segments.announce(session, made)
        return made


@pytest.fixture
def logs(database: Database, register: Register, acme: Tenant) -> Logs:
    clock = Clock()
    settings, segments = LogSettings(data_key, clock), Segments(clock)
    register(acme)
    with database.write() as session:
        rule = settings.set(session, acme, MODEL, TERMS, created_by="user:ben").rule
    return Logs(database, clock, settings, segments, rule)


def test_a_log_is_of_one_tenants_model(logs: Logs, acme: Tenant, globex: Tenant) -> None:
    with logs.database.write() as session:
        kept = logs.settings.kept(session, logs.rule, lock=True)
        assert kept is not None
        assert kept.rule == logs.rule
        assert logs.rule.terms == TERMS
        assert logs.settings.rule(session, acme, MODEL) == logs.rule
        assert logs.settings.rule(session, globex, MODEL) is None


def test_a_segment_has_its_room_once_announced_and_is_found_once_shown(
    logs: Logs, acme: Tenant
) -> None:
    own, segments = logs.announced(), logs.segments

    with logs.database.write() as session:
        assert segments.page(session, acme, MODEL) == ()
        assert segments.has_room(session, logs.rule, rows=4)
        assert not segments.has_room(session, logs.rule, rows=5), "what is announced has its room"
        assert segments.show(session, own)
    with logs.database.read() as session:
        assert segments.page(session, acme, MODEL) == (own,)
        assert segments.find(session, acme, MODEL, own.id) == own
        for wrong in ("", "seg_\x00", "seg_" + "0" * 28):
            with pytest.raises(LogNotFound):
                segments.find(session, acme, MODEL, wrong)
        assert segments.kept(session, logs.rule).rows == 5


def test_a_segment_expires_by_the_terms_of_today(logs: Logs, acme: Tenant) -> None:
    own, segments = logs.announced(), logs.segments
    shorter = replace(TERMS, retention_days=1)
    with logs.database.write() as session:
        assert segments.show(session, own)
        setting = logs.settings.set(session, acme, MODEL, shorter, created_by="x")
        segments.retain(session, setting.rule)

    logs.clock.advance(DAY_SECONDS)

    with logs.database.write() as session:
        assert segments.page(session, acme, MODEL) == ()
        (expired,) = segments.expired(session, limit=10)
        assert expired.id == own.id
        segments.forget(session, [expired])
        assert segments.expired(session, limit=10) == ()


def test_what_was_announced_is_shown_no_more_once_its_log_has_ended(
    logs: Logs, acme: Tenant
) -> None:
    own, segments = logs.announced(), logs.segments
    logs.announced()
    with logs.database.write() as session:
        segments.end(session, logs.settings.delete(session, acme, MODEL))

    with logs.database.write() as session:
        assert logs.settings.kept(session, logs.rule) is None
        assert not segments.show(session, own)
        assert len(segments.expired(session, limit=10)) == 2


def test_what_was_announced_and_never_stored_expires(logs: Logs) -> None:
    logs.announced()
    with logs.database.write() as session:
        logs.segments.retain(session, logs.rule)

    logs.clock.advance(ANNOUNCED_SECONDS)
    with logs.database.read() as session:
        assert len(logs.segments.expired(session, limit=10)) == 1


def test_files_lie_sealed_in_a_bucket_beside_the_artefacts(tmp_path: Path, bucket: Bucket) -> None:
    settings = settings_of(tmp_path, **bucket.settings("/logs"))
    files, sealer = LogFiles.of(settings), Sealer((bytes(32),))
    rule = LogRule(id="plog_1", tenant_id="ten_1", model_id="mdl_1", terms=LogTerms(sample=1.0))
    first, second = (
        replace(segment(rule, at), digest=sha256(b"rows").hexdigest()) for at in (1.0, 2.0)
    )
    for each in (first, second):
        files.put(each, b"rows", sealer)

    assert files.open(first, sealer) == b"rows"
    with pytest.raises(SegmentLost):
        files.open(replace(first, version=2), sealer)
    place = bucket.folder / settings.artefacts_url.removeprefix("s3://bucket/") / "prediction-logs"
    assert b"rows" not in (place / "ten_1" / first.id).read_bytes()
    files.delete(first)
    with pytest.raises(SegmentLost) as lost:
        files.open(first, sealer)
    assert lost.value.is_missing
    files.delete_tenant("ten_1")
    assert not list(place.rglob("seg_*"))
