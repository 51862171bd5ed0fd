"""Uploads are kept in sealed pieces, and are given back whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.sealing import Sealer
from models import uploads as module
from models.errors import UploadLost
from models.stores.folder import FolderStore
from models.uploads import PartWriter, StoredPart, UploadPlace, Uploads

PLACE = UploadPlace("ten_1", "job_1")
SEALER = Sealer((bytes(32),))
MARK = b"a model that nobody else may read"


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE_BYTES", 64)


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(FolderStore(tmp_path))


def stored(uploads: Uploads, content: bytes, place: UploadPlace = PLACE) -> StoredPart:
    writer = PartWriter(uploads, place, "file", SEALER)
    for start in range(0, len(content), 50):
        writer.write(content[start : start + 50])
    return writer.finish("application/octet-stream")


def read(uploads: Uploads, part: StoredPart, place: UploadPlace = PLACE) -> bytes:
    return b"".join(uploads.read(place, "file", part, SEALER))


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 128, 1000])
def test_what_is_written_is_read(uploads: Uploads, size: int) -> None:
    content = bytes(range(256)) * 4
    part = stored(uploads, content[:size])

    assert part.size == size
    assert read(uploads, part) == content[:size]


def test_no_plaintext_is_on_the_disk_and_nobody_else_may_read(
    uploads: Uploads, tmp_path: Path
) -> None:
    stored(uploads, MARK * 10)

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 6
    assert all(MARK[:16] not in path.read_bytes() for path in files)
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_an_altered_swapped_lost_or_foreign_piece_is_noticed(
    uploads: Uploads, tmp_path: Path
) -> None:
    part = stored(uploads, MARK * 10)
    first, second = sorted(tmp_path.rglob("job_1.file.[01]"))
    kept = first.read_bytes()

    first.write_bytes(second.read_bytes())
    with pytest.raises(UploadLost, match="seal"):
        read(uploads, part)
    first.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(UploadLost, match="seal"):
        read(uploads, part)
    first.unlink()
    with pytest.raises(UploadLost, match="not in the store"):
        read(uploads, part)
    first.write_bytes(kept)
    assert read(uploads, part) == MARK * 10
    with pytest.raises(UploadLost, match="digest"):
        read(uploads, StoredPart(part.size, "0" * 64))

    other = UploadPlace("ten_1", "job_2")
    first.rename(first.with_name("job_2.file.0"))
    with pytest.raises(UploadLost, match="seal"):
        read(uploads, StoredPart(64, "0" * 64), other)


def test_deleting_removes_one_upload_and_leaves_the_others(
    uploads: Uploads, tmp_path: Path
) -> None:
    others = UploadPlace("ten_1", "job_10"), UploadPlace("ten_2", "job_1")
    for place in (PLACE, *others):
        stored(uploads, MARK * 10, place)

    uploads.delete(PLACE)

    assert uploads.jobs("ten_1") == {"job_10"}
    assert uploads.jobs("ten_2") == {"job_1"}
    uploads.delete_tenant("ten_2")
    assert uploads.jobs("ten_2") == set()
    assert not (tmp_path / "ten_2").exists()


def test_an_address_is_built_of_identifiers_alone(uploads: Uploads) -> None:
    with pytest.raises(UploadLost):
        stored(uploads, b"x", UploadPlace("../ten_1", "job_1"))
    with pytest.raises(UploadLost):
        stored(uploads, b"x", UploadPlace("ten_1", "job/../1"))
