"""The private halves of signing keys at rest: sealed to what the key is, then destroyed."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import cast

from cryptography.hazmat.primitives import serialization

from auth.algorithms import ALGORITHMS, PrivateKey, PublicKey, thumbprint
from auth.errors import KeyUnusable
from auth.records import SigningKeyRow
from config.errors import SealBroken
from config.sealing import Sealer


class KeyVault:
    """Makes, opens and seals again the keys of one issuer."""

    def __init__(self, sealer: Sealer, issuer: str) -> None:
        self._sealer = sealer
        self._issuer = issuer

    def make(
        self, *, purpose: str, algorithm: str, created_at: float, signs_from: float
    ) -> SigningKeyRow:
        """Return a fresh key in the state `next`."""
        private = ALGORITHMS[algorithm].generate()
        jwk = ALGORITHMS[algorithm].to_jwk(private.public_key())
        row = SigningKeyRow(
            kid=thumbprint(jwk),
            purpose=purpose,
            algorithm=algorithm,
            state="next",
            public_jwk=json.dumps(dict(jwk)),
            created_at=created_at,
            signs_from=signs_from,
        )
        row.private_sealed = self._sealer.seal(_der(private), self._context(row))
        return row

    def open(self, row: SigningKeyRow) -> PrivateKey:
        """Return the private half; raises KeyUnusable unless it is the one the name says."""
        private = cast(
            "PrivateKey", serialization.load_der_private_key(self._unseal(row), password=None)
        )
        if thumbprint(ALGORITHMS[row.algorithm].to_jwk(private.public_key())) != row.kid:
            raise KeyUnusable(row.kid, "is another key than its name says")
        return private

    def reseal(self, row: SigningKeyRow) -> None:
        """Seal the private half again under the first master key."""
        row.private_sealed = self._sealer.seal(self._unseal(row), self._context(row))

    def _unseal(self, row: SigningKeyRow) -> bytes:
        try:
            return self._sealer.open(row.private_sealed or b"", self._context(row))
        except SealBroken as error:
            raise KeyUnusable(row.kid, "cannot be opened") from error

    def _context(self, row: SigningKeyRow) -> dict[str, str]:
        # A sealed key moved to another row, algorithm, purpose or installation does not open.
        return {
            "kid": row.kid,
            "alg": row.algorithm,
            "purpose": row.purpose,
            "issuer": self._issuer,
        }


def public_half(row: SigningKeyRow) -> PublicKey:
    """Read the public half; raises KeyUnusable unless it is the one the name says."""
    with suppress(ValueError, KeyError, TypeError):
        jwk = json.loads(row.public_jwk)
        if thumbprint(jwk) == row.kid:
            return ALGORITHMS[row.algorithm].from_jwk(jwk)
    raise KeyUnusable(row.kid, "is another key than its name says")


def published_form(row: SigningKeyRow) -> dict[str, str]:
    """The key's member of a JWK set."""
    return {"kid": row.kid, "alg": row.algorithm, "use": "sig", **json.loads(row.public_jwk)}


def _der(private: PrivateKey) -> bytes:
    return private.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),  # sealed at once; never written like this
    )
