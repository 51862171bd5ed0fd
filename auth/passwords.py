"""Password hashes: Argon2id behind a gate, and the same work for a user who does not exist."""

from __future__ import annotations

import base64
import os
import unicodedata
from dataclasses import dataclass, field
from typing import Final

import argon2
from argon2.exceptions import VerifyMismatchError

from auth.gate import Gate
from auth.password_rules import MAX_LENGTH, PasswordRules, generate_password
from config.settings import Settings

SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
LANES: Final = 1
RAW_LENGTH: Final = 4 * MAX_LENGTH  # nothing longer is even normalised


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A password ready to be stored: its hash, and its text if it was generated here."""

    hash: str = field(repr=False)
    generated: str | None = field(default=None, repr=False)
    needs_otp: bool = False  # it is long enough only beside a second factor


class PasswordHasher:
    """Hashes and verifies passwords. Each call takes tens of milliseconds: hold no transaction."""

    def __init__(self, settings: Settings) -> None:
        self._argon2 = argon2.PasswordHasher(
            time_cost=settings.hashing_passes,
            memory_cost=settings.hashing_memory_kib,
            parallelism=LANES,
            hash_len=HASH_BYTES,
            salt_len=SALT_BYTES,
            type=argon2.Type.ID,
        )
        self._gate = Gate(threads=settings.hashing_parallel, queue=settings.hashing_queue)
        self._rules = PasswordRules(settings)
        self._decoy = _decoy(settings)

    def prepare(
        self,
        password: str | None = None,
        *,
        has_otp: bool = False,
        context_words: tuple[str, ...] = (),
    ) -> NewPassword:
        """Check and hash a chosen password, or generate one; raises PasswordRefused."""
        if password is None:
            text = generate_password()
            return NewPassword(self.hash(text), text)
        self.check_new_password(password, has_otp=has_otp, context_words=context_words)
        return NewPassword(self.hash(password), needs_otp=not self.is_long_alone(password))

    def check_new_password(
        self, password: str, *, has_otp: bool = False, context_words: tuple[str, ...] = ()
    ) -> None:
        """Raise PasswordRefused, with the reason, for a password that may not be chosen."""
        # One that is too long for `verify` to normalise is too long for the rules as it is.
        text = password if len(password) > RAW_LENGTH else _canonical(password)
        self._rules.check(text, has_otp=has_otp, context_words=context_words)

    def is_long_alone(self, password: str) -> bool:
        """Say whether the password is long enough without a second factor."""
        text = "" if len(password) > RAW_LENGTH else _canonical(password)
        return len(text) >= self._rules.least(has_otp=False)

    def hash(self, password: str) -> str:
        """Hash with a new salt; the text carries its own parameters (PHC string format)."""
        material = _material(password)
        if material is None:
            raise ValueError("only a password that the rules accept is hashed")
        return self._gate.run(lambda: self._argon2.hash(material))

    def verify(self, encoded: str, password: str) -> bool:
        """Say whether the password is the one hashed; an impossible one costs the same work."""
        material = _material(password)
        if material is None:
            encoded, material = self._decoy, b""
        return self._gate.run(lambda: self._matches(encoded, material))

    def burn(self, password: str) -> None:
        """Do the work of one verification for a user who does not exist."""
        self.verify(self._decoy, password)

    def needs_rehash(self, encoded: str) -> bool:
        """Say whether the hash was made with other parameters than the settings'."""
        return self._argon2.check_needs_rehash(encoded)

    def renew(self, encoded: str, password: str) -> str | None:
        """A hash with the settings' parameters, or None where the old one has them already."""
        if not self.needs_rehash(encoded) or _material(password) is None:
            return None
        return self.hash(password)

    def close(self) -> None:
        """End the hashing threads."""
        self._gate.close()

    def _matches(self, encoded: str, material: bytes) -> bool:
        try:
            return self._argon2.verify(encoded, material)
        except VerifyMismatchError:
            return False  # a broken hash or a lack of memory is an error, not a wrong password


def _decoy(settings: Settings) -> str:
    """A hash of nothing: random bytes in the form of a hash with the settings' parameters."""
    salt, digest = (
        base64.b64encode(os.urandom(size)).rstrip(b"=").decode()
        for size in (SALT_BYTES, HASH_BYTES)
    )
    cost = f"m={settings.hashing_memory_kib},t={settings.hashing_passes},p={LANES}"
    return f"$argon2id$v=19${cost}${salt}${digest}"


def _material(password: str) -> bytes | None:
    """The bytes to hash, or None for what no stored password can be."""
    if len(password) > RAW_LENGTH:
        return None
    text = _canonical(password)
    return text.encode("utf-8", "surrogatepass") if len(text) <= MAX_LENGTH else None


def _canonical(password: str) -> str:
    """One form for the same password typed on different systems (SP 800-63B: NFKC)."""
    return unicodedata.normalize("NFKC", password)
