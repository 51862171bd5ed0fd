"""Users: who may be made, changed and barred by whom, and a login that tells nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import argon2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event
from sqlalchemy.orm import Session

from auth.accounts import Accounts, User
from auth.errors import (
    CredentialsWrong,
    GrantsExceeded,
    LastAdmin,
    NameMalformed,
    NameTaken,
    NotFound,
    RoleRefused,
)
from auth.login import Login, Proof
from auth.names import account_name, lookup_name
from auth.passwords import PasswordHasher
from auth.permissions import Permission, Role, format_scope, grants_of_role, parse_scope
from auth.scope import Scope, own_scope
from config.database import Database
from tests.auth.cast import PASSWORD, Cast
from tests.auth.test_otp import enrol
from tests.auth.test_passwords import record_work

NARROW = parse_scope("predict:linear account")


def test_login_gives_the_principal_with_its_grants(cast: Cast) -> None:
    scope = cast.log_in("acme", "ada", PASSWORD)
    assert str(scope.principal) == "user:ada@acme"
    assert scope.principal.grants == grants_of_role(Role.ADMIN)
    assert scope == cast["ada"]


def test_names_are_found_in_any_spelling(cast: Cast) -> None:
    assert cast.log_in("ACME", "ＡＤＡ", PASSWORD) == cast["ada"]


def test_narrowed_user_has_what_both_role_and_scope_allow(cast: Cast) -> None:
    with cast.database.write() as session:
        cast.accounts.set_grants(session, cast["ada"], "rob", NARROW)
    scope = cast.log_in("acme", "rob", PASSWORD)
    assert format_scope(scope.principal.grants) == "account predict:linear"
    assert scope.allows(Permission.PREDICT, "linear")
    assert not scope.allows(Permission.PREDICT, "forest")
    assert not scope.allows(Permission.MODELS_READ)


@pytest.mark.parametrize("action", ["disable", "suspend"])
def test_barred_accounts_do_not_act_until_they_are_admitted(cast: Cast, action: str) -> None:
    with cast.database.write() as session:
        if action == "disable":
            cast.accounts.disable(session, cast["ada"], "rob")
        else:
            cast.tenants.suspend(session, "acme")
    with pytest.raises(CredentialsWrong):
        cast.log_in("acme", "rob", PASSWORD)
    with cast.database.write() as session:
        assert cast.principals.of(session, cast["rob"].principal.id) is None
        if action == "disable":
            cast.accounts.enable(session, cast["ada"], "rob")
        else:
            cast.tenants.resume(session, "acme")
    assert cast.log_in("acme", "rob", PASSWORD) == cast["rob"]


def test_unknown_subject_has_no_principal(cast: Cast) -> None:
    with cast.database.read() as session:
        for subject in ("", "usr_0", "cli_0", "operator"):
            assert cast.principals.of(session, subject) is None


# Every way to fail, the second factor of Ben included.
FAILURES = [
    ("initech", "ada", PASSWORD, None),
    ("acme", "gail", PASSWORD, None),
    ("acme", "ada", "wrong", None),
    ("acme", "ada", "", None),
    ("acme", "ada", "x" * 5000, None),
    ("acme", "rob", PASSWORD, None),  # disabled
    ("globex", "gail", PASSWORD, None),  # suspended
    ("acme", "ben", PASSWORD, None),
    ("acme", "ben", PASSWORD, "000000"),
    ("acme", "ben", "wrong", "000000"),
    ("acme", "ada", "wrong", "000000"),
    ("", "", "", ""),
    ("a\x00", "\ud800", "\ud800\x00", "\ud800"),
    ("acme", "ada\x00", PASSWORD, None),
    ("acme", "ada" * 10_000, PASSWORD, None),
]


def test_every_failing_login_does_the_same_work_and_says_the_same(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(cast, "ben")
    with cast.database.write() as session:
        cast.accounts.disable(session, cast["ada"], "rob")
        cast.tenants.suspend(session, "globex")
    hashes = record_work(monkeypatch)
    done: set[tuple[object, ...]] = set()
    for failure in FAILURES:
        hashes.clear()
        with (
            recorded_statements(cast.database) as statements,
            pytest.raises(CredentialsWrong) as refusal,
        ):
            cast.log_in(*failure)
        assert len(hashes) == 1
        done.add((hashes[0], tuple(statements), str(refusal.value)))
    assert len(done) == 1


def test_failing_login_of_an_old_hash_costs_the_same_for_a_right_password(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    stronger = PasswordHasher(replace(cast.settings, hashing_passes=3))
    login = Login(stronger, cast.otp)
    made: list[str] = []
    make = argon2.PasswordHasher.hash

    def spy(self: argon2.PasswordHasher, material: bytes) -> str:
        made.append("hash")
        return make(self, material)

    monkeypatch.setattr(argon2.PasswordHasher, "hash", spy)
    with cast.database.read() as session:
        candidate = login.lookup(session, "acme", "ada")
    assert login.verify(candidate, "wrong").renewed_hash is None
    proof = login.verify(candidate, PASSWORD)
    assert len(made) == 2
    with cast.database.write() as session:
        login.admit(session, proof)
    with cast.database.read() as session:
        renewed = login.lookup(session, "acme", "ada")
    assert renewed.password_hash is not None
    assert argon2.extract_parameters(renewed.password_hash).time_cost == 3
    assert login.verify(renewed, PASSWORD).matched
    stronger.close()


def test_password_changed_between_proof_and_admission_does_not_admit(cast: Cast) -> None:
    proof = prove(cast, "rob", PASSWORD)
    with cast.database.write() as session:
        cast.accounts.reset_password(session, cast["ada"], "rob", cast.hasher.prepare())
    with cast.database.write() as session, pytest.raises(CredentialsWrong):
        cast.login.admit(session, proof)


def test_proof_and_candidate_do_not_show_the_hash(cast: Cast) -> None:
    assert "argon2" not in repr(prove(cast, "rob", PASSWORD))


def test_own_password_is_changed_with_the_old_one(cast: Cast) -> None:
    new = cast.hasher.prepare("another quiet harbour")
    for wrong in (prove(cast, "rob", "wrong"), prove(cast, "ben", PASSWORD)):
        with cast.database.write() as session, pytest.raises(CredentialsWrong):
            cast.accounts.change_password(session, cast["rob"], wrong, new)
    proof = prove(cast, "rob", PASSWORD)
    cast.clock.advance(5)
    with cast.database.write() as session:
        user = cast.accounts.change_password(session, cast["rob"], proof, new)
        assert user.password_changed_at == cast.clock()
        with pytest.raises(CredentialsWrong):  # the proof is of a password no longer in force
            cast.accounts.change_password(session, cast["rob"], proof, cast.password)
    assert cast.log_in("acme", "rob", "another quiet harbour") == cast["rob"]
    with pytest.raises(CredentialsWrong):
        cast.log_in("acme", "rob", PASSWORD)


def test_new_user_with_a_generated_password_logs_in(cast: Cast) -> None:
    password = cast.hasher.prepare(context_words=("acme", "tim"))
    with cast.database.write() as session:
        user = cast.accounts.create(
            session, cast["ada"], "Tim", Role.CALLER, password=password, grants=NARROW
        )
    assert (user.username, user.role, user.grants) == ("tim", Role.CALLER, NARROW)
    assert password.generated is not None
    assert cast.log_in("acme", "tim", password.generated).principal.id == user.id


def test_taken_name_is_refused_in_any_spelling(cast: Cast) -> None:
    with cast.database.write() as session, pytest.raises(NameTaken):
        cast.accounts.create(session, cast["ada"], "ＲＯＢ", Role.CALLER, password=cast.password)


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "a b", "a:b", "a\tb", "a\x00", "a\u2028", "-a", "a" * 129, "\ufdfa" * 128),
        *("\u200bada", "ada\ufe0f", "\u3164", "\ud800", "\u202eada"),
    ],
)
def test_malformed_usernames_are_refused_and_absent(cast: Cast, name: str) -> None:
    with cast.database.write() as session:
        with pytest.raises(NameMalformed):
            cast.accounts.create(session, cast["ada"], name, Role.CALLER, password=cast.password)
        with pytest.raises(NotFound):
            cast.accounts.find(session, cast["ada"], name)


@given(st.text(max_size=140))
def test_name_has_one_form_and_keeps_it(text: str) -> None:
    name = lookup_name(text)
    assert lookup_name(name) == name
    if name:
        assert account_name("user", text) == name
        name.encode()
        assert not set(name) & set(" :\x00\n")


@pytest.mark.parametrize(
    ("giver", "role", "allowed"),
    [
        ("ada", Role.OPERATOR, False),
        ("ada", Role.ADMIN, True),
        ("ada", Role.AUDITOR, True),
        ("olga in acme", Role.ADMIN, True),
        ("olga in acme", Role.OPERATOR, False),
        ("olga", Role.OPERATOR, True),
        ("olga", Role.AUDITOR, True),
        ("olga", Role.ADMIN, False),
        ("olga", Role.CALLER, False),
    ],
)
def test_operators_are_only_in_the_platform_tenant(
    cast: Cast, giver: str, role: Role, allowed: bool
) -> None:
    acting = cast.operator_in("acme") if giver == "olga in acme" else cast[giver]
    with cast.database.write() as session:
        if allowed:
            create(cast, session, acting, role)
            return
        with pytest.raises(RoleRefused):
            create(cast, session, acting, role)
        with pytest.raises((RoleRefused, LastAdmin)):
            cast.accounts.set_role(session, acting, next_user(cast, session, acting), role)


def test_narrowing_beyond_the_role_is_refused(cast: Cast) -> None:
    with cast.database.write() as session, pytest.raises(GrantsExceeded, match="caller"):
        cast.accounts.set_grants(session, cast["ada"], "rob", parse_scope("predict users"))


def test_narrowed_admin_gains_nothing_through_others(cast: Cast) -> None:
    """Gus may keep users; he may not make, promote, widen or take over anybody above him."""
    with cast.database.write() as session:
        create(cast, session, cast["ada"], Role.ADMIN, "gus", "users account predict:linear")
        create(cast, session, cast["ada"], Role.CALLER, "tim", "predict:linear")
        gus_id = cast.accounts.find(session, cast["ada"], "gus").id
        principal = cast.principals.of(session, gus_id)
    assert principal is not None
    gus = own_scope(principal)
    with cast.database.write() as session:
        accounts = cast.accounts
        accounts.disable(session, gus, "tim")
        accounts.enable(session, gus, "tim")
        accounts.reset_password(session, gus, "tim", cast.password)
        create(cast, session, gus, Role.CALLER, "tom", "predict:linear")
        refused: list[Callable[[], object]] = [
            lambda: create(cast, session, gus, Role.CALLER, "zoe"),
            lambda: create(cast, session, gus, Role.CALLER, "zoe", "predict"),
            lambda: accounts.set_grants(session, gus, "tim", None),
            lambda: accounts.set_grants(session, gus, "gus", None),
            lambda: accounts.set_role(session, gus, "ada", Role.CALLER),
            lambda: accounts.reset_password(session, gus, "ada", cast.password),
            lambda: accounts.reset_password(session, gus, "rob", cast.password),
            lambda: accounts.disable(session, gus, "rob"),
            lambda: accounts.disable(session, gus, "ada"),
            lambda: accounts.enable(session, gus, "rob"),
        ]
        for act in refused:
            with pytest.raises(GrantsExceeded):
                act()


@pytest.mark.parametrize(("last", "role"), [("ada", Role.DEVELOPER), ("olga", Role.AUDITOR)])
def test_last_admin_stays(cast: Cast, last: str, role: Role) -> None:
    chief = Role(cast.user(last).role)
    with cast.database.write() as session:
        create(cast, session, cast[last], chief, "narrow", "account")
        create(cast, session, cast[last], chief, "barred")
        cast.accounts.disable(session, cast[last], "barred")
        losing: list[Callable[[], User]] = [
            lambda: cast.accounts.disable(session, cast[last], last),
            lambda: cast.accounts.set_role(session, cast[last], last, role),
            lambda: cast.accounts.set_grants(session, cast[last], last, parse_scope("account")),
        ]
        for lose in losing:
            with pytest.raises(LastAdmin, match=last):
                lose()
        assert cast.accounts.set_role(session, cast[last], last, chief).role == chief
        cast.accounts.enable(session, cast[last], "barred")
        assert cast.accounts.disable(session, cast[last], last).state == "disabled"


def test_two_admins_who_bar_each_other_at_once_do_not_both_succeed(cast: Cast) -> None:
    with cast.database.write() as session:
        cast.accounts.set_role(session, cast["ada"], "ben", Role.ADMIN)
    together = threading.Barrier(2)
    outcomes: list[str] = []

    def bar(username: str) -> None:
        together.wait(30)
        try:
            with cast.database.write() as session:
                outcomes.append(cast.accounts.disable(session, cast["ada"], username).state)
        except LastAdmin:
            outcomes.append("last admin")

    threads = [threading.Thread(target=bar, args=(name,)) for name in ("ada", "ben")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["disabled", "last admin"]


def test_users_are_listed_in_pages(cast: Cast) -> None:
    with cast.database.read() as session:
        first = cast.accounts.list(session, cast["ada"], limit=2)
        rest = cast.accounts.list(session, cast["ada"], after=first.next, limit=2)
    assert [user.username for user in first.items] == ["ada", "ben"]
    assert [user.username for user in rest.items] == ["rob"]
    assert rest.next is None


REACHES: dict[str, Callable[[Accounts, Session, Scope, str, Cast], object]] = {
    "find": lambda a, s, scope, name, cast: a.find(s, scope, name),
    "disable": lambda a, s, scope, name, cast: a.disable(s, scope, name),
    "enable": lambda a, s, scope, name, cast: a.enable(s, scope, name),
    "set_role": lambda a, s, scope, name, cast: a.set_role(s, scope, name, Role.CALLER),
    "set_grants": lambda a, s, scope, name, cast: a.set_grants(s, scope, name, None),
    "reset_password": lambda a, s, scope, name, cast: a.reset_password(
        s, scope, name, cast.password
    ),
}


@pytest.mark.parametrize("method", REACHES)
def test_other_tenants_users_are_absent(cast: Cast, method: str) -> None:
    before = cast.user("rob")
    for acting in (cast["gail"], cast.operator_in("globex")):
        with cast.database.write() as session:
            answers = set()
            for name in ("rob", "nobody"):
                with pytest.raises(NotFound) as absent:
                    REACHES[method](cast.accounts, session, acting, name, cast)
                answers.add(str(absent.value).replace(name, "?"))
            assert len(answers) == 1
    assert cast.user("rob") == before


def test_every_method_on_users_is_held_to_its_tenant() -> None:
    methods = {name for name in vars(Accounts) if not name.startswith("_")}
    own = {"create", "list", "change_password", "remove_otp"}  # reach no user by name
    assert methods - own == set(REACHES)


def test_other_tenants_user_of_the_same_name_is_untouched(cast: Cast) -> None:
    with cast.database.write() as session:
        create(cast, session, cast["gail"], Role.CALLER, "rob")
        cast.accounts.disable(session, cast["gail"], "rob")
        listed = cast.accounts.list(session, cast["gail"]).items
        assert [user.username for user in listed] == ["gail", "rob"]
    assert cast.user("rob").state == "active"
    assert cast.log_in("acme", "rob", PASSWORD) == cast["rob"]


def test_password_proved_in_one_tenant_changes_nothing_in_another(cast: Cast) -> None:
    proof = prove(cast, "ada", PASSWORD)
    scope = replace(cast["ada"], tenant_id=cast["gail"].tenant_id, tenant="globex")
    with cast.database.write() as session, pytest.raises(NotFound):
        cast.accounts.change_password(session, scope, proof, cast.password)
    with cast.database.read() as session:
        assert cast.login.lookup_self(session, scope).user_id is None


def create(
    cast: Cast,
    session: Session,
    acting: Scope,
    role: Role,
    name: str = "newcomer",
    scope: str | None = None,
) -> User:
    grants = None if scope is None else parse_scope(scope)
    return cast.accounts.create(session, acting, name, role, password=cast.password, grants=grants)


def next_user(cast: Cast, session: Session, acting: Scope) -> str:
    return cast.accounts.list(session, acting).items[-1].username


def prove(cast: Cast, username: str, password: str) -> Proof:
    with cast.database.read() as session:
        candidate = cast.login.lookup(session, cast[username].tenant, username)
    return cast.login.verify(candidate, password)


@contextmanager
def recorded_statements(database: Database) -> Iterator[list[str]]:
    """The statements executed inside the block."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
