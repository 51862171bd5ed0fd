"""A service account of Acme that lasts a hundred seconds, whatever it proves itself with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import event

from config.settings import load_settings
from service.operations import clients, tenants
from tests.auth.clock import Clock
from tests.house import House, opened

NAME = "robot"
SECONDS = 100
ENDS = ("revoke", "suspend", "expire")


@contextmanager
def hurried(instance: Path) -> Iterator[tuple[House, Clock]]:
    """A house where an address may fail four times a minute."""
    clock = Clock(time.time())
    with opened(load_settings(instance, address_requests_per_minute=4), clock) as house:
        yield house, clock


@contextmanager
def looks(house: House) -> Iterator[list[str]]:
    """The statements that ask the database for service accounts while the block runs."""
    found: list[str] = []
    engine = house.platform.database.engine

    def note(*call: object) -> None:
        if "FROM clients" in str(call[2]):
            found.append(str(call[2]))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


def end(house: House, clock: Clock, how: str) -> None:
    """Take the account away, or its tenant, or let its time run out."""
    if how == "revoke":
        clients.revoke_client(house.platform, house.operator("acme"), NAME)
    elif how == "suspend":
        tenants.suspend_tenant(house.platform, house.operator(), "acme")
    else:
        clock.advance(SECONDS)
