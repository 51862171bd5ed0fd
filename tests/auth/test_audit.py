from __future__ import annotations

import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest
from sqlalchemy import LargeBinary, Text, cast, delete, func, literal, select, update

from auth import audit
from auth.audit import HEAD, KEY, START, AuditTrail, Head
from auth.audit_details import clean
from auth.errors import AuditBroken, AuditDetailRefused, AuditHeadMalformed, PermissionMissing
from auth.permissions import Role, grants_of_role
from auth.records import AuditRow, SealedSecretRow
from auth.scope import Principal, Scope, own_scope
from auth.secrets import PlatformSecrets
from config.database import Database
from config.sealing import Sealer
from tests.auth.clock import Clock

ACME, GLOBEX, PLATFORM = "ten_acme", "ten_globex", "ten_platform"
COLUMNS: Final = [column.name for column in AuditRow.__table__.columns]


@pytest.fixture
def trail(sealer: Sealer, clock: Clock) -> AuditTrail:
    return AuditTrail(PlatformSecrets(sealer), clock)


def member(tenant_id: str, role: Role) -> Scope:
    return own_scope(
        Principal("user", "usr_1", "someone", tenant_id, tenant_id, grants_of_role(role))
    )


def append(
    database: Database, trail: AuditTrail, number: int, tenant_id: str | None = ACME
) -> None:
    with database.write() as session:
        trail.append(
            session,
            actor="user:ada@acme",
            tenant_id=tenant_id,
            action="users.create",
            subject=f"rob-{number}",
            details={"role": "caller", "number": number},
        )


def fill(database: Database, trail: AuditTrail, count: int = 5) -> Head:
    for number in range(1, count + 1):
        append(database, trail, number)
    return verify(database, trail)


def verify(database: Database, trail: AuditTrail, head: Head | None = None) -> Head:
    with database.read() as session:
        return trail.verify(session, head)


def broken_at(database: Database, trail: AuditTrail, head: Head | None = None) -> int:
    with pytest.raises(AuditBroken) as broken:
        verify(database, trail, head)
    return broken.value.sequence


def test_records_are_numbered_without_gaps_and_verify(
    database: Database, trail: AuditTrail
) -> None:
    assert fill(database, trail, 5).count == 5
    with database.read() as session:
        assert session.scalars(select(AuditRow.sequence)).all() == [1, 2, 3, 4, 5]
        assert trail.head(session) == verify(database, trail)


def test_empty_trail_verifies(database: Database, trail: AuditTrail) -> None:
    assert verify(database, trail) == START


def test_record_says_who_did_what_to_whom_when_and_how_it_ended(
    database: Database, trail: AuditTrail, clock: Clock
) -> None:
    append(database, trail, 7)
    with database.read() as session:
        (record,) = trail.list(session, member(ACME, Role.AUDITOR))
    assert (record.sequence, record.at, record.tenant_id) == (1, clock(), ACME)
    assert (record.actor, record.action, record.subject) == (
        "user:ada@acme",
        "users.create",
        "rob-7",
    )
    assert (record.outcome, record.details) == ("done", {"role": "caller", "number": 7})


def test_record_is_lost_with_the_transaction_that_it_belongs_to(
    database: Database, trail: AuditTrail
) -> None:
    fill(database, trail, 2)
    with database.write() as session:
        trail.append(session, actor="a", tenant_id=ACME, action="x", subject="y")
        session.rollback()
    append(database, trail, 3)
    assert verify(database, trail).count == 3


def test_forty_appends_at_once_make_one_chain(database: Database, trail: AuditTrail) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: append(database, trail, number), range(40)))
    assert verify(database, trail).count == 40


def test_verification_while_records_are_appended_finds_nothing_broken(
    database: Database, trail: AuditTrail
) -> None:
    fill(database, trail, 3)

    def append_many() -> None:
        for number in range(30):
            append(database, trail, number)

    with ThreadPoolExecutor(1) as pool:
        appending = pool.submit(append_many)
        counts = [verify(database, trail).count]
        while not appending.done():
            counts.append(verify(database, trail).count)
        appending.result()
    assert counts == sorted(counts)
    assert verify(database, trail).count == 33


