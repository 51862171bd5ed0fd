"""The signature algorithms of tokens, each with its own kind of key and its own JWK form.

Straight on `cryptography`, not on PyJWT: a registry of algorithms that the token's header chooses
from is what RFC 8725 (section 3.1) warns of, and PyJWT leaves an ECDSA signature malleable.
HS256 does not exist here, so a public key can never be taken for a shared secret.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from auth import base64url

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
Jwk = Mapping[str, str]

P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P256_BYTES: Final = 32
RSA_BITS: Final = 3072
RSA_EXPONENT: Final = 65537


class Algorithm(Protocol):
    """One way to sign, and the keys that it is done with."""

    def generate(self) -> PrivateKey:
        """Make a key pair."""
        ...

    def to_jwk(self, public: PublicKey) -> Jwk:
        """Write the members of RFC 7638 that make the key what it is."""
        ...

    def from_jwk(self, jwk: Jwk) -> PublicKey:
        """Read a public key; raises ValueError or KeyError for any other kind of key."""
        ...

    def sign(self, private: PrivateKey, message: bytes) -> bytes:
        """Return the JWS signature; raises TypeError for a key of another algorithm."""
        ...

    def verify(self, public: PublicKey, signature: bytes, message: bytes) -> bool:
        """Say whether this is the signature of the message by this key."""
        ...


class ES256:
    """ECDSA on P-256 with SHA-256 (RFC 7518, section 3.4), low S only.

    For each signature (r, s) the pair (r, n - s) verifies too. The minter always emits the lower
    one and the reader takes no other, so nobody can write a second token from a first.
    """

    def generate(self) -> PrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    def to_jwk(self, public: PublicKey) -> Jwk:
        numbers = _elliptic(public).public_numbers()
        x, y = (_unsigned(number, P256_BYTES) for number in (numbers.x, numbers.y))
        return {"crv": "P-256", "kty": "EC", "x": x, "y": y}

    def from_jwk(self, jwk: Jwk) -> PublicKey:
        if (jwk["kty"], jwk["crv"]) != ("EC", "P-256"):
            raise ValueError("not a key of ES256")
        x, y = (int.from_bytes(base64url.decode(jwk[name])) for name in "xy")
        # Refuses a point that is not on the curve (RFC 8725, section 2.4).
        return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()

    def sign(self, private: PrivateKey, message: bytes) -> bytes:
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise TypeError("not a key of ES256")
        r, s = decode_dss_signature(private.sign(message, ec.ECDSA(hashes.SHA256())))
        low = min(s, P256_ORDER - s)
        return r.to_bytes(P256_BYTES) + low.to_bytes(P256_BYTES)

    def verify(self, public: PublicKey, signature: bytes, message: bytes) -> bool:
        # Exactly 64 bytes: a DER signature, or one with leading zeros, is another spelling.
        if not isinstance(public, ec.EllipticCurvePublicKey) or len(signature) != 2 * P256_BYTES:
            return False
        r = int.from_bytes(signature[:P256_BYTES])
        s = int.from_bytes(signature[P256_BYTES:])
        # Zero passed for a signature of anything in several libraries (CVE-2022-21449).
        if not (0 < r < P256_ORDER and 0 < s <= P256_ORDER // 2):
            return False
        try:
            public.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


class RS256:
    """RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518, section 3.3) on keys of exactly 3072 bits."""

    def generate(self) -> PrivateKey:
        return rsa.generate_private_key(public_exponent=RSA_EXPONENT, key_size=RSA_BITS)

    def to_jwk(self, public: PublicKey) -> Jwk:
        numbers = _rivest(public).public_numbers()
        return {
            "e": _unsigned(numbers.e, 3),
            "kty": "RSA",
            "n": _unsigned(numbers.n, RSA_BITS // 8),
        }

    def from_jwk(self, jwk: Jwk) -> PublicKey:
        e, n = (int.from_bytes(base64url.decode(jwk[name])) for name in "en")
        if jwk["kty"] != "RSA" or e != RSA_EXPONENT or n.bit_length() != RSA_BITS:
            raise ValueError("not a key of RS256")
        return rsa.RSAPublicNumbers(e, n).public_key()

    def sign(self, private: PrivateKey, message: bytes) -> bytes:
        if not isinstance(private, rsa.RSAPrivateKey):
            raise TypeError("not a key of RS256")
        return private.sign(message, padding.PKCS1v15(), hashes.SHA256())

    def verify(self, public: PublicKey, signature: bytes, message: bytes) -> bool:
        if not isinstance(public, rsa.RSAPublicKey) or len(signature) != RSA_BITS // 8:
            return False
        try:
            public.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True


ALGORITHMS: Final[Mapping[str, Algorithm]] = MappingProxyType({"ES256": ES256(), "RS256": RS256()})


def thumbprint(jwk: Jwk) -> str:
    """The RFC 7638 thumbprint of a public key: its name, which no other key can have."""
    canonical = json.dumps(dict(jwk), sort_keys=True, separators=(",", ":"))
    return base64url.encode(hashlib.sha256(canonical.encode()).digest())


def _unsigned(number: int, length: int) -> str:
    return base64url.encode(number.to_bytes(length))


def _elliptic(key: PublicKey) -> ec.EllipticCurvePublicKey:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError("not a key of ES256")
    return key


def _rivest(key: PublicKey) -> rsa.RSAPublicKey:
    if not isinstance(key, rsa.RSAPublicKey):
        raise TypeError("not a key of RS256")
    return key
