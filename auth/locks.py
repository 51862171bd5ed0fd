"""Locks between transactions, for changes that must happen one after another."""

from __future__ import annotations

import hashlib

from sqlalchemy import func, select
from sqlalchemy.orm import Session


def hold(session: Session, name: str) -> None:
    """Wait until no other transaction holds this name, and hold it until this one ends.

    SQLite needs nothing more than BEGIN IMMEDIATE. On PostgreSQL a row lock would not do: under
    READ COMMITTED a statement that waited for a row does not see the rows inserted meanwhile.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(_number(name)))).all()


def _number(name: str) -> int:
    digest = hashlib.sha256(f"sallyport:{name}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
