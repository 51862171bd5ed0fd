"""Password hashes, the gate before them, and which passwords may be chosen."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import argon2
import pytest
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from auth.errors import HashingBusy, PasswordRefused
from auth.gate import LOWEST_PRIORITY, Gate
from auth.password_rules import PasswordRules, generate_password
from auth.passwords import NewPassword, PasswordHasher
from config.settings import Settings
from tests.auth.cast import PASSWORD

OWNER = ("acme", "ada")


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate(threads=1, queue=1)
    yield gate
    gate.close()


def test_password_verifies_and_another_does_not(
    hasher: PasswordHasher, password: NewPassword
) -> None:
    assert hasher.verify(password.hash, PASSWORD)
    assert not hasher.verify(password.hash, PASSWORD + " ")


def test_hash_is_argon2id_with_the_settings_parameters(
    password: NewPassword, settings: Settings
) -> None:
    parameters = argon2.extract_parameters(password.hash)
    assert parameters.type is argon2.Type.ID
    assert parameters.memory_cost == settings.hashing_memory_kib
    assert parameters.time_cost == settings.hashing_passes


def test_same_password_from_another_keyboard_verifies(hasher: PasswordHasher) -> None:
    assert hasher.verify(hasher.hash("caf\u00e9 au lait ｆｕｌｌ"), "cafe\u0301 au lait full")


def test_passwords_that_nobody_can_have_are_wrong_and_not_errors(
    hasher: PasswordHasher, password: NewPassword
) -> None:
    for impossible in ("x" * 10_000_000, "x" * 129, "\ufdfa" * 128):
        assert not hasher.verify(password.hash, impossible)
    assert not hasher.verify(password.hash, "\ud800\x00")


def test_unknown_user_costs_the_work_of_a_known_one(
    hasher: PasswordHasher, password: NewPassword, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = record_work(monkeypatch)
    hasher.verify(password.hash, "wrong")
    hasher.burn("wrong")
    hasher.verify(password.hash, "x" * 129)
    assert len(work) == 3
    assert len(set(work)) == 1


def test_hash_with_other_parameters_is_renewed(
    hasher: PasswordHasher, password: NewPassword, settings: Settings
) -> None:
    stronger = PasswordHasher(replace(settings, hashing_passes=3))
    renewed = stronger.renew(password.hash, PASSWORD)
    assert renewed is not None
    assert stronger.verify(renewed, PASSWORD)
    assert stronger.renew(renewed, PASSWORD) is None
    assert hasher.renew(password.hash, PASSWORD) is None
    stronger.close()


def test_broken_hash_is_an_error_and_not_a_wrong_password(hasher: PasswordHasher) -> None:
    with pytest.raises(argon2.exceptions.VerificationError):
        hasher.verify("$argon2id$broken", PASSWORD)


def test_full_queue_refuses_at_once_and_recovers(gate: Gate) -> None:
    release, started, refused = threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        started.set()
        assert release.wait(30)

    def ask() -> None:
        try:
            gate.run(lambda: None)
        except HashingBusy:
            refused.set()

    holder = threading.Thread(target=gate.run, args=(hold,))
    holder.start()
    assert started.wait(30)
    callers = [threading.Thread(target=ask) for _ in range(2)]
    for caller in callers:
        caller.start()
    assert refused.wait(30)  # one of the two; the other waits in the queue
    release.set()
    for thread in (holder, *callers):
        thread.join()
    assert [gate.run(lambda: 7) for _ in range(20)] == [7] * 20


def test_failing_work_leaves_its_place(gate: Gate) -> None:
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            gate.run(lambda: 1 // 0)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities only on Linux")
def test_hashing_yields_to_everything_else(gate: Gate) -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    inside = gate.run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    assert inside == LOWEST_PRIORITY
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


@pytest.mark.parametrize(
    "chosen",
    [
        "fourteen chars",
        "x" * 15,
        "abababababababab",
        "abcdefghijklmnop",
        "zyxwvutsrqponmlk",
        "123456789012345678",
        "qwertyuiopasdfgh",
        "1qaz2wsx3edc4rfv",
        "passwordpassword",
        "PasswordPassword",
        "password1234567",
        "P@ssw0rd1234567",
        "P@ssw0rdP@ssw0rd",
        "monkey monkey monkey",
        "letmein-letmein!",
        "sallyport-2026-x",
        "acmeacmeacmeacme",
        "ACME-2026-ACME!!",
        "my-ada-ada-ada-1",
        "\ud800 lone surrogate",
        "a quiet harbour" * 9,
        "y" * 10_000_000,
    ],
)
def test_guessable_and_impossible_passwords_are_refused(
    hasher: PasswordHasher, chosen: str
) -> None:
    with pytest.raises(PasswordRefused):
        hasher.check_new_password(chosen, context_words=OWNER)


@pytest.mark.parametrize(
    "chosen",
    [
        "correct horse battery",
        "fifteen  chars.",
        "天地玄黄宇宙洪荒日月盈昃辰宿列",
        "ада любит числа и пары",
        "🐙🦑🐚🐠🐟🐬🐳🐋🦈🐊🐸🦎🐢🐍🦖",
        "dragon4718209351762",
        "lowercase only here",
        "acme has a nice quiet harbour",
    ],
)
def test_long_passwords_of_any_characters_are_accepted(hasher: PasswordHasher, chosen: str) -> None:
    hasher.check_new_password(chosen, context_words=OWNER)


def test_second_factor_allows_eight_characters(hasher: PasswordHasher) -> None:
    hasher.check_new_password("kdogwpqz", has_otp=True)
    for refused in ("kdogwpq", "password", "trustno1", "12345678"):
        with pytest.raises(PasswordRefused):
            hasher.check_new_password(refused, has_otp=True)
    with pytest.raises(PasswordRefused, match="fewer than 15"):
        hasher.check_new_password("kdogwpqz")


def test_length_counts_code_points_of_one_form(hasher: PasswordHasher) -> None:
    decomposed = "e\u0301u\u0308o\u0302a\u0300i\u0302n\u0303c\u0327"
    with pytest.raises(PasswordRefused, match="fewer than 15"):
        hasher.check_new_password(decomposed * 2)  # 28 as sent, 14 as hashed


def test_every_common_password_is_refused(settings: Settings) -> None:
    rules = PasswordRules(settings)
    for common in FREQUENCY_LISTS["passwords"][:2000]:
        for chosen in (common, common.upper(), common * 3):
            if len(chosen) >= 8:
                with pytest.raises(PasswordRefused):
                    rules.check(chosen, has_otp=True, context_words=())


def test_generated_passwords_pass_the_rules_and_read_well(hasher: PasswordHasher) -> None:
    for _ in range(1000):
        text = generate_password()
        hasher.check_new_password(text, context_words=OWNER)
        assert not set(text) & set("ilo01ILO")


def test_generated_passwords_have_96_bits() -> None:
    groups = generate_password().split("-")
    assert 31 ** len("".join(groups)) >= 2**96
    assert len({generate_password() for _ in range(1000)}) == 1000


def test_prepared_password_shows_only_what_was_generated(hasher: PasswordHasher) -> None:
    generated = hasher.prepare(context_words=OWNER)
    assert generated.generated is not None
    assert hasher.verify(generated.hash, generated.generated)
    chosen = hasher.prepare("kdogwpqz", has_otp=True)
    assert chosen.generated is None
    assert chosen.needs_otp
    assert "argon2" not in repr(generated) + repr(chosen)
    assert generated.generated not in repr(generated)


def record_work(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """Every Argon2 verification from here on, by its parameters."""
    work: list[tuple[int, int, int]] = []
    verify = argon2.PasswordHasher.verify

    def spy(self: argon2.PasswordHasher, encoded: str, material: bytes) -> bool:
        used = argon2.extract_parameters(encoded)
        work.append((used.memory_cost, used.time_cost, used.hash_len))
        return bool(verify(self, encoded, material))

    monkeypatch.setattr(argon2.PasswordHasher, "verify", spy)
    return work
