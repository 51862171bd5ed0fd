"""The second factor: enrolled in two steps, each code good for one login."""

from __future__ import annotations

import threading

import pyotp
import pytest
from sqlalchemy import select

from auth.errors import (
    CredentialsWrong,
    NotFound,
    OneTimeCodeWrong,
    PasswordRefused,
    SecondFactorConflict,
)
from auth.login import Proof
from auth.otp import RECOVERY_CODES, Otp
from auth.permissions import Role
from auth.records import RecoveryCodeRow, UserRow
from config.sealing import Sealer
from tests.auth.cast import PASSWORD, Cast
from tests.auth.clock import Clock


class Authenticator:
    """Ada's telephone."""

    def __init__(self, secret: str, clock: Clock) -> None:
        self.totp = pyotp.TOTP(secret)
        self.clock = clock

    def code(self, *, seconds: float = 0) -> str:
        return self.totp.at(int(self.clock() + seconds))


def enrol(cast: Cast, username: str = "ada") -> tuple[Authenticator, tuple[str, ...]]:
    """Enrol a second factor, and wait for the next code."""
    with cast.database.write() as session:
        enrolment = cast.otp.enrol(session, cast[username])
        phone = Authenticator(enrolment.secret, cast.clock)
        codes = cast.otp.confirm(session, cast[username], phone.code())
    cast.clock.advance(30)
    return phone, codes


def prove(cast: Cast, username: str, password: str) -> Proof:
    with cast.database.read() as session:
        candidate = cast.login.lookup_self(session, cast[username])
    return cast.login.verify(candidate, password)


def test_enrolment_gives_what_an_authenticator_app_reads(cast: Cast) -> None:
    with cast.database.write() as session:
        enrolment = cast.otp.enrol(session, cast["ada"])
    parsed = pyotp.parse_uri(enrolment.uri)
    assert isinstance(parsed, pyotp.TOTP)
    assert (parsed.digits, parsed.interval, parsed.digest().name) == (6, 30, "sha1")
    assert (parsed.secret, parsed.issuer) == (enrolment.secret, "Sallyport")
    assert parsed.name == "ada@acme"
    assert enrolment.secret not in repr(enrolment)


def test_unconfirmed_enrolment_asks_for_no_code(cast: Cast) -> None:
    with cast.database.write() as session:
        cast.otp.enrol(session, cast["ada"])
    assert cast.log_in("acme", "ada", PASSWORD) == cast["ada"]
    assert not cast.user("ada").has_otp


def test_confirmed_second_factor_is_asked_for(cast: Cast) -> None:
    phone, _codes = enrol(cast)
    assert cast.user("ada").has_otp
    for code in (None, "", "000000", phone.code(seconds=-90), phone.code(seconds=90), "१२३४५६"):
        with pytest.raises(CredentialsWrong):
            cast.log_in("acme", "ada", PASSWORD, code)
    code = phone.code()
    assert cast.log_in("acme", "ada", PASSWORD, f"{code[:3]} {code[3:]}") == cast["ada"]


def test_code_works_once_and_so_do_the_earlier_ones(cast: Cast) -> None:
    phone, _codes = enrol(cast)
    cast.clock.advance(30)
    cast.log_in("acme", "ada", PASSWORD, phone.code())
    for seconds in (0, -30):
        with pytest.raises(CredentialsWrong):
            cast.log_in("acme", "ada", PASSWORD, phone.code(seconds=seconds))
    assert cast.log_in("acme", "ada", PASSWORD, phone.code(seconds=30))


def test_code_that_confirmed_does_not_log_in(cast: Cast) -> None:
    with cast.database.write() as session:
        enrolment = cast.otp.enrol(session, cast["ada"])
        code = Authenticator(enrolment.secret, cast.clock).code()
        cast.otp.confirm(session, cast["ada"], code)
    with pytest.raises(CredentialsWrong):
        cast.log_in("acme", "ada", PASSWORD, code)


def test_code_with_a_wrong_password_is_not_used_up(cast: Cast) -> None:
    phone, codes = enrol(cast)
    for code in (phone.code(), codes[0]):
        with pytest.raises(CredentialsWrong):
            cast.log_in("acme", "ada", "wrong", code)
        assert cast.log_in("acme", "ada", PASSWORD, code)


def test_each_recovery_code_works_once(cast: Cast) -> None:
    _phone, codes = enrol(cast)
    assert len(set(codes)) == RECOVERY_CODES
    assert cast.log_in("acme", "ada", PASSWORD, codes[3].upper().replace("-", " "))
    with pytest.raises(CredentialsWrong):
        cast.log_in("acme", "ada", PASSWORD, codes[3])
    assert cast.log_in("acme", "ada", PASSWORD, codes[4])


def test_recovery_code_of_somebody_else_is_wrong(cast: Cast) -> None:
    _phone, codes = enrol(cast, "ben")
    enrol(cast, "ada")
    with pytest.raises(CredentialsWrong):
        cast.log_in("acme", "ada", PASSWORD, codes[0])


