"""Which models have a prediction log, on which terms, and under which key.

The key is sealed under the tenant's: destroying it deletes all that was logged for good, wherever
a copy of the files may be.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.sealing import Sealer
from models.errors import LogNotFound
from models.prediction_log.terms import LogRule, LogTerms
from models.records import ModelRow, PredictionLogRow
from models.register.entries import find_model
from models.register.version_keys import DataKey, TenantScope

KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class LogSetting:
    """A model's log as it is in force, and who asked for it."""

    rule: LogRule
    created_by: str
    created_at: float


@dataclass(frozen=True, slots=True)
class KeptLog:
    """A log that is there: its terms, and what seals and opens its segments."""

    rule: LogRule
    sealer: Sealer


class LogSettings:
    """Keeps the terms and the key of each model's log."""

    def __init__(self, data_key: DataKey, clock: Callable[[], float] = time.time) -> None:
        self._data_key = data_key
        self._clock = clock

    def show(self, session: Session, scope: TenantScope, name: str) -> LogSetting:
        """A model's log; raises ModelNotFound or LogNotFound."""
        row = session.get(PredictionLogRow, find_model(session, scope, name).id)
        if row is None:
            raise LogNotFound(name)
        return _setting(row)

    def set(
        self, session: Session, scope: TenantScope, name: str, terms: LogTerms, *, created_by: str
    ) -> LogSetting:
        """Log a model's predictions on these terms; one that is there keeps its key."""
        model = find_model(session, scope, name, lock=True)
        row = session.get(PredictionLogRow, model.id)
        if row is None:
            row = self._new(session, scope, model)
            session.add(row)
        for member, value in asdict(terms).items():
            setattr(row, member, orjson.dumps(value).decode() if member == "columns" else value)
        row.created_by, row.created_at = created_by, self._clock()
        session.flush()
        return _setting(row)

    def delete(self, session: Session, scope: TenantScope, name: str) -> LogRule:
        """Destroy the key of a model's log; raises LogNotFound. The files are the caller's."""
        row = session.get(PredictionLogRow, find_model(session, scope, name, lock=True).id)
        if row is None:
            raise LogNotFound(name)
        session.delete(row)
        session.flush()
        return _setting(row).rule

    def rule(self, session: Session, scope: TenantScope, name: str) -> LogRule | None:
        """What is to be logged of a model now; None is nothing."""
        query = (
            select(PredictionLogRow)
            .join(ModelRow, ModelRow.id == PredictionLogRow.model_id)
            .where(ModelRow.tenant_id == scope.tenant_id, ModelRow.name == name)
        )
        row = session.scalars(query).one_or_none()
        return _setting(row).rule if row is not None and row.enabled else None

    def kept(self, session: Session, rule: LogRule, *, lock: bool = False) -> KeptLog | None:
        """A log as it is by now; None if it was deleted, or made anew, meanwhile.

        Locked, one writer at a time adds to it.
        """
        row = session.get(PredictionLogRow, rule.model_id, with_for_update=lock)
        if row is None or row.id != rule.id:
            return None
        key = self._sealer(session, rule).open(row.sealed_key, _context(rule, row.id))
        return KeptLog(_setting(row).rule, Sealer((key,)))

    def _new(self, session: Session, scope: TenantScope, model: ModelRow) -> PredictionLogRow:
        log_id = f"plog_{secrets.token_hex(12)}"
        return PredictionLogRow(
            model_id=model.id,
            id=log_id,
            tenant_id=scope.tenant_id,
            sealed_key=self._sealer(session, scope).seal(
                os.urandom(KEY_BYTES), _context(scope, log_id)
            ),
        )

    def _sealer(self, session: Session, scope: TenantScope) -> Sealer:
        return Sealer((self._data_key(session, scope),))


def _setting(row: PredictionLogRow) -> LogSetting:
    columns = orjson.loads(row.columns)
    terms = LogTerms(
        enabled=row.enabled,
        sample=row.sample,
        inputs=row.inputs,
        columns=None if columns is None else tuple(columns),
        retention_days=row.retention_days,
        rows_per_day=row.rows_per_day,
        bytes_per_day=row.bytes_per_day,
    )
    rule = LogRule(id=row.id, tenant_id=row.tenant_id, model_id=row.model_id, terms=terms)
    return LogSetting(rule, row.created_by, row.created_at)


def _context(scope: TenantScope, log_id: str) -> dict[str, str]:
    return {"purpose": "prediction-log-key", "tenant": scope.tenant_id, "log": log_id}
