"""Which passwords may be chosen, after NIST SP 800-63B: length and a blocklist, no composition.

Only the frequency list of zxcvbn is used. Its estimator takes seconds for some inputs of 72
characters, with the interpreter lock held, and keeps the words of one call in a global.
"""

from __future__ import annotations

import re
import secrets
from functools import cached_property
from importlib import import_module
from itertools import pairwise
from typing import Final

from auth.errors import PasswordRefused
from config.settings import Settings

MAX_LENGTH: Final = 128
LEAST_WITH_OTP: Final = 8
LEAST_DISTINCT: Final = 5
PRODUCT: Final = "sallyport"

ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # without i, l, o, 0 and 1
GROUPS: Final = 4
GROUP_LENGTH: Final = 5

# Alphabet, digits, and the rows and columns of a keyboard.
WALKS: Final = (
    "abcdefghijklmnopqrstuvwxyza",
    "012345678901",
    "1234567890-=",
    "qwertyuiop[]asdfghjkl;'zxcvbnm,./",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
)
_TAIL: Final = "0123456789 !?.,;:-_*#$@&+=/"
_SEPARATORS: Final = re.compile(r"[\W_]+")
_LOOKALIKES: Final = str.maketrans("@4310$57!", "aaelosstl")


def generate_password() -> str:
    """A password of 99 random bits that can be read aloud: four groups of five characters."""
    groups = ("".join(map(secrets.choice, [ALPHABET] * GROUP_LENGTH)) for _ in range(GROUPS))
    return "-".join(groups)


class PasswordRules:
    """Decides on a chosen password; all lengths are counted in code points."""

    def __init__(self, settings: Settings) -> None:
        self._least = settings.password_min_length

    def least(self, *, has_otp: bool) -> int:
        """The least length, shorter where a second factor is confirmed."""
        return LEAST_WITH_OTP if has_otp else self._least

    def check(self, password: str, *, has_otp: bool, context_words: tuple[str, ...]) -> None:
        """Raise PasswordRefused with the reason; `context_words` name the owner."""
        least = self.least(has_otp=has_otp)
        if len(password) < least:
            raise PasswordRefused(f"it has fewer than {least} characters")
        if len(password) > MAX_LENGTH:
            raise PasswordRefused(f"it has more than {MAX_LENGTH} characters")
        if any("\ud800" <= character <= "\udfff" for character in password):
            raise PasswordRefused("it is not Unicode text")
        self._check_guessable(password.casefold(), (*context_words, PRODUCT))

    def _check_guessable(self, password: str, context_words: tuple[str, ...]) -> None:
        if _is_walk(password):
            raise PasswordRefused("it repeats or counts up characters, or follows the keyboard")
        for word in context_words:
            if _is_mainly(password, word.casefold()):
                raise PasswordRefused(f"it is little more than the name {word!r}")
        if self._is_common(password):
            raise PasswordRefused("it is one of the most common passwords, or hardly differs")

    def _is_common(self, password: str) -> bool:
        stripped = password.strip(_TAIL)
        for form in (password, stripped, stripped.translate(_LOOKALIKES)):
            word = _repeated_unit(_SEPARATORS.sub("", form))
            if word in self._common and 2 * len(form) >= len(password):
                return True
        return False

    @cached_property
    def _common(self) -> frozenset[str]:
        # Opened on the first choice of a password: the package takes 50 ms to import.
        lists = import_module("zxcvbn.frequency_lists").FREQUENCY_LISTS
        return frozenset(word.casefold() for word in lists["passwords"])


def _repeated_unit(text: str) -> str:
    """The shortest text whose repetition gives `text`, which is often `text` itself."""
    period = (text + text).find(text, 1)
    return text[:period]


def _is_mainly(password: str, word: str) -> bool:
    """Say whether the occurrences of the word are at least half of the password."""
    return len(word) > 1 and 2 * len(word) * password.count(word) >= len(password)


def _is_walk(password: str) -> bool:
    """Say whether most characters follow from the one before."""
    if len(set(password)) < LEAST_DISTINCT:
        return True
    pairs = [first + second for first, second in pairwise(password)]
    foreseen = sum(pair[0] == pair[1] or _neighbours(pair) for pair in pairs)
    return 4 * foreseen >= 3 * len(pairs)


def _neighbours(pair: str) -> bool:
    return any(pair in walk or pair[::-1] in walk for walk in WALKS)
