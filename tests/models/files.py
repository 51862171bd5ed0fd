"""Model files for tests: honest ones, altered ones, and hostile ones."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.handlers.skops_file import write_skops

Members = dict[str, bytes]


class WritesCanary:
    """An object whose pickle writes a file when it is opened."""

    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (Path.write_text, (self._canary, "ran"))


def skops_bytes(estimator: object) -> bytes:
    """A skops file of an estimator."""
    return write_skops(estimator)


def members_of(data: bytes) -> Members:
    """The members of a zip archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive_of(members: Members, *, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive of members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression=compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def with_schema(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """A skops file whose schema was changed."""
    members = members_of(data)
    schema = json.loads(members["schema.json"])
    change(schema)
    return archive_of(members | {"schema.json": json.dumps(schema).encode()})


def with_array(
    data: bytes,
    wanted: Callable[[NDArray[Any]], bool],
    change: Callable[[NDArray[Any]], None],
) -> bytes:
    """A skops file in which one of its arrays was changed."""
    members = members_of(data)
    for name in members:
        if name.endswith(".npy"):
            array = np.load(io.BytesIO(members[name]))
            if wanted(array):
                change(array)
                return archive_of(members | {name: npy_bytes(array)})
    raise LookupError("no such array in this file")


def npy_bytes(array: NDArray[Any], *, pickled: bool = False) -> bytes:
    """An .npy file of an array."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=pickled)
    return buffer.getvalue()
