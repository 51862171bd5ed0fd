"""What may stand in an audit record: no secrets, and no text that a store or terminal chokes on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from auth.errors import AuditDetailRefused

MOST_CHARACTERS: Final = 255
SECRET_NAME: Final = re.compile(
    r"passw|passphrase|secret|token|credential|authori[sz]ation|cookie|bearer|private"
    r"|(?:api|master|data|signing)_?key|recovery_?code|(?:^|_)(?:t|h)?otp(?:_|$)"
)
SECRET_FORM: Final = re.compile(r"eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|-----BEGIN |\$argon2")
CAPITAL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def refuse_secrets(value: Any, path: str = "") -> None:
    """Raise AuditDetailRefused for a member named like a secret, or a text formed like one."""
    if isinstance(value, Mapping):
        for name, member in value.items():
            inner = f"{path}/{name}"
            if SECRET_NAME.search(_words(str(name))):
                raise AuditDetailRefused(inner)
            refuse_secrets(member, inner)
    elif isinstance(value, list | tuple):
        for position, member in enumerate(value):
            refuse_secrets(member, f"{path}/{position}")
    elif isinstance(value, str) and SECRET_FORM.search(value):
        raise AuditDetailRefused(path)


def clean(text: str) -> str:
    """Return printable text that fits its column; what is cut off is still told apart."""
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    if printable == text and len(text) <= MOST_CHARACTERS:
        return text
    # Two long or unprintable names must not read as one and the same.
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{printable[: MOST_CHARACTERS - 18]}…#{mark}"


def _words(name: str) -> str:
    """Write clientSecret, client-secret and CLIENT_SECRET alike."""
    return re.sub(r"[^a-z0-9]+", "_", CAPITAL.sub("_", name).lower())
