"""What trainings have found out so far, kept sealed until they end: the next attempt goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

import orjson
from sqlalchemy import CursorResult, delete, func, select
from sqlalchemy.orm import Session

from config.sealing import Sealer
from models.jobs import Job
from models.records import TrainingResultRow
from models.training.progress import Result

# Of one job. What is more is found out again.
MOST_BYTES: Final = 64 * 1024**2


class TrainingResults:
    """Keeps the results of trainings under their tenants' keys."""

    def size_of(self, session: Session, job: Job) -> int:
        """How many bytes are kept of a training."""
        sizes = func.sum(func.length(TrainingResultRow.sealed))
        total = session.scalar(select(sizes).where(TrainingResultRow.job_id == job.id))
        return int(total or 0)

    def keep(
        self, session: Session, job: Job, results: Iterable[Result], sealer: Sealer, *, room: int
    ) -> int:
        """Keep results, those that fit into so many bytes; returns how many bytes they are."""
        taken = 0
        for result in results:
            digest = _digest(result.key)
            text = orjson.dumps([result.key, dict(result.value)])
            sealed = sealer.seal(text, _context(job, digest))
            if taken + len(sealed) > room:
                continue
            taken += len(sealed)
            row = TrainingResultRow(
                job_id=job.id, key_digest=digest, tenant_id=job.tenant_id, sealed=sealed
            )
            session.merge(row)
        return taken

    def known(self, session: Session, job: Job, sealer: Sealer) -> Iterator[Result]:
        """What is kept of a training."""
        rows = select(TrainingResultRow).where(TrainingResultRow.job_id == job.id)
        for row in session.scalars(rows).all():
            key, value = orjson.loads(sealer.open(row.sealed, _context(job, row.key_digest)))
            yield Result(key, value)

    def forget(self, session: Session, job_id: str) -> int:
        """Delete what is kept of a training; returns how many results that were."""
        return _changes(
            session, delete(TrainingResultRow).where(TrainingResultRow.job_id == job_id)
        )


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _context(job: Job, digest: str) -> dict[str, str]:
    return {
        "purpose": "training-result",
        "tenant": job.tenant_id,
        "job": job.id,
        "result": digest,
    }


def _changes(session: Session, statement: Any) -> int:
    return cast("CursorResult[Any]", session.execute(statement)).rowcount
