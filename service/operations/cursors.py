"""Where a listing by number goes on."""

from __future__ import annotations

from service.errors import InputMalformed


def number_before(cursor: str | None) -> int | None:
    """The number below which the next page begins; raises InputMalformed."""
    if cursor is None:
        return None
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise InputMalformed({"/cursor": "not one that a page gave"})
    return int(cursor)
