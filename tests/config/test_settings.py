"""Settings are read once, and what cannot hold stops the start and is named."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from config.errors import ConfigurationError
from config.settings import Settings, load_settings

KEY = base64.b64encode(bytes(32)).decode()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a master key."""
    for name in [name for name in os.environ if name.startswith("SALLYPORT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SALLYPORT_MASTER_KEY", KEY)


def test_options_outrank_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SALLYPORT_PORT", "9443")

    assert load_settings(tmp_path).port == 9443
    assert load_settings(tmp_path, port=7443, host=None) == load_settings(tmp_path, port=7443)


def test_a_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    monkeypatch.delenv("SALLYPORT_MASTER_KEY")
    monkeypatch.setenv("SALLYPORT_MASTER_KEY_FILE", str(tmp_path / "key"))

    assert load_settings(tmp_path).master_keys == (bytes(32),)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("PROT", "8443", "no setting has this name"),
        ("PORT", "many", "invalid"),
        ("PORT", "70000", "outside"),
        ("WORKERS", "0", "outside"),
        ("LEEWAY_SECONDS", "61", "outside"),
        ("PASSWORD_MIN_LENGTH", "8", "outside"),
        ("HASHING_MEMORY_KIB", "1024", "outside"),
        ("CERTIFICATE_DAYS", "365", "outside"),
        ("SIGNING_ALGORITHM", "HS256", "ES256, RS256"),
        ("TLS_PROFILE", "old", "modern, intermediate"),
        ("PORT", "٨٤٤٣", "digits 0 to 9"),
        ("DRAIN_SECONDS", "２０.5", "digits 0 to 9"),
        ("AUDIENCE", "", "need an audience"),
        ("AUDIENCE", "  ", "need an audience"),
        ("URL", "http://localhost:8443", "not an https address"),
        ("URL", "", "not an https address"),
        ("URL", "https://", "not an https address"),
        ("URL", "https://localhost/sallyport", "not an https address"),
        ("URL", "https://localhost?", "not an https address"),
        ("URL", "https://[::1", "not an https address"),
        ("URL", "https://olga:hunter2@localhost", "names a user"),
        ("URL", "https://@localhost", "names a user"),
        ("URL", "https://localhost#top", "has a fragment"),
        ("URL", "https://localhost#", "has a fragment"),
        ("URL", "https://local host", "white space"),
        ("URL", "https://local\thost", "white space"),
        ("URL", "https://localhost:0", "1 to 65535"),
        ("URL", "https://localhost:65536", "1 to 65535"),
        ("URL", "https://localhost:", "1 to 65535"),
        ("URL", "https://[::1]:x", "1 to 65535"),
        ("URL", "https://localhost:٨٤٤٣", "1 to 65535"),
        ("MASTER_KEY", "c2hvcnQ=", "32 bytes"),
        ("RETIRED_SECONDS", "929", "shorter than access_seconds"),
    ],
)
def test_what_cannot_hold_stops_the_start_and_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(f"SALLYPORT_{name}", value)

    with pytest.raises(ConfigurationError, match=problem) as refusal:
        load_settings(tmp_path)

    assert f"SALLYPORT_{name}" in str(refusal.value)
    assert ".." not in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    "url", ["https://localhost", "https://localhost:1", "https://[::1]:65535", "https://[::1]"]
)
def test_public_address_is_a_host_and_perhaps_a_port(tmp_path: Path, url: str) -> None:
    assert load_settings(tmp_path, url=url).issuer == url


def test_no_token_may_outlive_the_key_that_signed_it(tmp_path: Path) -> None:
    longest = {"access_seconds": 600, "leeway_seconds": 60}

    assert load_settings(tmp_path, **longest).retired_span == 660
    assert load_settings(tmp_path, **longest, retired_seconds=660).retired_span == 660
    with pytest.raises(ConfigurationError, match="RETIRED_SECONDS"):
        load_settings(tmp_path, **longest, retired_seconds=659)


def test_without_a_master_key_nothing_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SALLYPORT_MASTER_KEY")

    with pytest.raises(ConfigurationError, match=r"manage\.py init"):
        load_settings(tmp_path)


def test_secrets_show_in_no_representation(tmp_path: Path) -> None:
    settings = Settings(
        instance=tmp_path,
        master_keys=(b"k" * 32,),
        database_url="postgresql://sally:hunter2@db/sally",
        counters_url="redis://:hunter2@counters",
    )

    assert "kkk" not in repr(settings)
    assert "hunter2" not in repr(settings)


KEYS = {"artefacts_access_key": "a", "artefacts_secret_key": "s"}


@pytest.mark.parametrize(
    "bucket",
    [
        "https://bucket",
        "s3://",
        "s3://B",
        "s3://bucket/../x",
        "s3://bucket/a b",
        "s3://user:word@bucket",
        "s3://bucket?x=1",
    ],
)
def test_what_is_no_bucket_stops_the_start(tmp_path: Path, bucket: str) -> None:
    with pytest.raises(ConfigurationError, match="ARTEFACTS_URL"):
        load_settings(tmp_path, artefacts_url=bucket, **KEYS)


@pytest.mark.parametrize("name", KEYS)
def test_a_bucket_without_its_keys_stops_the_start(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=name.upper()):
        load_settings(tmp_path, artefacts_url="s3://bucket", **(KEYS | {name: ""}))


@pytest.mark.parametrize(
    "endpoint", ["http://minio.internal:9000", "minio", "https://user@minio", "https://minio/x"]
)
def test_a_store_is_reached_over_tls_or_on_this_machine(tmp_path: Path, endpoint: str) -> None:
    for fine in ("https://minio.internal:9000", "http://127.0.0.1:9000", "http://[::1]:9000"):
        found = load_settings(
            tmp_path, artefacts_url="s3://b-1/p/q", artefacts_endpoint=fine, **KEYS
        )
        assert found.artefacts_endpoint == fine
    with pytest.raises(ConfigurationError, match="ARTEFACTS_ENDPOINT"):
        load_settings(tmp_path, artefacts_endpoint=endpoint)


def test_keys_of_the_bucket_are_not_shown(tmp_path: Path) -> None:
    assert "artefacts_secret_key" not in repr(load_settings(tmp_path, **KEYS))


def test_local_shares_of_limits_are_divided_by_whoever_answers(tmp_path: Path) -> None:
    assert load_settings(tmp_path, workers=3).answering == 3
    assert load_settings(tmp_path, workers=3, client_certificate_port=1).answering == 4
    assert load_settings(tmp_path, workers=3, client_certificate_port=1, grpc_port=2).answering == 7
