"""Files that are replaced whole: a reader, or a crash at any step, finds the old or the new."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from certs.errors import FolderBusy, NotStored

LOCK_SECONDS: Final = 30.0
LOCK_POLL_SECONDS: Final = 0.02
PUBLIC: Final = 0o644
PRIVATE: Final = 0o600


@contextmanager
def locked(folder: Path, *, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the folder for one writer; the kernel lets go when the writer dies."""
    lock = _open_lock(folder)
    try:
        _acquire(lock, folder, seconds)
        _sweep(folder)
        yield
    finally:
        os.close(lock)


@contextmanager
def staged(path: Path, content: bytes, *, mode: int) -> Iterator[Path]:
    """Write beside `path` and yield where; when the block ends well, move it into place."""
    beside = _beside(path)
    try:
        try:
            _write(beside, content, mode)
        except OSError as error:
            raise NotStored(path, os.strerror(error.errno or 0)) from error
        yield beside
        _move(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def replace(path: Path, content: bytes, *, mode: int) -> None:
    """Put the content in place of what `path` holds."""
    with staged(path, content, mode=mode):
        pass


def point(link: Path, target: Path) -> None:
    """Let the symbolic link name another file of its folder."""
    beside = _beside(link)
    try:
        beside.symlink_to(target.name)
    except OSError as error:
        raise NotStored(link, os.strerror(error.errno or 0)) from error
    _move(beside, link)


def create(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file that must not exist yet."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, content, mode)
    except FileExistsError as error:
        raise NotStored(path, "it exists already") from error
    except OSError as error:
        path.unlink(missing_ok=True)  # half a key is of no use
        raise NotStored(path, os.strerror(error.errno or 0)) from error


def _open_lock(folder: Path) -> int:
    path = folder / ".lock"
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    except OSError as error:
        raise NotStored(path, os.strerror(error.errno or 0)) from error


def _acquire(lock: int, folder: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise FolderBusy(folder, seconds) from None
            time.sleep(LOCK_POLL_SECONDS)
        else:
            return


def _sweep(folder: Path) -> None:
    """Remove what a writer that was killed left half done; only the lock's holder may."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


def _write(path: Path, content: bytes, mode: int) -> None:
    # Created with its final rights or fewer, so that a key is at no moment readable by others.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _move(beside: Path, path: Path) -> None:
    try:
        beside.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise NotStored(path, os.strerror(error.errno or 0)) from error


def _sync_folder(folder: Path) -> None:
    # A rename outlives a power cut only when the folder itself is synced.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
