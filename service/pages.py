"""Listings over HTTP: a page at a time, each with the address of the next."""

from __future__ import annotations

from typing import Any

import flask


def linked(page: Any) -> Any:
    """The page's items, with the address of the next page in a Link header (RFC 8288)."""
    items = list(page.items)
    if page.next is None:
        return items
    arguments = {**(flask.request.view_args or {}), **flask.request.args.to_dict()}
    address = flask.url_for(flask.request.endpoint or "", **{**arguments, "cursor": page.next})
    return items, {"Link": f'<{address}>; rel="next"'}
