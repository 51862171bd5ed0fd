"""The versions that a host has open: those used last, within a budget of memory."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections import OrderedDict
from collections.abc import Callable

from models.compilation import Predictor
from models.errors import ModelsError
from models.hosting.frames import Artefact

CHUNK_BYTES = 16 * 1024**2


class RefusedToOpen(Exception):
    """Raised when an artefact cannot be opened; the message says why."""


class OpenVersions:
    """Opens versions with `opener(format, data)`; the newest stays even if it alone is too big."""

    def __init__(self, opener: Callable[[str, bytes], Predictor], *, budget_bytes: int) -> None:
        self._opener = opener
        self._budget = budget_bytes
        self._open: OrderedDict[bytes, tuple[Predictor, int]] = OrderedDict()
        self._size = 0

    def __contains__(self, version: bytes) -> bool:
        return version in self._open

    def get(self, version: bytes) -> Predictor | None:
        """An open version, which becomes the one used last."""
        if version not in self._open:
            return None
        self._open.move_to_end(version)
        return self._open[version][0]

    def put(self, version: bytes, artefact: Artefact, descriptor: int) -> None:
        """Open a version from a descriptor, which is closed; raises RefusedToOpen."""
        try:
            if version in self._open:  # another worker was first
                return
            self._make_room(artefact.size)
            data = _read(descriptor, artefact)
        finally:
            os.close(descriptor)
        try:
            predictor = self._opener(artefact.format, data)
            size = max(predictor.size, artefact.size)
        except ModelsError as error:
            raise RefusedToOpen(str(error)) from error
        except Exception as error:
            raise RefusedToOpen(f"it cannot be opened: {reason_of(error)}") from error
        self._make_room(size)
        self._open[version] = predictor, size
        self._size += size

    def _make_room(self, size: int) -> None:
        while self._open and self._size + size > self._budget:
            _, (_, freed) = self._open.popitem(last=False)
            self._size -= freed


def _read(descriptor: int, artefact: Artefact) -> bytes:
    # Its length is not asked for: that is not among what the sandbox allows.
    digest, data = hashlib.sha256(), bytearray()
    while len(data) <= artefact.size and (part := os.read(descriptor, CHUNK_BYTES)):
        digest.update(part)
        data += part
    if not hmac.compare_digest(digest.digest(), artefact.digest):
        raise RefusedToOpen("its digest differs")
    return bytes(data)


def reason_of(error: BaseException) -> str:
    """An error in one line; no traceback, whose making opens files."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - a model's own error may fail to say what it is
        return type(error).__name__
