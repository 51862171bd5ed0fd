"""Checks of the machine: interpreter, files and their permissions, disk, limits, process."""

from __future__ import annotations

import os
import resource
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from config.settings import Settings
from models.hosting.confinement import RANKS
from models.hosting.probe import probe_apart
from service.operations.instance_state import DEMO, MASTER_KEY, exists, under_way
from service.operations.verdicts import Verdict, failed, ok, warning

OLDEST_PYTHON: Final = (3, 11)
OTHERS: Final = 0o077
MEGABYTE: Final = 1024 * 1024
FULL: Final = 100 * MEGABYTE
NEARLY_FULL: Final = 1024 * MEGABYTE
FEW_DESCRIPTORS: Final = 4096
SANDBOX: Final = 'see "The sandbox" in docs/how-to/operate.md'


def python(_instance: Path) -> Verdict:
    """The interpreter is one that the platform is written for."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return failed(f"Python {version}", "run it with Python 3.11 or newer")
    return ok(f"Python {version}")


def installation(instance: Path) -> Verdict:
    """The folder holds a complete installation."""
    interrupted = under_way(instance) if instance.is_dir() else None
    if interrupted:
        command = interrupted.split()[0]
        return failed(
            f"`{command}` was interrupted in {instance}", f"run manage.py {command} again"
        )
    if not exists(instance):
        return failed(f"{instance} holds no installation", "run: manage.py init")
    return ok(str(instance))


def permissions(instance: Path) -> Verdict:
    """Only the owner can reach the folder, and the files in it that hold secrets."""
    paths = [(instance, "700")] + [(path, "600") for path in _secret_files(instance)]
    for path, mode in paths:
        if not path.exists():
            continue
        status = path.stat()
        if stat.S_IMODE(status.st_mode) & OTHERS:
            return failed(f"{path} is open to others", f"run: chmod {mode} {path}")
        if status.st_uid not in (os.geteuid(), 0):
            return warning(
                f"{path} belongs to user {status.st_uid}", f"run: chown {os.geteuid()} {path}"
            )
    return ok(f"{len(paths)} checked")


def disk(instance: Path) -> Verdict:
    """There is room to write."""
    usage = shutil.disk_usage(instance if instance.exists() else Path.cwd())
    found = f"{usage.free // MEGABYTE} MiB free"
    if usage.free < FULL:
        return failed(found, f"make room on the disk of {instance}: writes will fail")
    if usage.free < NEARLY_FULL:
        return warning(found, f"make room on the disk of {instance}")
    return ok(found)


def descriptors(_instance: Path) -> Verdict:
    """A server may hold many connections."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < FEW_DESCRIPTORS:
        return warning(f"{hard} files at most", f"raise `ulimit -Hn` to {FEW_DESCRIPTORS} or more")
    return ok("no limit" if hard < 0 else f"{hard} files at most")


def settings(found: Settings) -> Verdict:
    """The settings are whole; their readers have refused anything else."""
    keys = len(found.master_keys)
    if keys > 1:
        return warning(f"{keys} master keys", "run manage.py keys reseal, then drop the old ones")
    return ok(f"1 master key, {found.url}")


def sandbox(found: Settings) -> Verdict:
    """What would run a model is really held back; see models.hosting.attempts."""
    report = probe_apart()
    if RANKS[report.level] < RANKS[found.sandbox_level]:
        return failed(f"{report.level}, without {report.lacking}", SANDBOX)
    if report.lacking:
        return warning(f"{report.level}, without {report.lacking}", SANDBOX)
    return ok(f"{report.level}: {', '.join(layer.name for layer in report.layers)}")


def server(pid: int | None) -> Verdict:
    """Whether the platform is being served now; both are well."""
    return ok("not running" if pid is None else f"process {pid} serves")


def _secret_files(instance: Path) -> Iterator[Path]:
    yield instance / MASTER_KEY
    yield instance / DEMO
    yield instance / "certs" / "ca.key.sealed"
    yield from sorted((instance / "certs").glob("server-*.pem"))


CHECKS: Final[Mapping[str, Callable[[Path], Verdict]]] = {
    "python": python,
    "installation": installation,
    "permissions": permissions,
    "disk": disk,
    "descriptors": descriptors,
}