@pytest.mark.parametrize("kind", ["code", "recovery code"])
def test_one_code_admits_one_of_many_logins_at_once(cast: Cast, kind: str) -> None:
    phone, codes = enrol(cast)
    code = phone.code() if kind == "code" else codes[0]
    proof = prove(cast, "ada", PASSWORD)
    outcomes: list[bool] = []
    together = threading.Barrier(4)

    def admit() -> None:
        together.wait(30)
        try:
            with cast.database.write() as session:
                cast.login.admit(session, proof, code)
        except CredentialsWrong:
            outcomes.append(False)
        else:
            outcomes.append(True)

    threads = [threading.Thread(target=admit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False, False, False, True]


def test_wrong_code_confirms_nothing(cast: Cast) -> None:
    with cast.database.write() as session:
        with pytest.raises(SecondFactorConflict):
            cast.otp.confirm(session, cast["ada"], "000000")
        enrolment = cast.otp.enrol(session, cast["ada"])
        phone = Authenticator(enrolment.secret, cast.clock)
        for code in ("", "x" * 1000, phone.code(seconds=120), "\ud800"):
            with pytest.raises(OneTimeCodeWrong):
                cast.otp.confirm(session, cast["ada"], code)
    assert not cast.user("ada").has_otp


def test_enrolled_factor_is_not_replaced_by_another(cast: Cast) -> None:
    phone, _codes = enrol(cast)
    with cast.database.write() as session:
        with pytest.raises(SecondFactorConflict):
            cast.otp.enrol(session, cast["ada"])
        with pytest.raises(SecondFactorConflict):
            cast.otp.confirm(session, cast["ada"], phone.code())


def test_removal_needs_the_password_and_then_asks_for_no_code(cast: Cast) -> None:
    enrol(cast)
    wrong = prove(cast, "ada", "wrong")
    with cast.database.write() as session, pytest.raises(CredentialsWrong):
        cast.accounts.remove_otp(session, cast["ada"], wrong)
    assert cast.user("ada").has_otp
    right = prove(cast, "ada", PASSWORD)
    with cast.database.write() as session:
        assert not cast.accounts.remove_otp(session, cast["ada"], right).has_otp
    assert cast.log_in("acme", "ada", PASSWORD)
    with cast.database.read() as session:
        assert not session.scalars(select(RecoveryCodeRow)).all()


def test_short_password_is_not_left_without_its_second_factor(cast: Cast) -> None:
    enrol(cast)
    short = cast.hasher.prepare("kdogwpqz", has_otp=True)
    proof = prove(cast, "ada", PASSWORD)
    with cast.database.write() as session:
        cast.accounts.change_password(session, cast["ada"], proof, short)
    proof = prove(cast, "ada", "kdogwpqz")
    assert proof.matched
    with cast.database.write() as session, pytest.raises(PasswordRefused, match="longer one first"):
        cast.accounts.remove_otp(session, cast["ada"], proof)
    assert cast.user("ada").has_otp


def test_short_password_is_refused_where_no_second_factor_is(cast: Cast) -> None:
    short = cast.hasher.prepare("kdogwpqz", has_otp=True)
    proof = prove(cast, "rob", PASSWORD)
    with cast.database.write() as session, pytest.raises(PasswordRefused):
        cast.accounts.change_password(session, cast["rob"], proof, short)
    with cast.database.write() as session, pytest.raises(PasswordRefused):
        cast.accounts.reset_password(session, cast["ada"], "rob", short)
    with cast.database.write() as session, pytest.raises(PasswordRefused):
        cast.accounts.create(session, cast["ada"], "tim", Role.CALLER, password=short)
    enrol(cast, "rob")
    with cast.database.write() as session, pytest.raises(PasswordRefused):
        cast.accounts.reset_password(session, cast["ada"], "rob", short, remove_otp=True)
    assert cast.user("rob").has_otp


def test_secret_is_stored_sealed_to_its_user(cast: Cast) -> None:
    phone, codes = enrol(cast, "ben")
    with cast.database.write() as session:
        ben = session.get_one(UserRow, cast["ben"].principal.id)
        assert ben.otp_secret is not None
        assert phone.totp.secret.encode() not in ben.otp_secret
        digests = set(session.scalars(select(RecoveryCodeRow.digest)))
        assert not digests & set(codes)


def test_resealed_secret_opens_under_the_new_master_key_alone(cast: Cast) -> None:
    phone, _codes = enrol(cast)
    old, new = cast.settings.master_keys[0], bytes(reversed(range(32)))
    with cast.database.write() as session:
        assert Otp(Sealer((new, old))).reseal(session) == 1
    with cast.database.read() as session:
        ada = session.get(UserRow, cast["ada"].principal.id)
        assert Otp(Sealer((new,)), cast.clock).check(session, ada, phone.code()).step is not None


def test_second_factor_belongs_to_users_of_the_scope(cast: Cast) -> None:
    for scope in (cast.operator_in("acme"), cast.operator_in("globex")):
        with cast.database.write() as session, pytest.raises(NotFound):
            cast.otp.enrol(session, scope)
