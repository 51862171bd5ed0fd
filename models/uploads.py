"""Uploaded files until they are versions: sealed pieces in the store that holds the artefacts.

A file of any size passes through memory one piece at a time, and every machine that shares the
store can take up the work on it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from config.errors import SealBroken
from config.sealing import Sealer
from models.errors import UploadLost
from models.stores import Store
from models.stores.folder import FolderStore

if TYPE_CHECKING:
    from config.settings import Settings

PIECE_BYTES: Final = 8 * 1024 * 1024
PREFIX: Final = "uploads/"  # in a bucket, beside the artefacts
IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class UploadPlace:
    """Whose upload it is, and for which job."""

    tenant_id: str
    job_id: str


@dataclass(frozen=True, slots=True)
class StoredPart:
    """One file of an upload: its size, the SHA-256 of its bytes, and what they are said to be."""

    size: int
    digest: str
    content_type: str = ""

    @property
    def pieces(self) -> int:
        """How many pieces it is kept in."""
        return -(-self.size // PIECE_BYTES)


class Uploads:
    """Puts files into a store in sealed pieces, and takes them out again."""

    def __init__(self, store: Store, *, prefix: str = "") -> None:
        self._store = store
        self._prefix = prefix

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Over the store that the settings name."""
        if not settings.artefacts_url:
            return cls(FolderStore(settings.uploads))
        from models.stores.s3 import S3Store  # its library is not always installed

        return cls(S3Store(settings), prefix=PREFIX)

    def put(self, place: UploadPlace, part: str, number: int, piece: bytes, sealer: Sealer) -> None:
        """Store one piece durably; raises StoreUnavailable."""
        sealed = sealer.seal(piece, _context(place, part, number))
        self._store.put(self._address(place, part, number), sealed)

    def read(
        self, place: UploadPlace, part: str, stored: StoredPart, sealer: Sealer
    ) -> Iterator[bytes]:
        """The bytes of a part, piece by piece; raises UploadLost where they are not all there."""
        digest = hashlib.sha256()
        for number in range(stored.pieces):
            sealed = self._store.get(self._address(place, part, number))
            if sealed is None:
                raise UploadLost("a part of it is not in the store")
            try:
                piece = sealer.open(sealed, _context(place, part, number))
            except SealBroken as error:
                raise UploadLost("its seal is broken") from error
            digest.update(piece)
            yield piece
        if digest.hexdigest() != stored.digest:
            raise UploadLost("its digest differs")

    def delete(self, place: UploadPlace) -> None:
        """Remove every piece of an upload."""
        for address in list(self._addresses(place.tenant_id)):
            if _job_of(address) == place.job_id:
                self._store.delete(address)

    def delete_tenant(self, tenant_id: str) -> None:
        """Remove every upload of a tenant."""
        self._store.delete_tenant(self._prefix + _checked(tenant_id))

    def jobs(self, tenant_id: str) -> set[str]:
        """The jobs of a tenant that something is kept for."""
        return {_job_of(address) for address in self._addresses(tenant_id)}

    def _addresses(self, tenant_id: str) -> Iterator[str]:
        return self._store.addresses(self._prefix + _checked(tenant_id))

    def _address(self, place: UploadPlace, part: str, number: int) -> str:
        name = f"{_checked(place.job_id)}.{_checked(part)}.{number}"
        return f"{self._prefix}{_checked(place.tenant_id)}/{name}"


class PartWriter:
    """Takes a file of unknown size as it comes; only after `finish` is it whole."""

    def __init__(self, uploads: Uploads, place: UploadPlace, part: str, sealer: Sealer) -> None:
        self._uploads = uploads
        self._place = place
        self._part = part
        self._sealer = sealer
        self._pending = bytearray()
        self._digest = hashlib.sha256()
        self._number = 0
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append data; raises StoreUnavailable."""
        self._digest.update(data)
        self.size += len(data)
        self._pending += data
        while len(self._pending) >= PIECE_BYTES:
            self._put(PIECE_BYTES)

    def finish(self, content_type: str = "") -> StoredPart:
        """Store what is left, and say what there is."""
        if self._pending:
            self._put(len(self._pending))
        return StoredPart(self.size, self._digest.hexdigest(), content_type)

    def _put(self, size: int) -> None:
        piece = bytes(self._pending[:size])
        del self._pending[:size]
        self._uploads.put(self._place, self._part, self._number, piece, self._sealer)
        self._number += 1


def _context(place: UploadPlace, part: str, number: int) -> dict[str, str]:
    return {
        "purpose": "upload",
        "tenant": place.tenant_id,
        "job": place.job_id,
        "part": part,
        "piece": str(number),
    }


def _job_of(address: str) -> str:
    return address.rpartition("/")[2].partition(".")[0]


def _checked(text: str) -> str:
    # These come from our own database; an address is built only of what cannot leave its place.
    if not IDENTIFIER.fullmatch(text):
        raise UploadLost(f"{text!r} is no identifier")
    return text