def test_every_column_is_covered(database: Database, trail: AuditTrail) -> None:
    altered: dict[str, Any] = {
        "sequence": 30,
        "at": 1_800_000_000.0000002,
        "tenant_id": GLOBEX,
        "actor": "user:bob@acme",
        "action": "users.delete",
        "subject": "rob-4",
        "outcome": "refused",
        "details": '{"number": 3, "role": "admin"}',
        "link": "0" * 64,
    }
    assert sorted(altered) == sorted(COLUMNS)
    fill(database, trail)
    for column, value in altered.items():
        with database.write() as session:
            before = session.scalar(select(getattr(AuditRow, column)).where(AuditRow.sequence == 3))
            session.execute(update(AuditRow).where(AuditRow.sequence == 3).values({column: value}))
        assert broken_at(database, trail) == 3, column
        with database.write() as session:
            here = AuditRow.sequence == (30 if column == "sequence" else 3)
            session.execute(update(AuditRow).where(here).values({column: before}))
        verify(database, trail)


def test_absent_tenant_is_not_an_empty_one(database: Database, trail: AuditTrail) -> None:
    append(database, trail, 1, None)
    with database.write() as session:
        session.execute(update(AuditRow).values(tenant_id=""))
    assert broken_at(database, trail) == 1


def test_text_moved_across_a_column_border_shows(database: Database, trail: AuditTrail) -> None:
    append(database, trail, 1)
    with database.write() as session:
        session.execute(update(AuditRow).values(actor="user:ada@acmeusers", action=".create"))
    assert broken_at(database, trail) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("column", [name for name in COLUMNS if name != "sequence"])
def test_every_single_bit_of_a_record_is_covered(
    database: Database, trail: AuditTrail, column: str
) -> None:
    fill(database, trail, 3)
    with database.write() as session:
        stored: Any = session.scalar(
            select(getattr(AuditRow, column)).where(AuditRow.sequence == 2)
        )
    for value in flips_of_number(stored) if column == "at" else flips_of_text(stored):
        with database.write() as session:
            session.execute(update(AuditRow).where(AuditRow.sequence == 2).values({column: value}))
            with pytest.raises(AuditBroken) as broken:
                trail.verify(session)
            assert broken.value.sequence == 2
            session.rollback()
    verify(database, trail)


def flips_of_text(stored: str) -> list[Any]:
    data = stored.encode()
    flipped = [
        data[:position] + bytes([data[position] ^ (1 << bit)]) + data[position + 1 :]
        for position in range(len(data))
        for bit in range(8)
    ]
    same_bytes_of_another_type = literal(data, LargeBinary)
    return [cast(literal(value, LargeBinary), Text) for value in flipped] + [
        same_bytes_of_another_type
    ]


def flips_of_number(stored: float) -> list[Any]:
    bits = int.from_bytes(struct.pack(">d", stored))
    return [struct.unpack(">d", (bits ^ (1 << bit)).to_bytes(8))[0] for bit in range(64)]


def remove(*sequences: int) -> Callable[[Any], None]:
    return lambda session: session.execute(delete(AuditRow).where(AuditRow.sequence.in_(sequences)))


def renumber(*pairs: tuple[int, int]) -> Callable[[Any], None]:
    def act(session: Any) -> None:
        for old, new in pairs:
            session.execute(update(AuditRow).where(AuditRow.sequence == old).values(sequence=new))

    return act


def insert(sequence: int) -> Callable[[Any], None]:
    def act(session: Any) -> None:
        row = session.get(AuditRow, 2)
        values = {name: getattr(row, name) for name in COLUMNS} | {"sequence": sequence}
        session.add(AuditRow(**values))
        session.flush()

    return act


@pytest.mark.parametrize(
    ("tamper", "sequence"),
    [
        (remove(1), 1),
        (remove(3), 3),
        (remove(5), 5),
        (remove(4, 5), 4),
        (remove(1, 2, 3, 4, 5), 1),
        (renumber((2, 20), (3, 2), (20, 3)), 2),
        (renumber((4, 40), (5, 4), (40, 5)), 4),
        (lambda s: (remove(3)(s), renumber((4, 3), (5, 4))(s)), 3),
        (lambda s: (renumber((5, 6), (4, 5), (3, 4))(s), insert(3)(s)), 3),
        (insert(6), 6),
        (insert(0), 6),
        (insert(-1), 6),
        (insert(1000), 6),
    ],
    ids=[
        "the first deleted",
        "the middle deleted",
        "the last deleted",
        "the tail cut off",
        "all deleted",
        "two exchanged",
        "the last two exchanged",
        "deleted and closed up",
        "inserted in the middle",
        "added at the end",
        "added at the start",
        "added before the start",
        "added far behind",
    ],
)
def test_chain_that_was_tampered_with_breaks(
    database: Database, trail: AuditTrail, tamper: Callable[[Any], None], sequence: int
) -> None:
    fill(database, trail)
    with database.write() as session:
        tamper(session)
    assert broken_at(database, trail) == sequence


