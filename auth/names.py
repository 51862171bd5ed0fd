"""How tenants, users and service accounts may be named, and the one form of each name."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from auth.errors import NameMalformed

MAX_LENGTH: Final = 128
PLATFORM_TENANT: Final = "platform"
RESERVED_TENANTS: Final = frozenset({PLATFORM_TENANT, "sallyport", "system", "localhost"})

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# Letters and marks that `str.isprintable` accepts and nobody sees: two names would look alike.
_INVISIBLE: Final = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_ACCOUNT_RULE: Final = (
    f"give 1 to {MAX_LENGTH} visible characters without space or colon, a letter or digit first"
)


def tenant_name(text: str) -> str:
    """Check the name of a tenant; raises NameMalformed."""
    if not _LABEL.fullmatch(text):
        rule = "give 1 to 63 of a-z, 0-9 and hyphen, no hyphen at either end"
        raise NameMalformed("tenant", text[:MAX_LENGTH], rule)
    if text in RESERVED_TENANTS:
        raise NameMalformed("tenant", text, "it is reserved")
    return text


def account_name(kind: str, text: str) -> str:
    """The one form (NFKC, case folded) of the name of a user or client; raises NameMalformed."""
    name = lookup_name(text)
    if not name:
        raise NameMalformed(kind, text[:MAX_LENGTH], _ACCOUNT_RULE)
    return name


def lookup_name(text: str) -> str:
    """The form under which a name is stored, or the empty string, which names nothing.

    No text that a database cannot hold (NUL, lone surrogates) gets through. Whoever counts
    guesses counts under this form, or each spelling of a name would have a count of its own.
    """
    if len(text) > MAX_LENGTH:
        return ""
    name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    fits = 1 <= len(name) <= MAX_LENGTH and name[0].isalnum() and name.isprintable()
    return name if fits and not re.search(r"[\s:]", name) and not _INVISIBLE.search(name) else ""
