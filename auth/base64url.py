"""base64url without padding (RFC 7515, section 2), in its one canonical spelling."""

from __future__ import annotations

import base64
import binascii


def encode(data: bytes) -> str:
    """Write bytes as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Read canonical base64url; raises ValueError for any other spelling of the same bytes.

    A decoder that ignores padding, foreign characters or the unused bits of the last character
    lets one token be written in several ways, which a cache or a block list then tells apart.
    """
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if encode(data) != text:
        raise ValueError("not canonical base64url")
    return data
