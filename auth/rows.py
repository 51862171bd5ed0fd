"""What the tables of accounts share: pages, unique insertion, and one writer per tenant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

from sqlalchemy import CursorResult, Delete, Select, Update, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute, Session

from auth.errors import NameTaken, NotFound
from auth.names import lookup_name
from auth.records import TenantRow

T = TypeVar("T")
MAX_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a listing in order of name; `next` continues it, None at the end."""

    items: tuple[T, ...]
    next: str | None = None


def page(
    session: Session,
    statement: Select[Any],
    key: InstrumentedAttribute[str],
    view: Callable[[Any], T],
    *,
    after: str | None,
    limit: int,
) -> Page[T]:
    """The rows whose unique `key` follows `after`, at most `limit`, each shown through `view`."""
    limit = max(1, min(limit, MAX_PAGE))
    if after is not None:
        statement = statement.where(key > lookup_name(after))
    rows = session.scalars(statement.order_by(key).limit(limit + 1)).all()
    items = tuple(view(row) for row in rows[:limit])
    more = len(rows) > limit
    return Page(items, getattr(rows[limit - 1], key.key) if more else None)


def everything(read: Callable[[str | None], Page[T]]) -> Iterator[T]:
    """Every item of a listing, page after page."""
    after: str | None = None
    while True:
        found = read(after)
        yield from found.items
        if (after := found.next) is None:
            return


def add_unique(session: Session, row: Any, kind: str, name: str) -> None:
    """Insert a row; raises NameTaken, also when another transaction took the name just now."""
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        raise NameTaken(kind, name) from error


def lock_tenant(session: Session, tenant_id: str) -> TenantRow:
    """Let one writer at a time decide on this tenant's accounts; raises NotFound if it is gone.

    SQLite has one writer at a time anyway and ignores FOR UPDATE. On PostgreSQL it is the form
    that lets others refer to the tenant, so that logins do not wait.
    """
    mine = select(TenantRow).where(TenantRow.id == tenant_id)
    statement = mine.with_for_update(key_share=True)
    row = session.scalar(statement.execution_options(populate_existing=True))
    if row is None:
        raise NotFound("tenant", tenant_id)
    return row


def affected(session: Session, statement: Update | Delete) -> int:
    """Execute and return how many rows were changed."""
    return cast("CursorResult[Any]", session.execute(statement)).rowcount