@pytest.mark.parametrize("name", [HEAD, KEY])
def test_sealed_head_and_key_cannot_be_altered_or_removed(
    database: Database, trail: AuditTrail, name: str
) -> None:
    fill(database, trail)
    with database.write() as session:
        row = session.get_one(SealedSecretRow, name)
        sealed = row.sealed
        row.sealed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    broken_at(database, trail)
    with database.write() as session:
        session.execute(delete(SealedSecretRow).where(SealedSecretRow.name == name))
    assert broken_at(database, trail) == 1


def test_head_of_an_older_time_does_not_fit_a_longer_chain(
    database: Database, trail: AuditTrail
) -> None:
    fill(database, trail, 2)
    with database.read() as session:
        older = session.get_one(SealedSecretRow, HEAD).sealed
    append(database, trail, 3)
    with database.write() as session:
        session.get_one(SealedSecretRow, HEAD).sealed = older
    assert broken_at(database, trail) == 3
    with pytest.raises(AuditBroken, match="exists"):
        append(database, trail, 4)


def test_whole_store_put_back_shows_only_against_a_head_noted_outside(
    database: Database, trail: AuditTrail
) -> None:
    fill(database, trail, 2)
    with database.read() as session:
        older = session.get_one(SealedSecretRow, HEAD).sealed
    append(database, trail, 3)
    noted = Head.parse(str(verify(database, trail)))
    with database.write() as session:
        remove(3)(session)
        session.get_one(SealedSecretRow, HEAD).sealed = older
    assert verify(database, trail).count == 2  # the limit that the module states
    assert broken_at(database, trail, noted) == 3
    append(database, trail, 4)  # another history of the same length
    assert broken_at(database, trail, noted) == 3


def test_record_of_another_history_does_not_fit_into_this_one(
    database: Database, trail: AuditTrail
) -> None:
    fill(database, trail, 2)
    with database.write() as session:  # a genuine third record, of a history that is given up
        trail.append(session, actor="user:ada@acme", tenant_id=ACME, action="x", subject="y")
        third = session.get_one(AuditRow, 3)
        values = {name: getattr(third, name) for name in COLUMNS}
        head = session.get_one(SealedSecretRow, HEAD).sealed
        session.rollback()
    append(database, trail, 3)
    with database.write() as session:
        after = session.get_one(SealedSecretRow, HEAD).sealed
        session.get_one(SealedSecretRow, HEAD).sealed = head
    assert broken_at(database, trail) == 3
    with database.write() as session:
        session.get_one(SealedSecretRow, HEAD).sealed = after
    append(database, trail, 4)
    with database.write() as session:
        session.execute(update(AuditRow).where(AuditRow.sequence == 3).values(values))
    assert broken_at(database, trail) == 4


def test_head_noted_earlier_is_still_in_a_chain_that_grew(
    database: Database, trail: AuditTrail
) -> None:
    noted = fill(database, trail, 2)
    for number in range(3):
        append(database, trail, number)
    assert verify(database, trail, noted).count == 5
    assert verify(database, trail, START).count == 5


def test_chain_cannot_be_written_anew_without_the_key(
    database: Database, trail: AuditTrail
) -> None:
    fill(database, trail)
    with database.write() as session:
        for row in session.scalars(select(AuditRow).order_by(AuditRow.sequence)):
            row.actor = "user:mallory@acme"
            row.link = audit._link(b"", START.link, row)
    assert broken_at(database, trail) == 1


def test_trail_stays_whole_over_a_new_master_key(
    database: Database, trail: AuditTrail, settings: Any, clock: Clock
) -> None:
    fill(database, trail, 2)
    new = bytes(32)
    with database.write() as session:
        PlatformSecrets(Sealer((new, *settings.master_keys))).reseal(session)
    renewed = AuditTrail(PlatformSecrets(Sealer((new,))), clock)
    append(database, renewed, 3)
    assert verify(database, renewed).count == 3
    broken_at(database, trail)


def test_long_chain_is_verified_in_batches_that_report_progress(
    database: Database, trail: AuditTrail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "BATCH", 4)
    fill(database, trail, 10)
    seen: list[tuple[int, int]] = []
    with database.read() as session:
        trail.verify(session, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(4, 10), (8, 10), (10, 10)]
    with database.write() as session:
        remove(9)(session)
    assert broken_at(database, trail) == 9


