"""Rotations that are killed, in a process of its own: `URL MASTER_KEY`.

For each step of a rotation (every statement, the commit, the return) a child is forked that
kills itself there with SIGKILL, and what the store then holds is printed as a line of JSON. The
last child has no step left to die at.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import event

from auth.keys import KeyRing
from config.database import Database
from config.sealing import Sealer
from config.settings import Settings


def rotate(url: str, ring: KeyRing, fatal: int) -> None:
    """Rotate, and die before the step of that number."""
    database = Database(url)
    steps = count(1)

    def step(*_: Any) -> None:
        if next(steps) == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(database.engine, "before_cursor_execute", step)
    event.listen(database.engine, "commit", step)
    with database.write() as session:
        ring.rotate(session, emergency=True)
    step()


def child(url: str, ring: KeyRing, fatal: int) -> int:
    """Rotate in a forked process and return how it ended."""
    pid = os.fork()
    if pid == 0:
        rotate(url, ring, fatal)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def found(url: str, ring: KeyRing) -> Sequence[str]:
    """Open the store anew, sign with what is there, and return the states of the keys."""
    database = Database(url)
    with database.read() as session:
        signer = ring.signer(session)
        assert ring.verifiers(session)[signer.kid].verify(signer.sign(b"message"), b"message")
        states = sorted(key.state for key in ring.list(session))
    database.close()
    return states


def main(url: str, master_key: bytes) -> None:
    """Kill one rotation at each of its steps."""
    settings = Settings(instance=Path("instance"), master_keys=(master_key,))
    ring = KeyRing(Sealer(settings.master_keys), settings)
    for fatal in count(1):
        code = child(url, ring, fatal)
        sys.stdout.write(json.dumps([code, *found(url, ring)]) + "\n")
        if code != -signal.SIGKILL:
            break


if __name__ == "__main__":
    main(sys.argv[1], bytes.fromhex(sys.argv[2]))
