"""Where a listing goes on.

What a page hands out is sealed under a key of the caller's tenant, for that listing alone: nobody
reads a name in it, makes one up, or takes one elsewhere.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from auth.scope import Scope
from config.errors import SealBroken
from config.sealing import Sealer
from service.bootstrap import Platform
from service.errors import InputMalformed

NOT_OURS: Final = {"/cursor": "not one that a page of this listing gave"}


def number_before(cursor: str | None) -> int | None:
    """The number below which the next page begins; raises InputMalformed."""
    if cursor is None:
        return None
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise InputMalformed(NOT_OURS)
    return int(cursor)


def seal_position(platform: Platform, scope: Scope, listing: str, position: str) -> str:
    """Write where the next page of a listing begins, for its reader alone."""
    sealed = _sealer(platform, scope).seal(position.encode(), _context(scope, listing))
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def open_position(platform: Platform, scope: Scope, listing: str, cursor: str) -> str:
    """Read what `seal_position` wrote for the same reader and listing; raises InputMalformed."""
    try:
        sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        return _sealer(platform, scope).open(sealed, _context(scope, listing)).decode()
    except (binascii.Error, ValueError, SealBroken) as error:
        raise InputMalformed(NOT_OURS) from error


def _sealer(platform: Platform, scope: Scope) -> Sealer:
    with platform.database.read() as session:
        data_key = platform.tenants.data_key(session, scope)
    return Sealer(
        (HKDF(SHA256(), length=32, salt=None, info=b"sallyport cursors").derive(data_key),)
    )


def _context(scope: Scope, listing: str) -> dict[str, str]:
    return {"purpose": "cursor", "principal": scope.principal.id, "listing": listing}
