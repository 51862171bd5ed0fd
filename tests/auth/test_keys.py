from __future__ import annotations

import base64
import json
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

import auth.keys
from auth.algorithms import RS256, thumbprint
from auth.errors import KeyNotReady, KeyRingEmpty, KeyUnusable, NotFound
from auth.keys import KeyRing, Rotation
from auth.records import SigningKeyRow
from config.database import Database
from config.sealing import Sealer
from config.settings import Settings
from tests.auth.clock import Clock

RFC_7638_EXAMPLE = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
ROOT = Path(auth.keys.__file__).parent.parent


@pytest.fixture
def ring(database: Database, sealer: Sealer, settings: Settings, clock: Clock) -> KeyRing:
    ring = KeyRing(sealer, settings, clock)
    with database.write() as session:
        ring.ensure(session)
    return ring


def rotate(database: Database, ring: KeyRing, *, emergency: bool = False) -> Rotation:
    with database.write() as session:
        return ring.rotate(session, emergency=emergency)


def states(database: Database, ring: KeyRing) -> dict[str, str]:
    with database.read() as session:
        return {key.kid: key.state for key in ring.list(session)}


def sign_and_verify(database: Database, ring: KeyRing) -> bool:
    with database.read() as session:
        signer = ring.signer(session)
        return ring.verifiers(session)[signer.kid].verify(signer.sign(b"message"), b"message")


def test_first_use_makes_an_active_and_a_next_key_that_are_both_ready(
    database: Database, ring: KeyRing
) -> None:
    assert sorted(states(database, ring).values()) == ["active", "next"]
    rotate(database, ring)


def test_ensuring_again_changes_nothing(database: Database, ring: KeyRing) -> None:
    before = states(database, ring)
    with database.write() as session:
        ring.ensure(session)
    assert states(database, ring) == before


def test_key_ring_without_keys_says_what_to_run(
    database: Database, sealer: Sealer, settings: Settings
) -> None:
    with database.read() as session, pytest.raises(KeyRingEmpty, match=r"manage\.py init"):
        KeyRing(sealer, settings).signer(session)


def test_rotation_promotes_the_next_key_and_retires_the_active_one(
    database: Database, ring: KeyRing
) -> None:
    before = {state: kid for kid, state in states(database, ring).items()}
    rotation = rotate(database, ring)
    assert (rotation.old, rotation.new) == (before["active"], before["next"])
    assert states(database, ring) == {
        rotation.old: "retired",
        rotation.new: "active",
        rotation.next: "next",
    }
    assert rotation.breaks is None


def test_new_key_signs_and_retired_key_still_verifies(database: Database, ring: KeyRing) -> None:
    with database.read() as session:
        old = ring.signer(session)
    rotation = rotate(database, ring)
    with database.read() as session:
        assert ring.signer(session).kid == rotation.new
        assert ring.verifiers(session)[old.kid].verify(old.sign(b"message"), b"message")


def test_rotation_waits_until_no_verifier_can_lack_the_next_key(
    database: Database, ring: KeyRing, clock: Clock, settings: Settings
) -> None:
    rotate(database, ring)
    wait = settings.jwks_max_age + settings.publish_skew_seconds
    clock.advance(wait - 1)
    with pytest.raises(KeyNotReady, match="in 1 s") as refusal:
        rotate(database, ring)
    assert refusal.value.seconds == 1
    clock.advance(1)
    rotate(database, ring)


def test_emergency_rotation_does_not_wait_and_says_what_breaks(
    database: Database, ring: KeyRing
) -> None:
    rotate(database, ring)
    rotation = rotate(database, ring, emergency=True)
    assert rotation.breaks is not None
    assert "12 s" in rotation.breaks
    assert states(database, ring)[rotation.new] == "active"


def test_retired_key_is_gone_when_its_time_has_passed_even_before_it_is_written_down(
    database: Database, ring: KeyRing, clock: Clock, settings: Settings
) -> None:
    old = rotate(database, ring).old
    clock.advance(settings.retired_span - 1)
    with database.read() as session:
        assert old in ring.verifiers(session)
    clock.advance(1)
    with database.read() as session:
        assert old not in ring.verifiers(session)
        assert old not in {key["kid"] for key in ring.jwks(session)["keys"]}
    assert states(database, ring)[old] == "gone"


def test_expiry_is_written_down_once(
    database: Database, ring: KeyRing, clock: Clock, settings: Settings
) -> None:
    old = rotate(database, ring).old
    clock.advance(settings.retired_span)
    with database.write() as session:
        assert ring.expire(session) == (old,)
        assert ring.expire(session) == ()
        assert session.get_one(SigningKeyRow, old).state == "gone"


def test_revoking_the_active_key_promotes_the_next_at_once(
    database: Database, ring: KeyRing
) -> None:
    before = {state: kid for kid, state in states(database, ring).items()}
    with database.write() as session:
        revocation = ring.revoke(session, before["active"])
    assert (revocation.was, revocation.active) == ("active", before["next"])
    assert "refused" in revocation.breaks
    with database.read() as session:
        assert before["active"] not in ring.verifiers(session)
    assert states(database, ring) == {
        before["active"]: "revoked",
        before["next"]: "active",
        revocation.next: "next",
    }


