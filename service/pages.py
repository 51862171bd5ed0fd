"""Listings over HTTP: a page at a time, each with the address of the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import flask
import orjson
from flask import request

from service.operations.cursors import open_position, seal_position
from service.security import current_platform, current_scope

# What may differ between two pages of one listing.
OF_THE_PAGE: Final = frozenset({"cursor", "limit"})


def paging(query: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a query, with its cursor as the listing's operation knows it."""
    cursor = query.get("cursor")
    if cursor is None:
        return dict(query)
    position = open_position(current_platform(), current_scope(), _listing(), cursor)
    return {**query, "cursor": position}


def linked(page: Any) -> Any:
    """The page's items, with the address of the next page in a Link header (RFC 8288)."""
    items = list(page.items)
    if page.next is None:
        return items
    cursor = seal_position(current_platform(), current_scope(), _listing(), page.next)
    arguments = {**(request.view_args or {}), **request.args.to_dict(), "cursor": cursor}
    address = flask.url_for(request.endpoint or "", **arguments)
    return items, {"Link": f'<{address}>; rel="next"'}


def _listing() -> str:
    """What is listed: a cursor of one listing means nothing in another."""
    wanted = sorted((n, v) for n, v in request.args.items() if n not in OF_THE_PAGE)
    return orjson.dumps([request.endpoint, request.view_args, wanted]).decode()