def test_member_lists_the_own_tenant_only(database: Database, trail: AuditTrail) -> None:
    for number, tenant_id in enumerate([ACME, GLOBEX, None, ACME, PLATFORM]):
        append(database, trail, number, tenant_id)
    with database.read() as session:
        records = trail.list(session, member(ACME, Role.AUDITOR))
        assert [record.sequence for record in records] == [4, 1]
        with pytest.raises(PermissionMissing, match="tenants"):
            trail.list(session, member(ACME, Role.ADMIN), every_tenant=True)
        with pytest.raises(PermissionMissing, match="audit"):
            trail.list(session, member(ACME, Role.DEVELOPER))


def test_operator_lists_every_tenant_or_one(database: Database, trail: AuditTrail) -> None:
    for number, tenant_id in enumerate([ACME, GLOBEX, None]):
        append(database, trail, number, tenant_id)
    operator = member(PLATFORM, Role.OPERATOR)
    with database.read() as session:
        assert len(trail.list(session, operator, every_tenant=True)) == 3
        (record,) = trail.list(session, operator.within(GLOBEX, "globex"))
    assert record.tenant_id == GLOBEX


def test_pages_join_without_gap_or_overlap(database: Database, trail: AuditTrail) -> None:
    for number in range(7):
        append(database, trail, number, ACME if number % 2 else GLOBEX)
    operator, seen, before = member(PLATFORM, Role.OPERATOR), list[int](), None
    with database.read() as session:
        while page := trail.list(session, operator, every_tenant=True, before=before, limit=3):
            seen += [record.sequence for record in page]
            before = page[-1].sequence
    assert seen == [7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize("limit", [0, -1])
def test_no_limit_means_no_records(database: Database, trail: AuditTrail, limit: int) -> None:
    append(database, trail, 1)
    with database.read() as session:
        assert trail.list(session, member(ACME, Role.AUDITOR), limit=limit) == ()


@pytest.mark.parametrize(
    "details",
    [
        {"password": "x"},
        {"new_password": "x"},
        {"clientSecret": "x"},
        {"client-secret": "x"},
        {"ACCESS_TOKEN": "x"},
        {"otp": "123456"},
        {"otp_code": "123456"},
        {"totp": "x"},
        {"api_key": "x"},
        {"private_key": "x"},
        {"Authorization": "x"},
        {"set-cookie": "x"},
        {"before": {"secret": "x"}},
        {"changes": [{"name": "x"}, {"token": "x"}]},
        {"note": "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"},
        {"note": "-----BEGIN PRIVATE KEY-----"},
        {"note": ["$argon2id$v=19$m=19456"]},
    ],
    ids=str,
)
def test_secret_is_never_recorded(
    database: Database, trail: AuditTrail, details: dict[str, Any]
) -> None:
    with database.write() as session, pytest.raises(AuditDetailRefused, match="identifier"):
        trail.append(session, actor="a", tenant_id=ACME, action="x", subject="y", details=details)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(AuditRow)) == 0


def test_ordinary_details_are_recorded(database: Database, trail: AuditTrail) -> None:
    details = {"kid": "x", "jti": "tok_1", "hotpath": 1, "changed": ["role"], "limits": {"n": 1.5}}
    with database.write() as session:
        record = trail.append(
            session, actor="a", tenant_id=ACME, action="x", subject="y", details=details
        )
    assert record.details == details
    verify(database, trail)


@pytest.mark.parametrize(
    "name", ["x" * 500, "a\0b", "line\nbreak", "\ud800", "\x1b[2Jgone", "\u202egnp.exe"]
)
def test_name_that_no_store_or_terminal_takes_is_recorded_legibly(
    database: Database, trail: AuditTrail, name: str
) -> None:
    with database.write() as session:
        trail.append(session, actor=name, tenant_id=None, action="login", subject=name)
    verify(database, trail)
    shown = clean(name)
    assert len(shown) <= 255
    assert shown.isprintable()
    assert clean(name + "x") != shown


def test_ordinary_name_is_recorded_as_it_is() -> None:
    assert clean("user:Zoë Ångström@acme") == "user:Zoë Ångström@acme"


@pytest.mark.parametrize(
    "noted", ["", "5", "5:abc", "x:" + "0" * 64, "-1:" + "0" * 64, "²:" + "0" * 64]
)
def test_head_that_was_not_noted_right_is_refused(noted: str) -> None:
    with pytest.raises(AuditHeadMalformed, match="COUNT:LINK"):
        Head.parse(noted)
