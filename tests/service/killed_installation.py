"""Dies at each durable step of making or restoring an installation, then does it again.

Run as a program, so that a fork has one thread: ACTION FOLDER STRIDE [BACKUP KEYFILE]. Prints one
JSON object for each step at which it died: what the doctor finds failed after the second run.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine, event, select

from auth.records import UserRow
from config.settings import load_settings
from service.bootstrap import assemble
from service.operations.diagnosis import diagnose
from service.operations.installation import initialise
from service.operations.restores import restore

KILLED = 9


def forked(work: Callable[[], None]) -> int:
    """Run in a child, and return its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            sys.stdout.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def die_at(step: int) -> None:
    """Let this process end, without any clearing up, before its durable step of this number."""
    left = step
    fsync = os.fsync

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os._exit(KILLED)

    def counted(descriptor: int) -> None:
        count()
        fsync(descriptor)

    os.fsync = counted  # type: ignore[assignment]
    event.listen(Engine, "commit", count)


def report(folder: Path, step: int) -> None:
    """Print what the doctor finds failed, and which demo passwords do not hold."""
    findings = diagnose(folder, server=lambda _: None, deep=True)
    failed = [f"{f.check}: {f.found}" for f in findings if f.state == "failed"]
    platform = assemble(load_settings(folder))
    with platform.database.read() as session:
        rows = session.execute(select(UserRow.username, UserRow.password_hash)).all()
    hashes = {row.username: row.password_hash for row in rows}
    demo = json.loads((folder / "demo.json").read_text())
    users = [user for tenant in demo["tenants"] for user in tenant["users"]]
    wrong = [
        user["username"]
        for user in users
        if not platform.hasher.verify(hashes[user["username"]], user["password"])
    ]
    print(json.dumps({"step": step, "failed": failed, "wrong": wrong}))  # noqa: T201


def main(action: str, folder: Path, stride: int, *more: str) -> None:
    """Die at every so manieth step until a run is through."""
    import models.handlers.skops_file  # once, and not in each child  # noqa: F401

    def act(instance: Path) -> None:
        if action == "init":
            list(initialise(instance, demo=True))
        else:
            restore(instance, Path(more[0]), master_key_file=Path(more[1]))

    def die(instance: Path, step: int) -> None:
        die_at(step)
        act(instance)

    step = 1
    while True:
        instance = folder / f"{step}"
        died = forked(lambda: die(instance, step))  # noqa: B023
        if died == 0:
            return
        assert died == KILLED, died
        assert forked(lambda: act(instance)) == 0  # noqa: B023
        assert forked(lambda: report(instance, step)) == 0  # noqa: B023
        step += stride


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
