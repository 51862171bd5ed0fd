from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from auth.errors import SecretMissing
from auth.records import SealedSecretRow
from auth.secrets import PlatformSecrets
from config.database import Database
from config.errors import SealBroken
from config.sealing import Sealer


@pytest.fixture
def secrets(sealer: Sealer) -> PlatformSecrets:
    return PlatformSecrets(sealer)


def test_secret_is_made_at_its_first_use_and_stays(
    database: Database, secrets: PlatformSecrets
) -> None:
    with database.write() as session:
        made = secrets.get(session, "artefact-key")
    with database.read() as session:
        assert secrets.get(session, "artefact-key") == made
    assert len(made) == 32


def test_two_secrets_differ(database: Database, secrets: PlatformSecrets) -> None:
    with database.write() as session:
        assert secrets.get(session, "one") != secrets.get(session, "other")


def test_new_secret_is_refused_where_it_could_not_be_kept(
    database: Database, secrets: PlatformSecrets
) -> None:
    with database.read() as session, pytest.raises(SecretMissing, match="artefact-key"):
        secrets.get(session, "artefact-key")


def test_eight_first_uses_at_once_get_one_secret(
    database: Database, secrets: PlatformSecrets
) -> None:
    def use(_: int) -> bytes:
        with database.write() as session:
            return secrets.get(session, "shared")

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(use, range(8)))) == 1


def test_secret_rolled_back_with_its_transaction_is_not_there(
    database: Database, secrets: PlatformSecrets
) -> None:
    with database.write() as session:
        secrets.get(session, "lost")
        session.rollback()
    with database.read() as session:
        assert secrets.find(session, "lost") is None


def test_secret_moved_to_another_name_does_not_open(
    database: Database, secrets: PlatformSecrets
) -> None:
    with database.write() as session:
        secrets.get(session, "audit-key")
        session.get_one(SealedSecretRow, "audit-key").name = "artefact-key"
        session.flush()
        with pytest.raises(SealBroken, match="artefact-key"):
            secrets.get(session, "artefact-key")


def test_resealed_secret_opens_without_the_old_master_key(
    database: Database, settings_keys: tuple[bytes, bytes]
) -> None:
    old, new = settings_keys
    with database.write() as session:
        before = PlatformSecrets(Sealer((old,))).get(session, "artefact-key")
        assert PlatformSecrets(Sealer((new, old))).reseal(session) == 1
    with database.read() as session:
        assert PlatformSecrets(Sealer((new,))).get(session, "artefact-key") == before
    with database.read() as session, pytest.raises(SealBroken):
        PlatformSecrets(Sealer((old,))).get(session, "artefact-key")


@pytest.fixture
def settings_keys() -> tuple[bytes, bytes]:
    return bytes(range(32)), bytes(range(1, 33))