def test_revoking_the_next_key_publishes_another_that_must_wait(
    database: Database, ring: KeyRing
) -> None:
    upcoming = next(kid for kid, state in states(database, ring).items() if state == "next")
    with database.write() as session:
        revocation = ring.revoke(session, upcoming)
    assert "never signed" in revocation.breaks
    with pytest.raises(KeyNotReady, match=revocation.next):
        rotate(database, ring)


def test_revoked_key_stays_revoked(
    database: Database, ring: KeyRing, clock: Clock, settings: Settings
) -> None:
    old = rotate(database, ring).old
    with database.write() as session:
        ring.revoke(session, old)
    revoked_at = clock()
    clock.advance(settings.retired_span)
    with database.write() as session:
        ring.expire(session)
        again = ring.revoke(session, old)
        assert session.get_one(SigningKeyRow, old).revoked_at == revoked_at
    assert again.was == "revoked"
    assert states(database, ring)[old] == "revoked"


def test_unknown_key_cannot_be_revoked(database: Database, ring: KeyRing) -> None:
    with database.write() as session, pytest.raises(NotFound, match="no signing key 'nothing'"):
        ring.revoke(session, "nothing")


def test_private_half_is_destroyed_when_a_key_retires(database: Database, ring: KeyRing) -> None:
    rotate(database, ring)
    with database.read() as session:
        for row in session.scalars(select(SigningKeyRow)):
            assert (row.private_sealed is None) == (row.state == "retired")


def test_key_set_is_public_and_names_algorithm_and_use(database: Database, ring: KeyRing) -> None:
    rotate(database, ring)
    with database.read() as session:
        keys = ring.jwks(session)["keys"]
        verifiers = ring.verifiers(session)
    assert [verifiers[key["kid"]].state for key in keys] == ["active", "next", "retired"]
    for key in keys:
        assert set(key) == {"kid", "alg", "use", "kty", "crv", "x", "y"}
        assert (key["alg"], key["use"]) == ("ES256", "sig")


def test_another_library_verifies_with_the_published_key_set(
    database: Database, ring: KeyRing
) -> None:
    with database.read() as session:
        signer, keys = ring.signer(session), ring.jwks(session)
    message = b"message"
    published = jwt.PyJWKSet.from_dict(dict(keys))[signer.kid]
    assert published.Algorithm.verify(message, published.key, signer.sign(message))


def test_key_is_named_by_the_thumbprint_of_rfc_7638() -> None:
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJ"
        "ECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW"
        "2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQ"
        "Fh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    assert thumbprint({"e": "AQAB", "kty": "RSA", "n": n}) == RFC_7638_EXAMPLE
    with pytest.raises(ValueError, match="RS256"):  # 2048 bits are too few here
        RS256().from_jwk({"e": "AQAB", "kty": "RSA", "n": n})


def test_rotation_changes_to_the_configured_algorithm(
    database: Database, ring: KeyRing, sealer: Sealer, settings: Settings, clock: Clock
) -> None:
    stronger = KeyRing(sealer, replace(settings, signing_algorithm="RS256"), clock)
    with database.write() as session:
        stronger.ensure(session)  # as at each start
    clock.advance(60)
    rotate(database, stronger)
    with database.read() as session:
        signer = stronger.signer(session)
        assert signer.algorithm == "RS256"
        assert {key.algorithm for key in stronger.verifiers(session).values()} == {
            "ES256",
            "RS256",
        }
    assert sign_and_verify(database, stronger)


def test_eight_rotations_at_once_leave_one_active_key(database: Database, ring: KeyRing) -> None:
    def attempt(_: int) -> str:
        try:
            return rotate(database, ring).new
        except KeyNotReady:
            return "refused"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, range(8)))
    assert outcomes.count("refused") == 7
    assert sorted(states(database, ring).values()) == ["active", "next", "retired"]


def test_eight_emergency_rotations_at_once_happen_one_after_another(
    database: Database, ring: KeyRing
) -> None:
    with ThreadPoolExecutor(8) as pool:
        rotations = list(pool.map(lambda _: rotate(database, ring, emergency=True), range(8)))
    assert len({rotation.old for rotation in rotations}) == 8
    assert sorted(states(database, ring).values()) == ["active", "next", *["retired"] * 8]
    assert sign_and_verify(database, ring)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_rotation_sees_the_keys_of_now_not_those_its_session_read_before(
    database: Database, ring: KeyRing
) -> None:
    with database.write() as session:
        rows = session.scalars(select(SigningKeyRow)).all()  # held, so that they stay in memory
        first = rotate(database, ring, emergency=True)
        second = ring.rotate(session, emergency=True)
        assert {row.kid for row in rows} == {first.old, first.new}
    assert second.old == first.new
    assert sorted(states(database, ring).values()) == ["active", "next", "retired", "retired"]


def test_eight_first_uses_at_once_make_one_active_key(
    database: Database, sealer: Sealer, settings: Settings, clock: Clock
) -> None:
    ring = KeyRing(sealer, settings, clock)

    def ensure(_: int) -> None:
        with database.write() as session:
            ring.ensure(session)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ensure, range(8)))
    assert sorted(states(database, ring).values()) == ["active", "next"]


