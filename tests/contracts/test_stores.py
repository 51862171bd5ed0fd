"""One suite for every store of sealed files: a folder, a real S3, and the fake in memory."""

from __future__ import annotations

import http.server
import os
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings, load_settings
from models.errors import StoreExtraMissing, StoreUnavailable
from models.register.artefacts import Artefacts
from models.stores import Store
from models.stores import s3 as s3_module
from models.stores.folder import FolderStore
from models.stores.s3 import S3Store
from tests.contracts.memory_store import MemoryStore
from tests.servers import Bucket

LARGE = 12 * 1024 * 1024  # more than one part of an upload


def settings_of(tmp_path: Path, **members: Any) -> Settings:
    return load_settings(tmp_path, master_keys=(bytes(32),), **members)


@pytest.fixture(params=["folder", "bucket", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    if request.param == "folder":
        return FolderStore(tmp_path / "artefacts")
    if request.param == "memory":
        return MemoryStore()
    bucket: Bucket = request.getfixturevalue("bucket")
    return S3Store(settings_of(tmp_path, **bucket.settings("/some/prefix")))


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)), os.urandom(LARGE)], ids=len)
def test_what_is_put_comes_back_to_the_bit(store: Store, content: bytes) -> None:
    store.put("ten_1/a.b", content)

    assert store.get("ten_1/a.b") == content
    assert store.holds("ten_1/a.b")


def test_what_is_put_again_replaces_what_was_there(store: Store) -> None:
    store.put("ten_1/a", b"a longer first")
    store.put("ten_1/a", b"second")

    assert store.get("ten_1/a") == b"second"


def test_what_is_not_there_is_absent_and_no_error(store: Store) -> None:
    store.put("ten_1/a", b"x")

    for absent in ("ten_1/b", "ten_2/a"):
        assert store.get(absent) is None
        assert not store.holds(absent)
        store.delete(absent)
    assert list(store.addresses("ten_2")) == []
    store.delete_tenant("ten_2")


def test_a_deleted_file_is_gone_and_the_others_stay(store: Store) -> None:
    store.put("ten_1/a", b"a")
    store.put("ten_1/b", b"b")

    store.delete("ten_1/a")

    assert store.get("ten_1/a") is None
    assert store.get("ten_1/b") == b"b"


def test_a_tenants_files_go_together_and_no_others(store: Store) -> None:
    """Also those of a tenant whose identifier begins like the other's."""
    for address in ("ten_1/a", "ten_1/b", "ten_10/a", "ten_2/a"):
        store.put(address, b"x")

    store.delete_tenant("ten_1")

    assert list(store.addresses("ten_1")) == []
    assert list(store.addresses("ten_10")) == ["ten_10/a"]
    assert store.get("ten_2/a") == b"x"


def test_a_tenants_addresses_are_listed(store: Store) -> None:
    expected = {f"ten_1/{number:040x}" for number in range(25)}
    for address in expected:
        store.put(address, b"x")

    assert set(store.addresses("ten_1")) == expected


def test_a_probe_leaves_nothing_behind(store: Store) -> None:
    assert Artefacts(store).probe(b"anything")
    assert list(store.addresses("probe")) == []


def test_files_in_a_folder_are_the_owners_alone(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "artefacts")
    store.put("ten_1/a", b"x")
    path = tmp_path / "artefacts" / "ten_1" / "a"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [p.name for p in path.parent.iterdir()] == ["a"]


def test_a_link_in_a_folder_is_not_followed(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "artefacts")
    store.put("ten_1/a", b"x")
    path = tmp_path / "artefacts" / "ten_1" / "a"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StoreUnavailable):
        store.get("ten_1/a")


def test_a_folder_outlasts_a_crash_before_what_is_put_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that another process made, which may not have come to that yet."""
    synced: list[Path] = []
    monkeypatch.setattr(
        os, "fsync", lambda fd: synced.append(Path(f"/proc/self/fd/{fd}").readlink())
    )
    root = tmp_path / "artefacts"
    store, other = FolderStore(root), FolderStore(root)

    def put(by: FolderStore, address: str) -> list[Path]:
        synced.clear()
        by.put(address, b"x")
        return [path for path in synced if path.is_dir()]

    for by in (store, other):
        assert put(by, "ten_1/a") == [root, root / "ten_1"]
        assert put(by, "ten_1/b") == [root / "ten_1"]
    store.delete_tenant("ten_1")
    for by in (other, store):
        assert put(by, "ten_1/a") == [root, root / "ten_1"]


def test_a_half_written_file_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a crash before the renaming leaves."""
    store = FolderStore(tmp_path / "artefacts")
    monkeypatch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(OSError(5, "gone")))

    with pytest.raises(StoreUnavailable):
        store.put("ten_1/a", b"x")

    assert store.get("ten_1/a") is None
    assert list(store.addresses("ten_1")) == []


