"""Files in a folder of this machine, readable by the owner alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from models.errors import StoreUnavailable

PARTIAL: Final = ".partial"


class FolderStore:
    """Keeps `<folder>/<tenant>/<name>`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lasting: set[Path] = set()  # folders of tenants that no crash takes away

    @property
    def name(self) -> str:
        """The folder's path."""
        return f"folder {self._folder}"

    def put(self, address: str, content: bytes) -> None:
        """Write the file under another name, then rename it: a crash leaves no half."""
        path = self._folder / address
        partial = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")
        with self._unavailable():
            self._make_lasting(path.parent)
            _write_durably(partial, content)
            partial.rename(path)
            _sync_folder(path.parent)

    def get(self, address: str) -> bytes | None:
        """Read the file itself, never one that a link leads to."""
        with self._unavailable():
            try:
                descriptor = os.open(self._folder / address, os.O_RDONLY | os.O_NOFOLLOW)
            except FileNotFoundError:
                return None
            with os.fdopen(descriptor, "rb") as file:
                return file.read()

    def holds(self, address: str) -> bool:
        """Say whether the file is there."""
        return (self._folder / address).is_file()

    def delete(self, address: str) -> None:
        """Remove the file."""
        with self._unavailable():
            (self._folder / address).unlink(missing_ok=True)

    def delete_tenant(self, tenant_id: str) -> None:
        """Remove the tenant's folder."""
        folder = self._folder / tenant_id
        self._lasting.discard(folder)
        if folder.exists():
            with self._unavailable():
                shutil.rmtree(folder)

    def addresses(self, tenant_id: str) -> Iterator[str]:
        """The files of the tenant's folder that are whole."""
        folder = self._folder / tenant_id
        with self._unavailable():
            names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        yield from (f"{tenant_id}/{name}" for name in names if not name.endswith(PARTIAL))

    def _make_lasting(self, folder: Path) -> None:
        """Make a tenant's folder; that it is there says not yet that it will be after a crash."""
        if folder in self._lasting and folder.is_dir():
            return
        for each in (self._folder, folder):
            each.mkdir(mode=0o700, exist_ok=True, parents=True)
        _sync_folder(self._folder)
        self._lasting.add(folder)

    @contextmanager
    def _unavailable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreUnavailable(self.name, error.strerror or str(error)) from error


def _write_durably(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)  # of a full disk, so that it is not fuller than before
        raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
