"""An LMDB environment of this machine that lives from one boot to the next."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import lmdb

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
READERS: Final = 4096
CHECK_SECONDS: Final = 1.0


class MachineStore:
    """Opens the environment at a path in each process, and anew where that has become needed.

    Nothing is synced to the disk: what a killed process wrote is in the page cache, and after a
    loss of power the file cannot be trusted, so a file of another boot is thrown away unread, and
    one of another form, which another release wrote. An environment must not cross a fork, so each
    process opens its own on first use.
    """

    def __init__(self, path: Path, *, size: int, form: str = "") -> None:
        self._path = path
        self._size = size
        self._form = form
        self._inode = 0
        self._checked = 0.0
        self._env: lmdb.Environment | None = None
        self._lock = threading.Lock()
        myself = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _forget_inherited(myself()))

    @property
    def env(self) -> lmdb.Environment:
        """The open environment of this process; raises lmdb.Error or OSError."""
        env = self._env
        now = time.monotonic()
        if env is not None and now - self._checked < CHECK_SECONDS:
            return env
        return self._reopen(now)

    def close(self) -> None:
        """Close this process's environment; the next use opens it again."""
        with self._lock:
            if self._env is not None:
                self._env.close()
                self._env = None

    def discard(self) -> None:
        """Throw the file away; each process finds it gone within CHECK_SECONDS; raises OSError."""
        with self._lock:
            with _alone(self._path):
                (self._path / "data.mdb").unlink(missing_ok=True)
                (self._path / "lock.mdb").unlink(missing_ok=True)
            self._env = None  # not closed: another thread may be reading it

    def forget(self) -> None:
        """Let go of an environment inherited through a fork; the parent's locks stay its own."""
        self._lock = threading.Lock()  # a thread of the parent may have held it at the fork
        self.close()

    def _reopen(self, now: float) -> lmdb.Environment:
        with self._lock:
            if self._env is None or self._inode != _inode(self._path):
                # A deleted one stays open until the last transaction of another thread ends.
                self._env = None
                with _alone(self._path):
                    self._env = self._open()
                    self._inode = _inode(self._path)
            self._checked = now
            return self._env

    def _open(self) -> lmdb.Environment:
        mark = self._path / "boot"
        boot = _boot_id() + self._form
        if not mark.is_file() or mark.read_text() != boot:
            shutil.rmtree(self._path, ignore_errors=True)
            self._path.mkdir(parents=True, mode=0o700)
            mark.write_text(boot)
        env = lmdb.open(
            str(self._path),
            map_size=self._size,
            max_readers=READERS,
            max_spare_txns=8,
            sync=False,
            metasync=False,
            writemap=True,
            map_async=True,
            mode=0o600,
        )
        self._reserve()
        env.reader_check()
        return env

    def _reserve(self) -> None:
        """Take the disk space now: a full disk under a memory map would kill the process."""
        if not hasattr(os, "posix_fallocate"):
            return
        descriptor = os.open(self._path / "data.mdb", os.O_RDWR)
        try:
            os.posix_fallocate(descriptor, 0, self._size)
        finally:
            os.close(descriptor)


def under(txn: lmdb.Transaction[bytes], prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The records whose keys begin so; nothing is written meanwhile."""
    cursor = txn.cursor()
    if not cursor.set_range(prefix):
        return
    for key, value in cursor:
        if not key.startswith(prefix):
            return
        yield key, value


def drop(txn: lmdb.Transaction[bytes], *, names: Iterable[bytes]) -> None:
    """Remove the records under these keys."""
    for name in names:
        txn.delete(name)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes from opening or throwing away the same store."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def _inode(path: Path) -> int:
    try:
        return (path / "data.mdb").stat().st_ino
    except OSError:
        return 0


def _boot_id() -> str:
    # Without /proc two boots cannot be told apart; the file is then kept.
    return BOOT_ID.read_text() if BOOT_ID.is_file() else "unknown"


def _forget_inherited(store: MachineStore | None) -> None:
    if store is not None:
        store.forget()