def test_a_bucket_holds_its_files_below_the_prefix(tmp_path: Path, bucket: Bucket) -> None:
    settings = settings_of(tmp_path, **bucket.settings("/one/two"))
    S3Store(settings).put("ten_1/a", b"x")

    prefix = settings.artefacts_url.removeprefix("s3://bucket/")
    assert (bucket.folder / prefix / "ten_1" / "a").read_bytes() == b"x"
    assert settings.artefacts_url in S3Store(settings).name


def refused(store: S3Store) -> list[str]:
    """What each operation says of a store that does not do as asked."""
    said = []
    for act in (
        lambda: store.get("ten_1/a"),
        lambda: store.put("ten_1/a", b"x"),
        lambda: store.delete("ten_1/a"),
        lambda: list(store.addresses("ten_1")),
        lambda: store.delete_tenant("ten_1"),
    ):
        with pytest.raises(StoreUnavailable) as error:
            act()
        said.append(str(error.value))
    return said


def test_wrong_keys_of_a_bucket_are_unavailable_and_not_shown(
    tmp_path: Path, bucket: Bucket
) -> None:
    wrong = "a-wrong-secret"
    settings = settings_of(tmp_path, **(bucket.settings() | {"artefacts_secret_key": wrong}))

    for said in refused(S3Store(settings)):
        assert wrong not in said
        assert bucket.access_key not in said


def test_a_bucket_that_is_not_there_is_unavailable_and_not_empty(
    tmp_path: Path, bucket: Bucket
) -> None:
    settings = settings_of(tmp_path, **(bucket.settings() | {"artefacts_url": "s3://nowhere"}))

    with pytest.raises(StoreUnavailable, match="no such bucket"):
        S3Store(settings).get("ten_1/a")
    with pytest.raises(StoreUnavailable):
        S3Store(settings).put("ten_1/a", b"x")


def test_a_server_that_is_gone_is_unavailable(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_module, "RETRY_SECONDS", 1)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
    settings = settings_of(tmp_path, **(bucket.settings() | {"artefacts_endpoint": endpoint}))

    refused(S3Store(settings))


class Faulty(http.server.BaseHTTPRequestHandler):
    """Answers 500 to the first calls of each test, or says nothing at all."""

    failures = 0
    silent: threading.Event | None = None
    calls = 0

    def do_GET(self) -> None:
        """Answer as the test wants."""
        type(self).calls += 1
        if self.silent is not None:
            self.silent.wait(60)
            return
        status = 500 if type(self).calls <= self.failures else 200
        self.send_response(status)
        self.send_header("Content-Length", "1")
        self.send_header("Last-Modified", "Sat, 01 Aug 2026 00:00:00 GMT")
        self.send_header("ETag", '"x"')
        self.end_headers()
        self.wfile.write(b"x")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def failing(times: int) -> type[Faulty]:
    """A server that fails so many times and then answers."""

    class Failing(Faulty):
        failures = times

    return Failing


@contextmanager
def faulty(handler: type[Faulty]) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_fault_that_passes_is_tried_again(tmp_path: Path, bucket: Bucket) -> None:
    handler = failing(2)
    with faulty(handler) as endpoint:
        settings = settings_of(tmp_path, **(bucket.settings() | {"artefacts_endpoint": endpoint}))
        assert S3Store(settings).get("ten_1/a") == b"x"
    assert handler.calls == 3


def test_a_fault_that_stays_is_not_tried_for_ever(tmp_path: Path, bucket: Bucket) -> None:
    handler = failing(1000)
    with faulty(handler) as endpoint:
        settings = settings_of(tmp_path, **(bucket.settings() | {"artefacts_endpoint": endpoint}))
        with pytest.raises(StoreUnavailable):
            S3Store(settings).get("ten_1/a")
    assert handler.calls == 1 + s3_module.RETRIES


def test_a_server_that_says_nothing_is_given_up(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_module, "STALL_SECONDS", 0.2)
    done = threading.Event()
    handler = type("Handler", (Faulty,), {"silent": done})
    with faulty(handler) as endpoint:
        settings = settings_of(tmp_path, **(bucket.settings() | {"artefacts_endpoint": endpoint}))
        with pytest.raises(StoreUnavailable):
            S3Store(settings).get("ten_1/a")
        done.set()


def test_a_missing_library_names_the_extra(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    settings = settings_of(tmp_path, **bucket.settings())

    with pytest.raises(StoreExtraMissing, match="requirements-s3"):
        Artefacts.of(settings)


def test_the_settings_choose_the_store(tmp_path: Path, bucket: Bucket) -> None:
    in_folder = settings_of(tmp_path)
    in_bucket = replace(in_folder, **bucket.settings())  # type: ignore[arg-type]

    assert Artefacts.of(in_folder).place == f"folder {tmp_path / 'artefacts'}"
    assert Artefacts.of(in_bucket).place == f"bucket {in_bucket.artefacts_url}"