def test_database_itself_allows_one_active_key(database: Database, ring: KeyRing) -> None:
    with pytest.raises(IntegrityError), database.write() as session:
        session.execute(update(SigningKeyRow).values(state="active"))


def test_process_killed_at_any_step_of_a_rotation_leaves_one_active_key(
    database: Database, ring: KeyRing, database_url: str, settings: Settings
) -> None:
    del ring  # prepared; the processes open it themselves
    command = [sys.executable, "-m", "tests.auth.killed_rotation"]
    process = subprocess.run(
        [*command, database_url, settings.master_keys[0].hex()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    lines = [json.loads(line) for line in process.stdout.splitlines()]
    *undone, committed, survived = lines
    assert len(undone) > 8
    assert all(line == [-9, "active", "next"] for line in undone)
    assert committed == [-9, "active", "next", "retired"]
    assert survived == [0, "active", "next", "retired", "retired"]


def test_no_private_key_is_on_disk_in_the_clear(
    sqlite: Database, sealer: Sealer, settings: Settings, clock: Clock, tmp_path: Path
) -> None:
    ring = KeyRing(sealer, settings, clock)
    forms = set[bytes]()
    for _ in range(3):
        with sqlite.write() as session:
            ring.ensure(session)
            ring.rotate(session, emergency=True)
            forms |= written_forms(ring.signer(session).private)
    on_disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert len(on_disk) > 10_000
    assert len(forms) == 18
    assert not [form for form in forms if form in on_disk]


def written_forms(private: object) -> set[bytes]:
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    scalar = private.private_numbers().private_value.to_bytes(32)
    der = private.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        scalar,
        der,
        base64.b64encode(der)[8:-8],
        base64.urlsafe_b64encode(scalar)[:-2],
        scalar.hex().encode(),
        str(int.from_bytes(scalar)).encode(),
    }


def test_destroyed_private_half_leaves_no_trace_in_the_file(
    sqlite: Database, sealer: Sealer, settings: Settings, clock: Clock, tmp_path: Path
) -> None:
    ring = KeyRing(sealer, settings, clock)
    with sqlite.write() as session:
        ring.ensure(session)
        sealed = next(
            row.private_sealed
            for row in session.scalars(select(SigningKeyRow))
            if row.state == "active"
        )
    rotate(sqlite, ring)
    sqlite.close()
    with sqlite3.connect(tmp_path / "sallyport.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    assert sealed is not None
    assert sealed not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


@pytest.fixture
def sqlite(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path / 'sallyport.db'}")
    SigningKeyRow.metadata.create_all(database.engine)
    return database


@pytest.mark.parametrize("column", ["kid", "algorithm", "purpose"])
def test_private_half_opens_only_as_what_it_was_made_for(
    database: Database, ring: KeyRing, sealer: Sealer, settings: Settings, column: str
) -> None:
    altered = {"kid": "x" * 43, "algorithm": "RS256", "purpose": "other"}
    with database.write() as session:
        row = session.scalars(select(SigningKeyRow).where(SigningKeyRow.state == "active")).one()
        setattr(row, column, altered[column])
    with database.read() as session, pytest.raises(KeyUnusable, match="cannot be opened"):
        KeyRing(sealer, settings, purpose=row.purpose).signer(session)


def test_public_half_that_was_exchanged_is_not_used(
    database: Database, ring: KeyRing, clock: Clock
) -> None:
    with database.write() as session:
        active, upcoming = session.scalars(select(SigningKeyRow)).all()
        active.public_jwk, upcoming.public_jwk = upcoming.public_jwk, active.public_jwk
    with database.read() as session, pytest.raises(KeyUnusable, match="another key"):
        ring.verifiers(session)


def test_keys_of_another_address_are_replaced_only_in_an_emergency(
    database: Database, ring: KeyRing, sealer: Sealer, settings: Settings, clock: Clock
) -> None:
    moved = KeyRing(sealer, replace(settings, url="https://elsewhere.example"), clock)
    with pytest.raises(KeyUnusable, match="SALLYPORT_URL"):
        rotate(database, moved)
    rotation = rotate(database, moved, emergency=True)
    assert rotation.breaks is not None
    assert sign_and_verify(database, moved)


def test_resealed_keys_open_without_the_old_master_key(
    database: Database, ring: KeyRing, settings: Settings, clock: Clock
) -> None:
    old, new = settings.master_keys[0], bytes(32)
    with database.write() as session:
        assert KeyRing(Sealer((new, old)), settings, clock).reseal(session) == 2
    assert sign_and_verify(database, KeyRing(Sealer((new,)), settings, clock))
    with database.read() as session, pytest.raises(KeyUnusable):
        ring.signer(session)


def test_private_half_shows_in_no_representation(database: Database, ring: KeyRing) -> None:
    with database.read() as session:
        shown = repr(ring.signer(session)) + json.dumps([repr(key) for key in ring.list(session)])
    assert "private" not in shown
