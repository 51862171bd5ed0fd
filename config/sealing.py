"""Sealing of secrets at rest: AES-256-GCM under the operator's master keys."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from config.errors import SealBroken

NONCE_BYTES: Final = 12


class Sealer:
    """Seals bytes to a context that they cannot be opened outside of.

    The context is the AEAD's associated data: a sealed value moved to another row, tenant or
    purpose does not open. The first key seals, every key opens.
    """

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        self._ciphers = tuple(AESGCM(key) for key in keys)

    def seal(self, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        """Return nonce + ciphertext + tag."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, plaintext, _associated(context))

    def open(self, sealed: bytes, context: Mapping[str, str]) -> bytes:
        """Return what was sealed; raises SealBroken if no key opens it in this context."""
        nonce, body = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(nonce, body, _associated(context))
            except (InvalidTag, ValueError):
                continue
        raise SealBroken(", ".join(f"{k}={v}" for k, v in sorted(context.items())))

    def reseal(self, sealed: bytes, context: Mapping[str, str]) -> bytes:
        """Seal again under the first key."""
        return self.seal(self.open(sealed, context), context)


def _associated(context: Mapping[str, str]) -> bytes:
    return json.dumps(dict(context), sort_keys=True, separators=(",", ":")).encode()
