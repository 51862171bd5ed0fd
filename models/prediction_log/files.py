"""The files of prediction logs, each sealed to the one segment that it is."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Final, Self

from config.errors import SealBroken
from config.sealing import Sealer
from models.errors import SegmentLost
from models.prediction_log.segments import Segment
from models.stores import Store
from models.stores.folder import FolderStore

if TYPE_CHECKING:
    from config.settings import Settings

FOLDER: Final = "prediction-logs"
PREFIX: Final = "prediction-logs/"  # in a bucket, beside the artefacts
IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class LogFiles:
    """Puts segments into the store that holds the artefacts, and takes them out again."""

    def __init__(self, store: Store, *, prefix: str = "") -> None:
        self._store = store
        self._prefix = prefix

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Over the store that the settings name."""
        if not settings.artefacts_url:
            return cls(FolderStore(settings.instance / FOLDER))
        from models.stores.s3 import S3Store  # its library is not always installed

        return cls(S3Store(settings), prefix=PREFIX)

    def put(self, segment: Segment, content: bytes, sealer: Sealer) -> None:
        """Store a segment durably; raises StoreUnavailable."""
        self._store.put(self._address(segment), sealer.seal(content, _context(segment)))

    def open(self, segment: Segment, sealer: Sealer) -> bytes:
        """The Parquet file that was written; raises SegmentLost."""
        sealed = self._store.get(self._address(segment))
        if sealed is None:
            raise SegmentLost(segment.id, "it is not in the store", is_missing=True)
        try:
            content = sealer.open(sealed, _context(segment))
        except SealBroken as error:
            raise SegmentLost(segment.id, "its seal is broken") from error
        if not hmac.compare_digest(hashlib.sha256(content).hexdigest(), segment.digest):
            raise SegmentLost(segment.id, "its digest differs")
        return content

    def delete(self, segment: Segment) -> None:
        """Remove a segment's file, if it is there; raises StoreUnavailable."""
        self._store.delete(self._address(segment))

    def delete_tenant(self, tenant_id: str) -> None:
        """Remove everything of a tenant."""
        self._store.delete_tenant(self._prefix + _checked(tenant_id))

    def _address(self, segment: Segment) -> str:
        return f"{self._prefix}{_checked(segment.tenant_id)}/{_checked(segment.id)}"


def _context(segment: Segment) -> dict[str, str]:
    return {
        "purpose": "prediction-log",
        "tenant": segment.tenant_id,
        "model": segment.model_id,
        "log": segment.log_id,
        "segment": segment.id,
        "version": str(segment.version),
        "method": segment.method,
        "digest": segment.digest,
    }


def _checked(text: str) -> str:
    # These come from our own database; an address is built only of what cannot leave its place.
    if not IDENTIFIER.fullmatch(text):
        raise SegmentLost(text[:64], "that is no identifier")
    return text
